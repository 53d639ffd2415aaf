"""Drawing tokens: one native sampler chain per request, fed with the few tokens that can be drawn at all.

A vocabulary has 150,000 tokens, and top-k keeps 40 of them. Copying all of them into llama.cpp's candidate list for
each token drawn would cost more time than everything else outside the decode, and 2 MB for each chain.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from augtui.engines.base import Request, Sampling
from augtui.engines.llama.native import Model

PENALTY_WINDOW = 64
BLOCK = 64
"""Logits whose maximum is taken at once when the likeliest are searched."""
CANDIDATE = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
"""llama_token_data of llama.h."""


class GrammarError(Exception):
    """The grammar or the JSON schema cannot be used."""


class Candidates:
    """The list of tokens that samplers choose from; one serves all chains, one after the other."""

    def __init__(self, n_vocab: int) -> None:
        """Make room for a whole vocabulary."""
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._table = np.zeros(n_vocab, dtype=CANDIDATE)
        self._address = self._table.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
        self._whole = n_vocab // BLOCK * BLOCK

    def fill(self, logits: NDArray[np.float32], most: int | None) -> Any:
        """Return llama.cpp's list of all tokens, or of a few that hold the `most` likeliest.

        logits: shape (n_vocab,).
        """
        ids = self._ids if most is None else self._likeliest(logits, most)
        if not len(ids):  # logits that are no numbers
            ids = self._ids
        table = self._table[: len(ids)]
        table["id"] = ids
        table["logit"] = logits if most is None else logits[ids]
        return lib.llama_token_data_array(self._address, len(ids), -1, False)

    def one(self, token: int) -> Any:
        """Return the list that holds only `token`."""
        self._table[0] = (token, 1.0, 0.0)
        return lib.llama_token_data_array(self._address, 1, -1, False)

    def passes(self) -> bool:
        """Return whether the first token of the list is still possible."""
        return bool(self._table["logit"][0] > -np.inf)

    def any_passes(self) -> bool:
        """Return whether any token of a whole vocabulary is still possible."""
        return bool((self._table["logit"] > -np.inf).any())

    def _likeliest(self, logits: NDArray[np.float32], most: int) -> NDArray[Any]:
        # The most-th largest of the maxima of disjoint blocks is reached by at least `most` logits.
        maxima = logits[: self._whole].reshape(-1, BLOCK).max(axis=1)
        if len(maxima) <= 2 * most:
            return self._ids
        least = np.partition(maxima, len(maxima) - most)[len(maxima) - most]
        return np.flatnonzero(logits >= least)


class Sampler:
    """One request's chain with a seed of its own, and its grammar if it has one."""

    def __init__(self, model: Model, candidates: Candidates, request: Request) -> None:
        """Build the chain that the request's sampling describes; raises GrammarError."""
        sampling = request.sampling
        self._candidates = candidates
        self._barred = np.fromiter(model.end_tokens, dtype=np.int64) if sampling.ignore_eos else None
        self._most = _most_candidates(sampling)
        self._grammar = _grammar(model, request)
        self._end = min(model.end_tokens, default=0)
        self._greedy = sampling.temperature <= 0 and sampling.repeat_penalty == 1.0 and self._grammar is None
        self._chain = None if self._greedy else _chain(sampling, request.seed, model.n_vocab)

    def sample(self, logits: NDArray[np.float32]) -> int:
        """Draw the next token from logits of shape (n_vocab,), and remember it; may write into them."""
        if self._barred is not None:
            logits[self._barred] = -np.inf
        if self._chain is None:
            return int(logits.argmax())
        token = self._draw(self._candidates.fill(logits, self._most))
        if self._grammar is not None:
            # A grammar is slow over a whole vocabulary, and most tokens drawn without it satisfy it.
            single = self._candidates.one(token)
            lib.llama_sampler_apply(self._grammar, ctypes.byref(single))
            if not self._candidates.passes():
                everything = self._candidates.fill(logits, None)
                lib.llama_sampler_apply(self._grammar, ctypes.byref(everything))
                if not self._candidates.any_passes():
                    return self._end  # the grammar leaves nothing: accepting any token would abort the process
                token = self._draw(everything)
            lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def _draw(self, candidates: Any) -> int:
        lib.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def close(self) -> None:
        """Free the chain."""
        for pointer in (self._chain, self._grammar):
            if pointer is not None:
                lib.llama_sampler_free(pointer)
        self._chain = self._grammar = None


def _most_candidates(sampling: Sampling) -> int | None:
    """Return how many of the likeliest tokens certainly hold those that the chain can draw; None: all."""
    if sampling.repeat_penalty < 1.0:  # raises tokens from anywhere
        return None
    # A penalty pushes down at most the tokens of its window; as many more move up.
    penalised = PENALTY_WINDOW if sampling.repeat_penalty > 1.0 else 0
    if sampling.temperature <= 0:
        return 1 + penalised
    return sampling.top_k + penalised if sampling.top_k > 0 else None


def _chain(sampling: Sampling, seed: int, n_vocab: int) -> Any:
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())

    def add(sampler: Any) -> None:
        lib.llama_sampler_chain_add(chain, sampler)

    if sampling.repeat_penalty != 1.0:
        add(lib.llama_sampler_init_penalties(n_vocab, PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0))
    if sampling.temperature <= 0:
        add(lib.llama_sampler_init_greedy())
        return chain
    if sampling.top_k > 0:
        add(lib.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        add(lib.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        add(lib.llama_sampler_init_min_p(sampling.min_p, 1))
    add(lib.llama_sampler_init_temp(sampling.temperature))
    # The largest number is no seed: llama.cpp takes it for "draw one".
    add(lib.llama_sampler_init_dist(seed % lib.LLAMA_DEFAULT_SEED))
    return chain


def _grammar(model: Model, request: Request) -> Any:
    if request.schema is None and request.grammar is None:
        return None
    if request.sampling.ignore_eos:
        raise GrammarError("an answer that follows a grammar ends where the grammar does")
    if request.schema is not None and request.grammar is not None:
        raise GrammarError("a request has a JSON schema or a grammar, not both")
    text = request.grammar if request.grammar is not None else gbnf(request.schema or "")
    pointer = lib.llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
    if not pointer:
        raise GrammarError("the grammar is not valid GBNF with a rule `root`")
    return pointer


def gbnf(schema: str) -> str:
    """Return the GBNF grammar of a JSON schema; raises GrammarError."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        grammar: str = json_schema_to_gbnf(schema)
    except Exception as error:  # the converter raises whatever a strange schema leads to
        raise GrammarError(f"the JSON schema cannot be used: {type(error).__name__}: {error}") from error
    return grammar

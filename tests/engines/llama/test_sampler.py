"""Sampling over few candidates draws what sampling over the whole vocabulary draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import llama_cpp as lib
import numpy as np
import pytest

from augtui.domain.templates import Message
from augtui.engines.base import Request, Sampling
from augtui.engines.llama.native import Model
from augtui.engines.llama.sampler import Candidates, GrammarError, Sampler, gbnf

SAMPLINGS = {
    "greedy": Sampling(temperature=0),
    "greedy, penalty": Sampling(temperature=0, repeat_penalty=1.3),
    "usual": Sampling(),
    "penalty": Sampling(repeat_penalty=1.2, top_k=20),
    "reward for repetition": Sampling(repeat_penalty=0.8),
    "all tokens": Sampling(top_k=0, temperature=1.0, top_p=1.0),
    "min-p": Sampling(top_k=0, top_p=1.0, min_p=0.1),
    "one": Sampling(top_k=1),
}


@pytest.fixture(scope="module")
def model(default_model: Path) -> Iterator[Model]:
    yield Model(default_model)


def request(sampling: Sampling, seed: int = 3, **more: str) -> Request:
    return Request("r", (Message("user", "hi"),), seed, sampling, **more)  # type: ignore[arg-type]


class Whole(Candidates):
    """Gives the chain all tokens, as llama.cpp itself does."""

    def fill(self, logits: np.ndarray, most: int | None) -> object:  # type: ignore[type-arg]
        return super().fill(logits, None)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_few_candidates_draw_the_same_tokens_as_all(model: Model, name: str) -> None:
    draw = np.random.default_rng(5)
    few = Sampler(model, Candidates(model.n_vocab), request(SAMPLINGS[name]))
    whole = Sampler(model, Whole(model.n_vocab), request(SAMPLINGS[name]))
    for step in range(60):
        logits = draw.normal(0, 3, model.n_vocab).astype(np.float32)
        if step % 3 == 0:
            logits = np.round(logits)  # many ties
        token = few.sample(logits.copy())
        expected = whole.sample(logits.copy())
        assert token == expected or logits[token] == logits[expected]
    few.close()
    whole.close()


@pytest.mark.parametrize("size", [64, 1000, 4096, 151_936])
@pytest.mark.parametrize("most", [1, 5, 40, 104])
def test_the_candidates_hold_the_likeliest_and_few_others(size: int, most: int) -> None:
    logits = np.random.default_rng(size).normal(0, 3, size).astype(np.float32)
    candidates = Candidates(size)
    listed = candidates.fill(logits, most)
    ids = {listed.data[place].id for place in range(listed.size)}
    assert set(np.argsort(logits)[-most:].tolist()) <= ids
    assert size < 100_000 or len(ids) < 10 * most + 200


def test_end_tokens_are_never_drawn_when_they_are_to_be_ignored(model: Model) -> None:
    end = min(model.end_tokens)
    logits = np.zeros(model.n_vocab, dtype=np.float32)
    logits[end] = 30.0
    for sampling in (Sampling(temperature=0), Sampling()):
        usual = Sampler(model, Candidates(model.n_vocab), request(sampling))
        ignoring = Sampler(model, Candidates(model.n_vocab), request(replace(sampling, ignore_eos=True)))
        assert usual.sample(logits.copy()) == end
        assert ignoring.sample(logits.copy()) != end


def test_a_grammar_bars_what_does_not_follow_it(model: Model) -> None:
    sampler = Sampler(model, Candidates(model.n_vocab), request(Sampling(), grammar='root ::= "yes" | "no"'))
    text = b""
    draw = np.random.default_rng(1)
    for _ in range(8):
        token = sampler.sample(draw.normal(0, 1, model.n_vocab).astype(np.float32))
        if model.is_end(token):
            break
        text += model.piece(token)
    assert text in (b"yes", b"no")


@pytest.mark.parametrize(
    "faulty",
    [
        {"grammar": "root ::= ("},
        {"grammar": "start ::= [a-z]"},
        {"schema": "{"},
        {"schema": '{"$ref": "https://example.com/x.json"}'},
        {"schema": "{}", "grammar": "root ::= [a-z]"},
    ],
)
def test_a_faulty_grammar_or_schema_is_refused(model: Model, faulty: dict[str, str]) -> None:
    with pytest.raises(GrammarError):
        Sampler(model, Candidates(model.n_vocab), request(Sampling(), **faulty))


def test_a_schema_becomes_a_grammar_that_llama_cpp_reads(model: Model) -> None:
    grammar = gbnf('{"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}')
    pointer = lib.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
    assert pointer
    lib.llama_sampler_free(pointer)

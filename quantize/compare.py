"""Perplexity of GGUF models over a text, and how far each one's predictions are from the first one's.

After llama.cpp's llama-perplexity with --kl-divergence: the text is cut into chunks, and in each the second half is
predicted, so that every prediction has at least half a chunk before it.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError
from quantize.gguf_file import Progress
from quantize.native import Model

CHUNK_TOKENS = 512
# Predictions that are compared at a time: 64 over a vocabulary of 151,936 tokens are 78 MB as float64.
_AT_A_TIME = 64


@dataclass
class Comparison:
    """One model's figures. The divergences are in nats, from the first model's distribution P: KL(P || Q)."""

    path: str
    bytes: int
    tokens: int
    perplexity: float
    perplexity_error: float
    """Standard error."""
    bits_per_weight: float
    mean_kl: float | None = None
    mean_kl_error: float | None = None
    median_kl: float | None = None
    p99_kl: float | None = None
    max_kl: float | None = None
    same_top: float | None = None
    """Share of places where both find the same token likeliest."""
    rms_probability: float | None = None
    """Root mean square of the difference in the probability of the text's own token."""
    perplexity_ratio: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON values; None where the first model is compared with itself."""
        return asdict(self)


@dataclass
class _Seen:
    """What a model said, a value for each predicted token: nats of the text's own, and the distance from the first."""

    losses: list[NDArray[np.float64]] = field(default_factory=list)
    divergences: list[NDArray[np.float64]] = field(default_factory=list)
    same: list[NDArray[np.bool_]] = field(default_factory=list)


def compare(
    paths: Sequence[Path],
    text: Path,
    *,
    chunks: int | None = None,
    chunk_tokens: int = CHUNK_TOKENS,
    progress: Progress | None = None,
) -> list[Comparison]:
    """Compare the models at `paths` with the first of them over the text file; all are in memory at the same time.

    Raises `ConversionError` if a model cannot be loaded, the vocabularies differ, or the text is too short.
    """
    if chunk_tokens < 8:
        raise ConversionError("chunks have at least 8 tokens")
    with ExitStack() as stack:
        models = [stack.enter_context(Model(path, chunk_tokens)) for path in paths]
        tokens = _tokens(models, text, chunk_tokens)
        count = len(tokens) // chunk_tokens if chunks is None else min(chunks, len(tokens) // chunk_tokens)
        seen = [_Seen() for _ in models]
        for number in range(count):
            _compare_chunk(models, tokens[number * chunk_tokens : (number + 1) * chunk_tokens], seen)
            if progress:
                progress("compared", number + 1, count)
        return [_figures(model, found, seen[0]) for model, found in zip(models, seen, strict=True)]


def _tokens(models: Sequence[Model], path: Path, chunk_tokens: int) -> list[int]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path} cannot be read as text: {error}") from error
    tokens = models[0].tokenize(text, special=False, begin=True)
    for model in models[1:]:
        if model.vocabulary_size != models[0].vocabulary_size or model.tokenize(text[:10_000], special=False) != models[
            0
        ].tokenize(text[:10_000], special=False):
            raise ConversionError(f"{model.path.name} and {models[0].path.name} have different vocabularies")
    if len(tokens) < chunk_tokens:
        raise ConversionError(f"{path} has {len(tokens)} tokens: at least {chunk_tokens} are needed")
    return tokens


def _compare_chunk(models: Sequence[Model], chunk: list[int], seen: Sequence[_Seen]) -> None:
    chunk = list(chunk)
    if models[0].begins_with is not None:
        chunk[0] = models[0].begins_with
    start = len(chunk) // 2
    said = [model.logits(chunk, start)[:-1] for model in models]
    for first in range(start, len(chunk) - 1, _AT_A_TIME):
        places = slice(first - start, min(first + _AT_A_TIME, len(chunk) - 1) - start)
        wanted = np.array(chunk[start + 1 :][places])
        base = log_softmax(said[0][places])
        for number, (logits, found) in enumerate(zip(said, seen, strict=True)):
            own = base if number == 0 else log_softmax(logits[places])
            found.losses.append(-own[np.arange(len(wanted)), wanted])
            if number:
                found.divergences.append(divergence(base, own))
                found.same.append(base.argmax(axis=1) == own.argmax(axis=1))


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-probabilities of each row of logits."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def divergence(base: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(base || other) of each row of log-probabilities, in nats."""
    sums: NDArray[np.float64] = np.einsum("ij,ij->i", np.exp(base), base - other)
    return sums


def _figures(model: Model, seen: _Seen, base: _Seen) -> Comparison:
    losses = np.concatenate(seen.losses)
    perplexity = math.exp(losses.mean())
    size = model.path.stat().st_size
    figures = Comparison(
        str(model.path), size, losses.size, perplexity, perplexity * _error(losses), 8 * size / model.parameters
    )
    if seen is base:
        return figures
    divergences, base_losses = np.concatenate(seen.divergences), np.concatenate(base.losses)
    figures.mean_kl, figures.mean_kl_error = float(divergences.mean()), _error(divergences)
    figures.median_kl = float(np.median(divergences))
    figures.p99_kl, figures.max_kl = float(np.quantile(divergences, 0.99)), float(divergences.max())
    figures.same_top = float(np.concatenate(seen.same).mean())
    figures.rms_probability = float(np.sqrt(np.mean((np.exp(-losses) - np.exp(-base_losses)) ** 2)))
    figures.perplexity_ratio = perplexity / math.exp(base_losses.mean())
    return figures


def _error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean."""
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else 0.0

"""The small task classifier that ships with augtui: which class of the task taxonomy a prompt belongs to, offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from augtui.domain.taskwords import Cues, buckets, value
from augtui.domain.taxonomy import OTHERS

FILE = "tasks.npz"
THRESHOLD = 0.25
"""A prompt whose likeliest class is less likely is one of the Others. See docs/select.md for what that does."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a prompt was taken for."""

    label: str
    confidence: float
    """How likely the likeliest class is, 0 to 1; `label` is not that class if it is below the threshold."""


class TaskClassifier:
    """A linear model over hashed words (`augtui.domain.taskwords`), trained by `python -m training.classifier`."""

    def __init__(self, data: dict[str, Any]) -> None:
        """Take the arrays of the classifier's file."""
        self._weights = data["weights"].astype(np.float32) * data["scale"]
        self._bias = data["bias"]
        self._idf = data["idf"].astype(np.float32) / 255
        self._cues = Cues(json.loads(data["cues"].tobytes()))
        self.classes = tuple(str(name) for name in data["classes"])

    def probabilities(self, text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return how likely each of `classes` is."""
        counts = buckets(text, self._cues)
        logits = self._bias
        if counts:
            places = np.fromiter(counts, dtype=np.int64, count=len(counts))
            worth = np.fromiter(map(value, counts.values()), dtype=np.float32, count=len(counts)) * self._idf[places]
            logits = worth @ self._weights[places] / max(float(np.linalg.norm(worth)), 1e-9) + self._bias
        odds = np.exp(logits - logits.max())
        likely: np.ndarray[Any, np.dtype[np.float32]] = odds / odds.sum()
        return likely

    def label(self, texts: Iterable[str], threshold: float = THRESHOLD) -> Iterator[Labelled]:
        """Yield the likeliest class of each text, Others if it is less likely than the threshold."""
        for text in texts:
            likely = self.probabilities(text)
            best = int(likely.argmax())
            confidence = float(likely[best])
            yield Labelled(self.classes[best] if confidence >= threshold else OTHERS, confidence)


@lru_cache(maxsize=1)
def load() -> TaskClassifier:
    """Return the classifier that ships with augtui."""
    with files("augtui.models.bundled").joinpath(FILE).open("rb") as file, np.load(file, allow_pickle=False) as data:
        return TaskClassifier(dict(data))

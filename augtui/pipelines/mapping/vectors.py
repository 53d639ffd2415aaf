"""Texts to vectors that need no model: latent semantic analysis of their terms (Deerwester et al. 1990)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from augtui.pipelines.mapping.words import terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

DIMENSIONS: Final = 64
FEATURES: Final = 1 << 16
"""Numbers that terms are hashed to: no vocabulary, so memory does not grow with the words."""
SMOOTHING: Final = 15
"""Nearest others that a vector is drawn to."""
PIECE: Final = 2_000
"""Texts that are counted at a time."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What turns features into vectors; kept with a map, so that later texts come to their place in it."""

    weights: Floats
    """Factor of each feature (inverse document frequency), shape (features,)."""
    axes: Floats
    """Shape (dimensions, features)."""
    centre: Floats
    """What is taken off the features first, shape (features,), or of size 0 for nothing."""

    def texts(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts by their terms, length 1 or (without any term) 0, shape (texts, dimensions)."""
        return self.features(weighted(counted(texts), self.weights))

    def embeddings(self, embeddings: Floats) -> Floats:
        """Return the vectors of a model's embeddings, length 1, shape (texts, dimensions)."""
        return self.features(embeddings - self.centre)

    def features(self, features: Any) -> Floats:
        """Return the vectors of features, dense or sparse, shape (texts, features)."""
        return unit(features @ self.axes.T)


def counted(texts: Sequence[str]) -> Any:
    """Return the counts of each text's hashed terms, a sparse matrix of shape (texts, FEATURES)."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    hasher = HashingVectorizer(n_features=FEATURES, analyzer=terms, norm=None, alternate_sign=False, dtype=np.float32)
    return hasher.transform(texts)


def of_counts(counts: Any, seed: int) -> tuple[Floats, Projection]:
    """Return the vectors of counted texts, and the projection that made them."""
    import numpy as np
    from sklearn.utils.extmath import randomized_svd

    rows = counts.shape[0]
    used = np.bincount(counts.indices, minlength=FEATURES)
    weights = np.where(used > 0, np.log((1 + rows) / (1 + used)) + 1, 0).astype(np.float32)
    features = weighted(counts, weights)
    size = min(DIMENSIONS, rows, int((used > 0).sum()))
    if size == 0:
        empty = np.zeros((1, FEATURES), dtype=np.float32)
        return np.zeros((rows, 1), dtype=np.float32), Projection(weights, empty, np.zeros(0, dtype=np.float32))
    _, _, axes = randomized_svd(features, size, random_state=seed, n_iter=4)
    projection = Projection(weights, axes.astype(np.float32), np.zeros(0, dtype=np.float32))
    return projection.features(features), projection


def of_embeddings(embeddings: Floats, seed: int) -> tuple[Floats, Projection]:
    """Return a model's embeddings on their principal axes, and the projection that made them."""
    import numpy as np
    from sklearn.utils.extmath import randomized_svd

    centre = embeddings.mean(axis=0)
    size = min(DIMENSIONS, *embeddings.shape)
    _, _, axes = randomized_svd(embeddings - centre, size, random_state=seed)
    ones = np.ones(embeddings.shape[1], dtype=np.float32)
    projection = Projection(ones, axes.astype(np.float32), centre.astype(np.float32))
    return projection.embeddings(embeddings), projection


def unit(vectors: Any) -> Floats:
    """Return vectors at length 1; those of length 0 stay."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-9).astype(np.float32)
    return found


def smoothed(vectors: Floats, neighbours: NDArray[np.int32]) -> Floats:
    """Return vectors drawn half-way to the mean of their nearest others, at length 1.

    Clusters of these keep together what is near each other: on seven intents (SNIPS) and a mix of six sources the
    mutual information with the labels rises by 0.04 to 0.07 (mean of three seeds).
    """
    import numpy as np

    count = min(SMOOTHING, neighbours.shape[1])
    if not count:
        return vectors
    sums = np.zeros_like(vectors)
    for place in range(count):
        sums += vectors[neighbours[:, place]]
    return unit(vectors + sums / count)


def weighted(counts: Any, weights: Floats) -> Any:
    """Return 1 + log(count), weighted, at length 1: a long text is no more than a short one."""
    import numpy as np
    from sklearn.preprocessing import normalize

    found = counts.copy()
    found.data = (1 + np.log(found.data)) * weights[found.indices]
    return normalize(found, copy=False)

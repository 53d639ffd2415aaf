"""Vectors to places in the plane: t-SNE (van der Maaten & Hinton 2008) by interpolation (Linderman et al. 2019)."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from augtui.errors import UsageError
from augtui.pipelines.decisions import Progress, no_progress
from augtui.pipelines.mapping.neighbours import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Places = NDArray[np.float32]

Method = Literal["tsne", "pca"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

PERPLEXITY: Final = 30
FEWEST: Final = 12
"""With fewer points t-SNE has nothing to say; their principal axes have."""
LANDMARKS: Final = 60_000
"""Points that are laid out; of more, each of the others stands among its neighbours of these."""
EARLY: Final = 250
LATE: Final = 500
EVERY: Final = 25
BETWEEN: Final = 5
"""Neighbours that a later point stands between."""


def laid_out(
    vectors: Places, neighbours: tuple[NDArray[np.int32], Places], method: Method, seed: int, see: Progress
) -> Places:
    """Return the places of vectors, shape (n, 2), within a circle of radius 1 around 0 but for outliers.

    `neighbours` are those of `nearest`, at least three times the perplexity or all. Raises UsageError without openTSNE.
    """
    import numpy as np

    size = len(vectors)
    if method == "pca" or size < FEWEST:
        return framed(_flat(vectors))
    if size <= LANDMARKS:
        return framed(_tsne(vectors, neighbours, seed, see))
    chosen = np.sort(np.random.default_rng(seed).choice(size, LANDMARKS, replace=False))
    some = nearest(vectors[chosen], 3 * PERPLEXITY, seed, no_progress)
    marks = framed(_tsne(vectors[chosen], some, seed, see))
    places = np.empty((size, 2), dtype=np.float32)
    places[chosen] = marks
    rest = np.setdiff1d(np.arange(size), chosen, assume_unique=True)
    places[rest] = _among(vectors, neighbours, places, chosen, rest)
    return places


def between(vectors: Places, others: Places, places: Places) -> Places:
    """Return where vectors stand between their nearest others, whose places are known, shape (n, 2)."""
    import numpy as np

    if not len(others):
        return np.zeros((len(vectors), 2), dtype=np.float32)
    found = np.empty((len(vectors), 2), dtype=np.float32)
    count = min(BETWEEN, len(others))
    for start in range(0, len(vectors), 256):
        likeness = vectors[start : start + 256] @ others.T
        best = np.argpartition(likeness, len(others) - count, axis=1)[:, len(others) - count :]
        weights = np.maximum(np.take_along_axis(likeness, best, axis=1), 1e-3) ** 4
        found[start : start + 256] = (weights[..., None] * places[best]).sum(1) / weights.sum(1, keepdims=True)
    return found


def framed(places: Places) -> Places:
    """Return places moved and scaled so that 99% of them are within the square of -1 to 1."""
    import numpy as np

    if not len(places):
        return places.astype(np.float32)
    low, high = np.quantile(places, 0.005, axis=0), np.quantile(places, 0.995, axis=0)
    reach = float(np.max(high - low)) / 2 or 1.0
    return np.clip((places - (low + high) / 2) / reach, -1.2, 1.2).astype(np.float32)


PACKAGES: Final = {"sklearn": "scikit-learn", "": "scikit-learn"}
"""Names of packages that are imported under others."""


def require(method: Method) -> None:
    """Raise UsageError where the libraries of a method are missing."""
    try:
        import sklearn  # noqa: F401

        if method == "tsne":
            import openTSNE  # noqa: F401
    except ImportError as error:
        hint = "pip install 'augtui[map]'" + (" or --layout pca." if error.name == "openTSNE" else ".")
        name = PACKAGES.get(error.name or "", error.name)
        raise UsageError(f"a map needs {name}, which is not installed", hint=hint) from None


def _tsne(vectors: Places, neighbours: tuple[NDArray[np.int32], Places], seed: int, see: Progress) -> Places:
    import numpy as np
    import openTSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    size = len(vectors)
    perplexity = min(PERPLEXITY, (size - 1) / 3)
    count = min(neighbours[0].shape[1], int(3 * perplexity))
    index = PrecomputedNeighbors(neighbours[0][:, :count], 1 - neighbours[1][:, :count].astype(np.float64))
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    done = 0

    def tell(iteration: int, error: float, embedding: Any) -> bool:
        see(done + iteration, EARLY + LATE)
        return False  # goes on

    options: dict[str, Any] = {"callbacks": tell, "callbacks_every_iters": EVERY}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal points, which have no distances
        affinities = PerplexityBasedNN(knn_index=index, perplexity=perplexity, n_jobs=threads, random_state=seed)
        embedding = openTSNE.TSNEEmbedding(
            openTSNE.initialization.rescale(_flat(vectors).astype(np.float64)),
            affinities,
            n_jobs=threads,
            random_state=seed,
            negative_gradient_method="bh" if size < 2_000 else "fft",
        )
        embedding = embedding.optimize(EARLY, exaggeration=12, momentum=0.5, learning_rate="auto", **options)
        done = EARLY
        embedding = embedding.optimize(LATE, momentum=0.8, learning_rate="auto", **options)
    return np.nan_to_num(np.asarray(embedding, dtype=np.float32))


def _flat(vectors: Places) -> Places:
    """Return vectors on their two principal axes; an axis that there is not is 0."""
    import numpy as np

    moved = (vectors - vectors.mean(axis=0)).astype(np.float64)
    _, axes = np.linalg.eigh(moved.T @ moved)
    two = axes[:, ::-1][:, :2]
    # The sign of an axis is arbitrary: the largest part is taken as positive.
    two = two * np.where(two[np.abs(two).argmax(axis=0), range(two.shape[1])] < 0, -1, 1)
    flat = moved @ two
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))).astype(np.float32)


def _among(
    vectors: Places,
    neighbours: tuple[NDArray[np.int32], Places],
    places: Places,
    chosen: NDArray[np.int64],
    rest: NDArray[np.int64],
) -> Places:
    """Return the places of the rest between their neighbours of the chosen ones."""
    import numpy as np

    is_chosen = np.zeros(len(vectors), dtype=bool)
    is_chosen[chosen] = True
    near, likeness = neighbours[0][rest], neighbours[1][rest]
    weights = np.where(is_chosen[near], np.maximum(likeness, 1e-3) ** 4, 0)
    # Only the nearest few of them count.
    weights[np.cumsum(weights > 0, axis=1) > BETWEEN] = 0
    sums = weights.sum(axis=1)
    found: Places = (weights[..., None] * np.where(is_chosen[near][..., None], places[near], 0)).sum(axis=1)
    lonely = sums <= 0
    found[~lonely] /= sums[~lonely, None]
    if lonely.any():
        found[lonely] = between(vectors[rest[lonely]], vectors[chosen], places[chosen])
    return found

"""Vectors, neighbours, clusters and places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.pipelines.mapping import layout, neighbours, tree, vectors

pytest.importorskip("sklearn")


def blobs(size: int, groups: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    label = np.arange(size) % groups
    return vectors.unit(np.eye(16)[label] + 0.12 * random.standard_normal((size, 16))), label


def test_texts_come_to_the_same_vectors_later() -> None:
    texts = [f"describe {thing} number {n}" for n in range(30) for thing in ("stations", "光合作用", "apples")]
    found, projection = vectors.of_counts(vectors.counted(texts), 0)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(projection.texts(texts), found, atol=1e-4)
    blank = projection.texts(["", "\n"])
    assert (blank == 0).all() and not np.isnan(found).any()


def test_texts_without_any_term() -> None:
    found, projection = vectors.of_counts(vectors.counted(["", " ", "\n"]), 0)
    assert (found == 0).all() and (projection.texts(["a word"]) == 0).all()


def test_neighbours_are_those_of_a_comparison_with_all() -> None:
    points, _ = blobs(600, 5)
    places, likeness = neighbours.nearest(points, 7, 0, lambda done, total: None)
    every = points @ points.T
    np.fill_diagonal(every, -2)
    assert np.allclose(likeness, -np.sort(-every, axis=1)[:, :7], atol=1e-5)
    assert not (places == np.arange(600)[:, None]).any()


def test_neighbours_in_cells_are_nearly_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = blobs(3_000, 10)
    exact, _ = neighbours.nearest(points, 5, 0, lambda done, total: None)
    monkeypatch.setattr(neighbours, "EXACT", 100)
    monkeypatch.setattr(neighbours, "CELL", 50)
    seen: list[int] = []
    found, _ = neighbours.nearest(points, 5, 0, lambda done, total: seen.append(done))
    common = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
    assert common > 0.8, common
    assert seen == sorted(seen) and seen[-1] == 3_000


@pytest.mark.parametrize("size", [1, 2, 3, 30])
def test_equal_vectors_are_one_cluster(size: int) -> None:
    same = np.ones((size, 4), dtype=np.float32) / 2
    (node,) = tree.grown(same, 0, 5 if size > 5 else None)
    assert node.path == "1" and len(node.rows) == size and not node.children
    places = layout.laid_out(same, neighbours.nearest(same, 9, 0, lambda a, b: None), "pca", 0, lambda a, b: None)
    assert places.shape == (size, 2) and np.isfinite(places).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 700), st.integers(1, 8), st.integers(0, 3))
def test_each_level_of_the_tree_holds_every_record_once(size: int, groups: int, seed: int) -> None:
    points, _ = blobs(size, groups, seed)
    nodes = tree.grown(points, seed)

    def check(level: list[tree.Node], rows: np.ndarray) -> None:
        if level:
            assert sorted(row for node in level for row in node.rows.tolist()) == rows.tolist()
            assert [len(node.rows) for node in level] == sorted((len(node.rows) for node in level), reverse=True)
        for node in level:
            assert len(node.rows) >= tree.SMALLEST or not node.children
            check(node.children, node.rows)

    check(nodes, np.arange(size))


def test_clusters_are_those_that_there_are() -> None:
    points, label = blobs(400, 4)
    nodes = tree.grown(points, 0, 4)
    assert [len(set(label[node.rows])) for node in nodes] == [1, 1, 1, 1]


def test_the_layout_keeps_neighbours_together_and_is_always_the_same() -> None:
    pytest.importorskip("openTSNE")
    from sklearn.manifold import trustworthiness

    points, label = blobs(150, 3)
    near = neighbours.nearest(points, 90, 0, lambda done, total: None)
    seen: list[tuple[int, int]] = []
    places = layout.laid_out(points, near, "tsne", 1, lambda done, total: seen.append((done, total)))
    assert trustworthiness(points, places, n_neighbors=10) > 0.9
    assert seen[-1][0] <= seen[-1][1] == layout.EARLY + layout.LATE
    own = np.array([places[label == group].mean(axis=0) for group in range(3)])
    nearest = np.argmin(((places[:, None] - own[None]) ** 2).sum(axis=2), axis=1)
    assert (nearest == label).mean() > 0.95
    assert np.abs(places).max() <= 1.2


def test_more_points_than_landmarks_stand_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openTSNE")
    monkeypatch.setattr(layout, "LANDMARKS", 60)
    points, label = blobs(240, 3)
    near = neighbours.nearest(points, 30, 0, lambda done, total: None)
    places = layout.laid_out(points, near, "tsne", 1, lambda done, total: None)
    own = np.array([places[label == group].mean(axis=0) for group in range(3)])
    nearest = np.argmin(((places[:, None] - own[None]) ** 2).sum(axis=2), axis=1)
    assert np.isfinite(places).all() and (nearest == label).mean() > 0.9


def test_between_two_points_is_on_the_line_between_them() -> None:
    others = np.eye(2, dtype=np.float32)
    places = np.array([[0, 0], [1, 1]], dtype=np.float32)
    found = layout.between(vectors.unit(np.array([[1.0, 1.0], [1.0, 0.0]], dtype=np.float32)), others, places)
    assert np.allclose(found[0], [0.5, 0.5], atol=1e-3) and np.allclose(found[1], [0, 0], atol=1e-3)
    assert layout.between(others, np.zeros((0, 2), dtype=np.float32), np.zeros((0, 2))).tolist() == [[0, 0], [0, 0]]

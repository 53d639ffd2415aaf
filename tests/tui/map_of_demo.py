"""A map of the demo project whose places are arithmetic: it looks the same on every machine."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from augtui.store import maps, projects
from augtui.store.maps import Cluster, Model, Point, State
from tests.tui.conftest import HOSTILE

LEVEL = (
    (0.0, 0.6, ("photosynthesis", "explain", "plant", "light")),
    (-0.8, 0.1, ("python", "function", "sort")),
    (0.7, 0.2, ("光合作用", "总结", "秋天")),
    (-0.3, -0.7, (HOSTILE[:60], "[bold]", "\u202eexe")),
    (0.6, -0.6, ("email", "polite")),
)
"""Centre and words of each cluster of the first level; the first one has two inside."""


def draw(path: Path, *, without: int = 0) -> None:
    """Keep a map of all records but the last `without`."""
    with projects.open_project(path) as project:
        rows = project.read("SELECT number, id FROM records ORDER BY number")
    rows = rows[: len(rows) - without]
    # The second and third innermost cluster are inside of the first one.
    paths = [("1", None, 2), ("1.1", 0, 1), ("1.2", 0, 2), ("2", None, 3), ("3", None, 4), ("4", None, 5),
             ("5", None, 6)]  # fmt: skip
    inner = [1, 2, 3, 4, 5, 6]
    of = {number: inner[at % 6] for at, (number, _) in enumerate(rows)}
    points, members = [], dict[int, list[int]]()
    for at, (number, _) in enumerate(rows):
        cluster = of[number]
        x, y, _ = LEVEL[0 if cluster < 3 else cluster - 2]
        aside = 0.0 if cluster > 2 else 0.18 if cluster == 2 else -0.18
        turn, reach = 2.4 * at, 0.02 * math.sqrt(at)
        vector = np.zeros(4, dtype=np.float16)
        vector[(cluster - 1) % 4] = 1
        vector[3] += np.float16(at / 200)
        points.append(
            Point(
                number, cluster, round(x + aside + reach * math.cos(turn), 4), round(y + reach * math.sin(turn), 4),
                0.5 + 0.05 * cluster, 8 + at % 5, number - 6 if at % 10 == 6 else None, vector.tobytes(),
            )
        )  # fmt: skip
        for one in {cluster, 0} if cluster < 3 else {cluster}:
            members.setdefault(one, []).append(number)
    clusters = []
    for number, (name, parent, last) in enumerate(paths):
        x, y, words = LEVEL[0 if number < 3 else number - 2]
        own = [point for point in points if point.record in set(members[number])]
        clusters.append(
            Cluster(
                number, name, parent, last, len(own), words if parent is None else (f"inside {number}", "光"),
                0.5 + 0.05 * number, 9.5, sum(point.twin is not None for point in own),
                x + {1: -0.18, 2: 0.18}.get(number, 0.0), y, tuple(members[number][:5]), b"",
            )
        )  # fmt: skip
    state = State(
        "digest", {}, len(rows), rows[-1][0], rows[-1][1], 0, "2026-01-02T03:04:05.000Z", 1.0, "the same words"
    )
    maps.save(path, state, clusters, points, Model(b"", b"", b"", 0))

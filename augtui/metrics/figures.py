"""Figures of a project: what its plots show, as numbers; the app draws them in cells, `augtui plot` in a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from augtui.store.projects import Project

Kind = Literal["bars", "lines"]

SAMPLE = 20_000
"""Results that lengths and diversity are computed from at most, spread evenly over the project."""
BINS = 24
WINDOWS = 60
"""Points of a line over time."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values by place: bars of names, or a line over numbers."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot."""

    name: str
    title: str
    kind: Kind
    labels: tuple[str, ...] = ()
    """Names of the bars."""
    x: tuple[float, ...] = ()
    """Places of a line's points."""
    series: tuple[Series, ...] = ()
    x_label: str = ""
    y_label: str = ""
    note: str = ""
    percent: bool = field(default=False)

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to draw."""
        return not any(any(series.values) for series in self.series)


def lengths(project: Project) -> Figure:
    """Return how many words instructions have before and after refinement or expansion, in shares of the results."""
    step = _step(project)
    rows = project.read(
        "SELECT c.instruction, i.text FROM items i JOIN records c ON c.number = i.record"
        " WHERE i.status = 'accepted' AND i.text IS NOT NULL AND i.number % ? = 0 LIMIT ?",
        (step, SAMPLE),
    )
    before = [_words(row[0]) for row in rows]
    after = [_words(row[1]) for row in rows]
    top = max([*before, *after], default=0)
    width = max(1, -(-(top + 1) // BINS))
    places = range(0, min(top, width * BINS) + 1, width)
    series = tuple(
        Series(name, tuple(_share(words, width, len(places)))) for name, words in (("before", before), ("after", after))
    )
    note = f"median {_median(before):.0f} words before, {_median(after):.0f} after, {len(rows):,} results"
    return Figure("lengths", "Length before and after", "lines", (), tuple(map(float, places)), series, "words",
                  "% of results", note)  # fmt: skip


def tasks(project: Project) -> Figure:
    """Return how many results each task has, by their status."""
    rows = project.read("SELECT task, status, COUNT(*) FROM items GROUP BY task, status ORDER BY task")
    names = tuple(dict.fromkeys(row[0] for row in rows))
    by = {(task, status): float(count) for task, status, count in rows}
    series = tuple(
        Series(status.replace("_", " "), tuple(by.get((name, status), 0.0) for name in names))
        for status in ("accepted", "kept_original", "failed", "pending")
        if any((name, status) in by for name in names)
    )
    return Figure("tasks", "Results by task", "bars", names, (), series, "", "results")


def languages(project: Project) -> Figure:
    """Return how many records are in which language."""
    rows = project.read(
        "SELECT COALESCE(language, 'not known'), COUNT(*) FROM records GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 12"
    )
    return Figure("languages", "Records by language", "bars", tuple(str(row[0]) for row in rows), (),
                  (Series("records", tuple(float(row[1]) for row in rows)),), "", "records")  # fmt: skip


def acceptance(project: Project) -> Figure:
    """Return the share of accepted results of each run, in percent."""
    rows = project.read(
        "SELECT r.id, r.task, 100.0 * SUM(i.status = 'accepted') / COUNT(*) FROM runs r"
        " JOIN run_items q ON q.run_id = r.id JOIN items i ON i.number = q.item WHERE i.status <> 'pending'"
        " GROUP BY r.id ORDER BY r.id DESC LIMIT 16"
    )
    rows.reverse()
    return Figure("acceptance", "Accepted by run", "bars", tuple(f"{row[0]} {row[1]}" for row in rows), (),
                  (Series("accepted", tuple(float(row[2]) for row in rows)),), "", "%", percent=True)  # fmt: skip


def reasons(project: Project) -> Figure:
    """Return why tries were not good enough, the most frequent reasons first."""
    rows = project.read(
        "SELECT SUBSTR(reason, 1, INSTR(reason || ':', ':') - 1) AS kind, COUNT(*) FROM attempts"
        " WHERE reason IS NOT NULL GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 12"
    )
    return Figure("reasons", "Rejected tries by reason", "bars", tuple(str(row[0]) for row in rows), (),
                  (Series("tries", tuple(float(row[1]) for row in rows)),), "", "tries")  # fmt: skip


def speed(project: Project) -> Figure:
    """Return the answer tokens a second over the newest run that has answers."""
    runs = project.read("SELECT run_id FROM attempts WHERE completion_tokens > 0 ORDER BY rowid DESC LIMIT 1")
    if not runs:
        return Figure("speed", "Tokens a second", "lines")
    rows = project.read(
        "SELECT 86400.0 * julianday(created_at), completion_tokens FROM attempts"
        " WHERE run_id = ? AND completion_tokens > 0 ORDER BY created_at",
        (runs[0][0],),
    )
    began, ended = rows[0][0], rows[-1][0]
    width = max(1.0, (ended - began) / WINDOWS)
    sums: Counter[int] = Counter()
    for at, tokens in rows:
        sums[int((at - began) / width)] += tokens
    count = max(sums) + 1
    values = tuple(sums[n] / width for n in range(count))
    return Figure("speed", f"Tokens a second, run {runs[0][0]}", "lines", (), tuple(n * width for n in range(count)),
                  (Series("tok/s", values),), "seconds", "tok/s",
                  f"{sum(sums.values()):,} tokens in {ended - began:,.0f} s")  # fmt: skip


def diversity(project: Project) -> Figure:
    """Return distinct-1 and distinct-2 (Li et al. 2016, arXiv:1510.03055) of instructions before and after, in percent.

    Both sides are cut to equal numbers of words: the measure falls with the length of the text.
    """
    rows = project.read(
        "SELECT c.instruction, i.text FROM items i JOIN records c ON c.number = i.record"
        " WHERE i.status = 'accepted' AND i.text IS NOT NULL AND i.number % ? = 0 LIMIT ?",
        (_step(project), SAMPLE // 10),
    )
    sides = [[word for row in rows for word in _split(row[place])] for place in (0, 1)]
    size = min(map(len, sides))
    if size < 2:
        return Figure("diversity", "Diversity", "bars")
    values = [(_distinct(side[:size]), _distinct(list(pairwise(side[:size])))) for side in sides]
    return Figure("diversity", "Diversity", "bars", ("distinct-1", "distinct-2"), (),
                  (Series("before", values[0]), Series("after", values[1])), "", "%",
                  f"over {size:,} words of each side", percent=True)  # fmt: skip


FIGURES: dict[str, Callable[[Project], Figure]] = {
    "lengths": lengths,
    "tasks": tasks,
    "languages": languages,
    "acceptance": acceptance,
    "reasons": reasons,
    "speed": speed,
    "diversity": diversity,
}
"""Every figure by its name."""


def _step(project: Project) -> int:
    count = int(project.read("SELECT COALESCE(MAX(number), 0) FROM items")[0][0])
    return max(1, count // SAMPLE)


def _split(text: str) -> list[str]:
    """Return the words of a text; each Han character is one."""
    words: list[str] = []
    for piece in text.casefold().split():
        if piece.isascii():
            words.append(piece)
            continue
        latin = ""
        for char in piece:
            if "\u3040" <= char <= "\u9fff":
                if latin:
                    words.append(latin)
                words.append(char)
                latin = ""
            else:
                latin += char
        if latin:
            words.append(latin)
    return words


def _words(text: str) -> int:
    return len(_split(text))


def _share(values: list[int], width: int, count: int) -> list[float]:
    bins = Counter(min(value // width, count - 1) for value in values)
    return [100 * bins[place] / max(1, len(values)) for place in range(count)]


def _median(values: list[int]) -> float:
    ordered = sorted(values)
    return float(ordered[len(ordered) // 2]) if ordered else 0.0


def _distinct(items: list[object] | list[str] | list[tuple[str, str]]) -> float:
    return 100 * len(set(items)) / len(items)

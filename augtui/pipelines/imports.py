"""Import: a file's rows become a project's records, in batches; killed at any moment, the same command goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from augtui import __version__
from augtui.domain.records import Quarantined, digest
from augtui.errors import InputError
from augtui.pipelines import formats, import_rows
from augtui.pipelines.import_rows import Outcome, Reading, without_collector
from augtui.pipelines.source import Source
from augtui.store import imports, runs
from augtui.store.imports import Batch, Progress
from augtui.store.projects import Project
from augtui.store.runs import Run, RunPlan

TASK: Final = "import"
BATCH_ROWS: Final = 10_000
BATCH_CHARACTERS: Final = 16 * 2**20
"""A batch is one transaction: large, because each one writes much of the index of ids anew."""
SHOWN: Final = 10
"""Lines set aside that a summary quotes."""


@dataclass(slots=True)
class Summary:
    """What an import came to."""

    run: int
    source: str
    records: int = 0
    added: int = 0
    """Records that the project did not have."""
    quarantined: int = 0
    known: bool = False
    """Whether the same file was imported before, in the same way; nothing was read then."""
    seconds: float = 0.0
    languages: Counter[str] = field(default_factory=Counter)
    """Of the records read by this process."""
    reasons: Counter[str] = field(default_factory=Counter)
    """For which lines were set aside, in this process."""
    examples: list[Quarantined] = field(default_factory=list)
    """The first few lines set aside."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "run": self.run,
            "source": self.source,
            "records": self.records,
            "added": self.added,
            "quarantined": self.quarantined,
            "known": self.known,
            "seconds": round(self.seconds, 3),
            "languages": dict(self.languages.most_common()),
            "reasons": dict(self.reasons.most_common()),
        }


def run_key(source: Source, reading: Reading) -> str:
    """Return the sha256 that names the import of these bytes read in this way, whatever the file is called."""
    told = reading.format or formats.named(str(source.path))
    return digest({"task": TASK, "source": source.sha256, **asdict(reading), "format": told})


def import_source(
    project: Project,
    source: Source,
    reading: Reading,
    *,
    licence: str | None = None,
    see: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Put the records of a source into a project; `see` is told after every batch.

    Raises InputError where the input as a whole cannot be read, StoreError where another process imports it.
    """
    config = {key: value for key, value in asdict(reading).items() if value is not None}
    config |= {"source_sha256": source.sha256, "augtui": __version__} | ({"licence": licence} if licence else {})
    run = runs.begin(project, RunPlan(run_key(source, reading), TASK, source.name, config))
    try:
        summary = _resumed(project, run, source)
        if not summary.known:
            started = time.monotonic()
            with without_collector():
                for _ in _worked(project, run, source, reading, summary):
                    summary.seconds = time.monotonic() - started
                    see(summary)
    except BaseException as error:
        runs.finish(project, run, "failed" if isinstance(error, InputError) else "interrupted")
        raise
    runs.finish(project, run, "finished")
    return summary


def _resumed(project: Project, run: Run, source: Source) -> Summary:
    done = imports.progress(project, run.id)
    known = run.previous_status == "finished"
    return Summary(run.id, source.name, done.records, done.added, done.quarantined, known)


def _worked(project: Project, run: Run, source: Source, reading: Reading, summary: Summary) -> Iterator[None]:
    """Put in batch after batch; what a former process put in is read again, but not written."""
    imports.prepare(project)
    done = Progress(summary.records, summary.added, summary.quarantined)
    for batch in _batches(_outcomes(source, reading), done.outcomes):
        summary.added += imports.add(project, run, batch, source.name)
        summary.records += len(batch.records)
        summary.quarantined += len(batch.quarantined)
        summary.languages.update(row[4] for row in batch.records if row[4] is not None)
        summary.reasons.update(line.reason for line in batch.quarantined)
        summary.examples += batch.quarantined[: SHOWN - len(summary.examples)]
        yield


def _batches(outcomes: Iterator[Outcome], skip: int) -> Iterator[Batch]:
    batch, characters = Batch([], []), 0
    for number, outcome in enumerate(outcomes):
        if number < skip:
            continue
        if isinstance(outcome, Quarantined):
            batch.quarantined.append(outcome)
            characters += len(outcome.excerpt)
        else:
            batch.records.append(outcome)
            characters += len(outcome[1]) + len(outcome[2] or "") + len(outcome[8] or "")
        if len(batch) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = Batch([], []), 0
    if len(batch):
        yield batch


def _outcomes(source: Source, reading: Reading) -> Iterator[Outcome]:
    try:
        yield from import_rows.outcomes(source.path, source.name, reading)
    except InputError as error:
        # A pipe's temporary copy means nothing to the user.
        named = error.message.replace(str(source.path), source.shown)
        raise InputError(named, hint=error.hint) from None

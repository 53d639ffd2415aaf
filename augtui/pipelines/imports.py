"""Import: a file's rows become a project's records; killed at any moment, the same command goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from augtui import __version__
from augtui.domain.records import Quarantined, digest
from augtui.errors import InputError
from augtui.pipelines import formats, import_rows
from augtui.pipelines.import_rows import Batches, Reading, without_collector
from augtui.pipelines.source import Source
from augtui.store import imports, runs
from augtui.store.imports import Batch, Progress
from augtui.store.projects import Project
from augtui.store.runs import Run, RunPlan

TASK: Final = "import"
TRANSACTION_ROWS: Final = 100_000
"""Large, because each transaction writes much of the index of ids anew: with 10,000, four times as much is written."""
TRANSACTION_S: Final = 2.0
"""How long one may take, in seconds, as other processes that write to the project wait for it."""
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
    given = asdict(reading)
    if given["response"] is None:
        del given["response"]  # as it was before there was such an option
    return digest({"task": TASK, "source": source.sha256, **given, "format": told})


def import_source(
    project: Project,
    source: Source,
    reading: Reading,
    *,
    licence: str | None = None,
    see: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Put the records of a source into a project; `see` is told after every transaction.

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
    """Put in transaction after transaction; what a former process put in is read again, but not written."""
    done = Progress(summary.records, summary.added, summary.quarantined)
    with (
        _explained(source),
        imports.many_rows(project),
        import_rows.batches(source.path, source.name, reading, done.outcomes) as batches,
    ):
        while (batch := batches.next()) is not None:
            _transaction(project, run, batch, batches, summary)
            yield


def _transaction(project: Project, run: Run, batch: Batch | None, batches: Batches, summary: Summary) -> None:
    """Put in a batch and those at hand after it, in one transaction as large as others can wait for."""
    until = time.monotonic() + TRANSACTION_S
    with imports.transaction(project, run) as transaction:
        while batch is not None:
            transaction.add(batch)
            summary.languages.update(batch.languages)
            summary.reasons.update(line.reason for line in batch.quarantined)
            summary.examples += batch.quarantined[: SHOWN - len(summary.examples)]
            full = transaction.outcomes >= TRANSACTION_ROWS or time.monotonic() >= until
            batch = None if full else batches.ready()
    summary.records += transaction.records
    summary.added += transaction.added
    summary.quarantined += transaction.quarantined


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """Name the source in errors as the user knows it: a pipe's temporary copy means nothing to them."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message.replace(str(source.path), source.shown), hint=error.hint) from None

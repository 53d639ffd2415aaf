"""What the commands that select records share: rows in, decisions, rows out, a summary, the exit code."""

from __future__ import annotations

import json as encoder
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import typer

from augtui.cli import progress, signals
from augtui.domain.records import Quarantined, Record
from augtui.domain.visible import excerpt, visible
from augtui.errors import ExitCode, InputError, OutputError, UsageError
from augtui.pipelines import export, originals, source
from augtui.pipelines.decisions import Decision
from augtui.pipelines.originals import annotated

SHOWN_QUARANTINED = 10
TELL_EVERY = 1000


@dataclass(slots=True)
class Summary:
    """What a step came to."""

    total: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    """Files by what is in them."""
    further: dict[str, Any] = field(default_factory=dict)
    """Figures that are the step's own."""


class Sieve:
    """One command on one file; a context, in which the file is read as often as need be."""

    def __init__(
        self,
        step: str,
        file: str,
        *,
        outputs: Sequence[str | None],
        field: str | None = None,
        format: str | None = None,
        limit: int | None = None,
        json: bool = False,
        quiet: bool = False,
    ) -> None:
        """Prepare; refuses outputs that cannot be written."""
        self.step = step
        self.summary = Summary()
        self._file, self._field, self._format, self._limit = file, field, format, limit
        self._json, self._quiet = json, quiet
        self._outputs = [output for output in outputs if output is not None]
        require_outputs(self._outputs)
        self._stack = ExitStack()
        self._read = False
        self._lines, self._ids = array("q"), list[str | int | None]()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Open the input."""
        with ExitStack() as stack:
            stack.enter_context(signals.ending())
            self.source = stack.enter_context(source.opened(self._file))
            self.tell = stack.enter_context(progress.shown(self.step, quiet=self._quiet))
            self._stamp = self._stamped()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the input."""
        self._stack.close()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return what tells the progress of a part of the work."""
        return lambda done, total: self.tell(what, done, total)

    def rows(self) -> Iterator[tuple[Record, dict[str, Any]]]:
        """Yield the records with their rows; what is no record is kept for the summary, the first time."""
        first, self._read = not self._read, True
        found = originals.records(self.source, field=self._field, format=self._format, limit=self._limit)
        for number, (record, row) in enumerate(found):
            if number % TELL_EVERY == 0:
                self.tell("reading" if first else "writing", number, 0 if first else len(self._lines))
            if isinstance(record, Quarantined):
                if first:
                    self.summary.quarantined.append(record)
                continue
            if first:
                self._lines.append(record.line or 0)
                self._ids.append(record.source_id)
            yield record, row

    def records(self) -> Iterator[Record]:
        """Yield the records."""
        for record, _ in self.rows():
            yield record

    def named(self, position: int) -> dict[str, Any]:
        """Return how a report calls the record at a position: its line, and its id if it has one."""
        given = {} if self._ids[position] is None else {"id": self._ids[position]}
        return {"line": self._lines[position], **given}

    def write(
        self,
        decisions: Sequence[Decision],
        common: Mapping[str, Any],
        output: str | None,
        dropped: str | None = None,
        *,
        shown: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
        report: bool = False,
        times: Sequence[int] | None = None,
    ) -> None:
        """Write the kept rows to `output` (None: stdout), the dropped ones, if they are wanted, to `dropped`.

        Under `augtui` each row has the `common` facts, its line, and its decision's detail as `shown` puts it.
        With `report` the rows in `dropped` are the decisions alone, without the fields of the input. `times` is how
        often each kept row is written; a repeated one has the number of its copy, from 0, and of all.
        """
        with ExitStack() as stack:
            keep = self._writer(stack, output) if output is not None else print_row
            drop = self._writer(stack, dropped) if dropped is not None else None
            for position, (decision, (record, row)) in enumerate(self._decided(decisions)):
                self.summary.total += 1
                facts = {**common, "line": record.line, "record": record.id, **shown(decision.detail)}
                if decision.kept:
                    self.summary.kept += 1
                    count = 1 if times is None else times[position]
                    for copy in range(count):
                        numbered = {"copy": copy, "copies": count} if count > 1 else {}
                        keep(annotated(row, self.step, {**facts, **numbered}))
                    continue
                self.summary.reasons[str(decision.reason)] += 1
                facts = {"reason": decision.reason, **facts}
                if drop is not None:
                    given = {} if record.source_id is None else {"id": record.source_id}
                    drop({**given, **facts} if report else annotated(row, self.step, facts))
        for what, target in (("kept", output), ("report" if report else "dropped", dropped)):
            if target is not None:
                self.summary.written[what] = target

    def write_some(
        self, wanted: Mapping[int, int], facts: Callable[[int, int], Mapping[str, Any]], target: str
    ) -> None:
        """Write the rows at the positions in `wanted`, each with what `facts` says of its position and number."""
        with ExitStack() as stack:
            put = self._writer(stack, target)
            for position, (record, row) in enumerate(self.rows()):
                if position in wanted:
                    said = facts(position, wanted[position])
                    put(annotated(row, self.step, {**said, "line": record.line, "record": record.id}))
        self.summary.written["to expand"] = target

    def _writer(self, stack: ExitStack, target: str) -> Callable[[Mapping[str, Any]], None]:
        file = stack.enter_context(export.WholeFile(target))
        return lambda row: file.write(export.json_line(row, target))

    def _decided(self, decisions: Sequence[Decision]) -> Iterator[tuple[Decision, tuple[Record, dict[str, Any]]]]:
        try:
            yield from zip(decisions, self.rows(), strict=True)
        except ValueError:
            raise self._changed() from None
        if self._stamped() != self._stamp:
            raise self._changed()

    def _stamped(self) -> tuple[int, int]:
        status = self.source.path.stat()
        return status.st_size, status.st_mtime_ns

    def _changed(self) -> InputError:
        return InputError(f"{self.source.shown} changed while it was read", hint="Run the command again.")

    def finish(self, *, partial: bool = False) -> None:
        """Tell how it ended, and exit with the code for that; `partial` if something else failed than lines here."""
        self._stack.close()
        summary, seconds = self.summary, time.monotonic() - self._started
        if self._json:
            figures = {
                "step": self.step, "source": self.source.name, "total": summary.total, "kept": summary.kept,
                "dropped": sum(summary.reasons.values()), "reasons": dict(summary.reasons.most_common()),
                "quarantined": len(summary.quarantined), "seconds": round(seconds, 3), **summary.further,
                "written": summary.written,
            }  # fmt: skip
            stream = sys.stdout if "kept" in summary.written else sys.stderr
            print(encoder.dumps(figures, ensure_ascii=False), file=stream)
        elif not self._quiet:
            for line in self._closing_lines(seconds):
                print(f"augtui {self.step}: {line}", file=sys.stderr)
        raise typer.Exit(ExitCode.PARTIAL if summary.quarantined or partial else ExitCode.DONE)

    def _closing_lines(self, seconds: float) -> Iterator[str]:
        summary = self.summary
        gone = sum(summary.reasons.values())
        why = " (" + ", ".join(f"{reason} {count:,}" for reason, count in summary.reasons.most_common()) + ")"
        dropped = f"{gone:,} dropped{why if gone else ''}"
        yield f"{summary.total:,} records: {summary.kept:,} kept, {dropped} · {seconds:.1f} s"
        yield from (f"{visible(name)}: {visible(str(value))}" for name, value in summary.further.items())
        aside = summary.quarantined
        if aside:
            yield f"{len(aside):,} lines of the input set aside:"
            for line in aside[:SHOWN_QUARANTINED]:
                yield f"  line {line.line}: {visible(line.reason)}: {excerpt(line.excerpt, 60)}"
            if len(aside) > SHOWN_QUARANTINED:
                yield f"  and {len(aside) - SHOWN_QUARANTINED:,} more"
        for what, target in summary.written.items():
            yield f"{what}: written to {visible(target)}"


def require_outputs(outputs: Sequence[str]) -> None:
    """Refuse outputs that cannot be written, and two that are the same file, before work is spent on them."""
    for output in outputs:
        export.require_writable(output)
    real = [str(Path(output).resolve()) for output in outputs]
    if len(set(real)) < len(real):
        raise UsageError("two outputs are the same file")


def print_row(row: Mapping[str, Any]) -> None:
    """Print a row as a line of JSON."""
    # To a terminal only ASCII goes out: escapes in a data set must stay text. Old encodings hold little else.
    only_ascii = sys.stdout.isatty() or sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    try:
        line = encoder.dumps(row, ensure_ascii=only_ascii, allow_nan=False)
        sys.stdout.write(line + "\n")
    except (ValueError, RecursionError) as error:
        raise OutputError(f"a row cannot be printed: {error}") from None

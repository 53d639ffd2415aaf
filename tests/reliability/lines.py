"""Broken input: every line is imported, set aside with its number, or blank, and nothing falls over.

    python -m tests.reliability.lines --lines 100000 --seed 1

Makes files of JSON lines, arrays, CSV, TSV and text, in which good rows of every known layout stand among rows that
were mutilated: bytes flipped, cut, doubled, quotes opened, brackets nested, surrogates, NaN, huge numbers, NUL, long
lines, other encodings. Each file is imported by `augtui import`, in this process and, every so often, in one of its
own, and the counts are compared: records and lines set aside against the rows that were written, the project's tables
against the summary. An expected refusal of a whole file (`augtui: …`) is counted apart; a traceback is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augtui.errors import InputError
from augtui.pipelines import imports, source
from augtui.pipelines.import_rows import Reading
from augtui.store import dataset
from augtui.store.projects import Project, open_project

FILE_LINES = 400
"""Lines of one file."""
OWN_PROCESS_EVERY = 25
"""Files between two that are imported by a process of their own."""


@dataclass(slots=True)
class Report:
    """What was seen."""

    files: int = 0
    lines: int = 0
    """Of JSON lines and text, where the law is exact."""
    elements: int = 0
    """Of arrays and tables, where a broken one may take others with it into one report."""
    merged: int = 0
    """Elements that were taken so, or were blank."""
    from_elements: int = 0
    """Records and reports that elements came to."""
    blank: int = 0
    imported: int = 0
    quarantined: int = 0
    refused_files: int = 0
    refused_lines: int = 0
    missing: int = 0
    """Lines of files that are read line by line of which nothing came; or that came twice."""
    tracebacks: int = 0
    damaged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Return whether nothing went wrong."""
        return not (self.missing or self.tracebacks or self.damaged)

    def told(self) -> list[str]:
        """Return the report for people."""
        sums = f"{self.imported:,} imported + {self.quarantined:,} set aside + {self.blank:,} blank"
        return [
            f"files: {self.files:,}, {self.refused_files} of them refused as a whole",
            f"lines: {self.lines:,} = {sums} + {self.refused_lines:,} in refused files",
            f"elements of arrays and tables: {self.elements:,} = {self.from_elements:,} records and reports"
            f" + {self.merged:,} inside a report on a broken one, or in refused files",
            f"lines lost or doubled: {self.missing}",
            f"tracebacks: {self.tracebacks} · damaged projects: {self.damaged}",
            "reasons: " + ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common()),
            *self.failures[:10],
        ]


# ------------------------------------------------------------------------------------------------- the rows


def good_row(rng: random.Random, number: int) -> Any:
    """Return a row of one of the known layouts."""
    text = rng.choice(
        ["Write about number", "写一首诗", "Schreibe über", "اكتب", "Emoji 🙂 e\u0301", "“quoted”, and, more"]
    )
    asked, answered = f"{text} {number}", f"Answer {number}"
    return rng.choice(
        [
            {"instruction": asked, "input": rng.choice(["", "x", None]), "output": answered},
            {"prompt": asked, "completion": answered, "id": number},
            {"question": asked, "answer": answered},
            {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]},
            {"conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answered}], "system": "s"},
            {"prompt": asked, "chosen": answered, "rejected": "no"},
            {"instruction": asked, "instances": [{"input": "", "output": answered}]},
            asked,
            [asked, answered, "more"],
        ]
    )


def _flip(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line))
    return line[:at] + bytes([line[at] ^ (1 << rng.randrange(8))]) + line[at + 1 :]


def _cut(rng: random.Random, line: bytes) -> bytes:
    return line[: rng.randrange(len(line))]


def _doubled(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line))
    return line[:at] + line[max(0, at - rng.randrange(20)) :]


_PIECES = (
    b'"', b"\\", b"{", b"[" * 200, b"}", b",", b":", b"'", b"\0", b"\r", b"\t", b"\x0c", b"\x1b[31m", b" " * 99,
    b"NaN", b"1e999", b"-Infinity", b"9" * 5000, b"\\ud800", b"\\u0000",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x85",
)  # fmt: skip


def _inserted(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line) + 1)
    return line[:at] + rng.choice(_PIECES) + line[at:]


def _replaced(rng: random.Random, line: bytes) -> bytes:
    return rng.choice([*_WHOLE, rng.randbytes(rng.randrange(1, 60)).replace(b"\n", b" ")])


_WHOLE = (
    b"", b" ", b"\xef\xbb\xbf", b"null", b"true", b"0", b"[]", b"{}", b'""', b"[[[[1]]]]", b"[" * 100_000,
    b'{"a":' * 50_000, b'"' + b"x" * 200_000 + b'"', b'{"instruction": null}', b'{"instruction": ""}',
    b'{"instruction": " \\u200b"}', b'{"messages": []}', b'{"messages": [{"role": "user"}]}',
    b'{"instruction": {"a": 1}}',
)  # fmt: skip

MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _cut, _doubled, _inserted, _replaced)


def mutated(rng: random.Random, line: bytes) -> bytes:
    """Return the line with one to three things done to it; never with a line feed."""
    for _ in range(rng.randrange(1, 4)):
        line = rng.choice(MUTATIONS)(rng, line) if line else line
    return line.replace(b"\n", b" ")


def json_lines(rng: random.Random, count: int, broken: float) -> list[bytes]:
    """Return lines of which a share is mutilated; the first few are good, so that the format is clear."""
    lines = []
    for number in range(count):
        line = json.dumps(good_row(rng, number), ensure_ascii=rng.random() < 0.3).encode()
        lines.append(mutated(rng, line) if number > 3 and rng.random() < broken else line)
    return lines


# ------------------------------------------------------------------------------------------------ the campaign


def campaign(lines: int, seed: int) -> Report:
    """Import files of mutilated lines until there were so many, and compare the counts."""
    rng = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="augtui-lines-") as name:
        former = os.environ.get("AUGTUI_HOME")
        os.environ["AUGTUI_HOME"] = name
        try:
            while report.lines < lines:
                with open_project(f"p{report.files // 50}") as project:
                    _one(rng, report, Path(name), project, min(FILE_LINES, lines - report.lines))
        finally:
            if former is None:
                del os.environ["AUGTUI_HOME"]
            else:
                os.environ["AUGTUI_HOME"] = former
    return report


def _one(rng: random.Random, report: Report, folder: Path, project: Project, count: int) -> None:
    kind = rng.choice(["jsonl", "jsonl", "jsonl", "json", "csv", "tsv", "txt"])
    rows = json_lines(rng, count, rng.choice([0.05, 0.3, 0.9]))
    if kind in ("csv", "tsv"):
        sign = b"," if kind == "csv" else b"\t"
        rows = [b"prompt" + sign + b"answer", *(row.replace(b"\n", b" ") for row in rows[1:])]
    data = b"[" + b",\n".join(rows) + b"]" if kind == "json" else b"\n".join(rows) + rng.choice([b"", b"\n", b"\n\n\n"])
    path = folder / f"rows{report.files}.{kind}"
    path.write_bytes(data)
    report.files += 1
    by_line = kind in ("jsonl", "txt")
    if by_line:
        report.lines += count
    else:
        report.elements += count
    before = dataset.count(project)
    try:
        if report.files % OWN_PROCESS_EVERY == 0:
            records, added, aside = _by_command(path, project, report)
        else:
            with source.opened(str(path)) as opened:
                summary = imports.import_source(project, opened, Reading(choice="last"))
            records, added, aside = summary.records, summary.added, summary.quarantined
            report.reasons.update(summary.reasons)
    except InputError:
        report.refused_files += 1
        if by_line:
            report.refused_lines += count
        else:
            report.merged += count
        return
    except Exception:
        report.tracebacks += 1
        report.failures.append(f"{path.name}: {traceback.format_exc()[-600:]}")
        return
    finally:
        path.unlink()
    if by_line:
        report.imported += records
        report.quarantined += aside
        _compare(report, kind, data, count, records, aside)
    else:
        report.from_elements += records + aside
        report.merged += count - records - aside
    if dataset.count(project) != before + added or project.integrity():
        report.damaged += 1
        report.failures.append(f"{path.name}: {added} new records, {dataset.count(project) - before} in the project")


def _compare(report: Report, kind: str, data: bytes, count: int, records: int, aside: int) -> None:
    """Hold the counts against the file: a record or a report for each line that is not blank, and for no other."""
    is_blank = _is_blank_text if kind == "txt" else _is_blank
    full = sum(not is_blank(line) for line in data.split(b"\n"))
    report.blank += count - full
    if records + aside != full:
        report.missing += abs(full - records - aside)
        report.failures.append(f"{kind}: {full} lines, {records} records, {aside} set aside")


def _is_blank(line: bytes) -> bool:
    return not line.strip(b" \t\r\n\v\f")


def _is_blank_text(line: bytes) -> bool:
    try:
        return _is_blank(line) or not line.decode().removeprefix("\ufeff").strip()
    except UnicodeDecodeError:
        return False


def _by_command(path: Path, project: Project, report: Report) -> tuple[int, int, int]:
    done = subprocess.run(
        [sys.executable, "-m", "augtui", "import", str(path), "-p", project.name, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Traceback" in done.stderr or "fault of augtui" in done.stderr:
        raise RuntimeError(done.stderr)
    if done.returncode == 2:
        raise InputError(done.stderr)
    told = json.loads(done.stdout)
    report.reasons.update(told["reasons"])
    return told["records"], told["added"], told["quarantined"]


def main() -> None:
    """Run the campaign and print its report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    report = campaign(wanted.lines, wanted.seed)
    print("\n".join(report.told()))
    sys.exit(not report.clean)


if __name__ == "__main__":
    main()

"""Write an export: one file, a pair of files, or a folder, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from augtui.domain.records import Quarantined
from augtui.errors import OutputError
from augtui.pipelines.export import WholeFile
from augtui.pipelines.exports import card, formats, splits
from augtui.pipelines.exports.card import CardFacts, Tally
from augtui.pipelines.exports.formats import Format, LeftOut
from augtui.pipelines.exports.rows import TrainingRow
from augtui.pipelines.exports.sinks import Sink, sink

SUFFIXES: Final = {"jsonl": ".jsonl", "array": ".json", "csv": ".csv", "parquet": ".parquet", "folder": ""}


@dataclass(slots=True)
class Report:
    """What an export came to."""

    format: str
    written: dict[str, int] = field(default_factory=dict)
    """Rows by split."""
    paths: dict[str, str] = field(default_factory=dict)
    """Where each split is."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows by the reason why they could not be in the format."""
    quarantined: Counter[str] = field(default_factory=Counter)
    """Lines of the input that are no rows at all, by the reason."""
    languages: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Return the number of rows written."""
        return sum(self.written.values())

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "format": self.format,
            "written": self.written,
            "paths": self.paths,
            "left_out": dict(self.left_out),
            "quarantined": dict(self.quarantined),
            "languages": dict(self.languages.most_common()),
        }


def write(
    rows: Iterable[TrainingRow | Quarantined],
    format: str,
    target: str | Path,
    *,
    validation: float = 0.0,
    seed: int = 42,
    facts: CardFacts | None = None,
) -> Report:
    """Write rows in a format of `formats.FORMATS` to a file, or for `hf-dataset` a folder, whole or not at all.

    With `validation`, a share of the rows, the seed's choice of whole families, goes into a second file beside it
    (`data.jsonl` and `data.validation.jsonl`), or a second split of the folder. Rows that the format cannot hold are
    left out and counted. `facts` are for the folder's card. Rows are read once and never held together: for a split
    they wait in a temporary file. Raises OutputError; UsageError for an unknown format or a share that makes no sense.
    """
    made = formats.named(format)
    report = Report(format)
    tally = Tally()
    if validation:
        splits.choose([], validation, seed)
    if made.container == "folder":
        _write_folder(rows, made, Path(target), validation, seed, facts or CardFacts(), report, tally)
    elif validation:
        beside = validation_path(target)
        with ExitStack() as stack:
            # Put in place when the block ends, the second one first.
            files = {
                "train": stack.enter_context(WholeFile(target)),
                "validation": stack.enter_context(WholeFile(beside)),
            }
            report.paths = {"train": str(target), "validation": str(beside)}
            _write_split(rows, made, files, validation, seed, report, tally)
    else:
        with WholeFile(target) as file:
            report.paths = {"train": str(target)}
            if made.optional:
                _write_split(rows, made, {"train": file}, 0.0, seed, report, tally)
            else:
                _write_one(rows, made, file, report, tally)
    report.languages = tally.languages
    return report


def validation_path(target: str | Path) -> Path:
    """Return where the validation rows of a file go: `data.validation.jsonl` beside `data.jsonl`."""
    path = Path(target)
    return path.with_name(f"{path.stem}.validation{path.suffix}")


def _write_one(rows: Iterable[Any], made: Format, file: WholeFile, report: Report, tally: Tally) -> None:
    into = sink(made.container, file)
    count = 0
    for row, line in _lines(rows, made, report):
        _put(into, line, report)
        tally.add(row)
        count += 1
    into.close()
    report.written = {"train": count}


def _write_split(
    rows: Iterable[Any],
    made: Format,
    files: Mapping[str, WholeFile],
    validation: float,
    seed: int,
    report: Report,
    tally: Tally,
) -> None:
    """Write rows that have to be seen all before the first one is written."""
    with _spool() as spool:
        kinship = splits.Kinship()
        used: dict[str, Any] = {}
        for row, line in _lines(rows, made, report):
            spool.write(json.dumps(line) + "\n")
            if validation:
                kinship.add(*splits.keys(row))
            tally.add(row)
            used |= {name: empty for name, empty in made.optional.items() if name in line}
        aside = splits.choose(kinship.groups(), validation, seed) if validation else [False] * tally.rows
        sinks = {name: sink(made.container, file) for name, file in files.items()}
        report.written = dict.fromkeys(files, 0)
        spool.seek(0)
        for text, is_aside in zip(spool, aside, strict=True):
            name = "validation" if is_aside else "train"
            line = json.loads(text)
            _put(sinks[name], line | {key: empty for key, empty in used.items() if key not in line}, report)
            report.written[name] += 1
        for into in sinks.values():
            into.close()


def _lines(rows: Iterable[Any], made: Format, report: Report) -> Iterator[tuple[TrainingRow, dict[str, Any]]]:
    for row in rows:
        if isinstance(row, Quarantined):
            report.quarantined[row.reason] += 1
            continue
        try:
            line = made.shape(row)
        except LeftOut as left:
            report.left_out[left.reason] += 1
        else:
            yield row, line


def _put(into: Sink, line: dict[str, Any], report: Report) -> None:
    try:
        into.add(line)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"a row cannot be written as {report.format}: {error}") from None


@contextmanager
def _spool() -> Iterator[IO[str]]:
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8", prefix="augtui-export-") as spool:
            yield spool
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "Rows that are split wait there; TMPDIR names another folder."
        raise OutputError(f"no space left in {tempfile.gettempdir()}", hint=hint) from None


# ----------------------------------------------------------------------------------------------------- the folder


def _write_folder(
    rows: Iterable[Any],
    made: Format,
    target: Path,
    validation: float,
    seed: int,
    facts: CardFacts,
    report: Report,
    tally: Tally,
) -> None:
    with _whole_folder(target) as folder:
        data = folder / "data"
        data.mkdir()
        names = ["train", "validation"] if validation else ["train"]
        places = {name: f"data/{name}-00000-of-00001.parquet" for name in names}
        with ExitStack() as stack:
            files = {name: stack.enter_context(WholeFile(folder / place)) for name, place in places.items()}
            if validation:
                _write_split(rows, made, files, validation, seed, report, tally)
            else:
                _write_one(rows, made, files["train"], report, tally)
        for name in [name for name in places if not report.written[name]]:
            if report.rows:  # `datasets` refuses a split without rows
                (folder / places.pop(name)).unlink()
        report.paths = {name: str(target / place) for name, place in places.items()}
        counts = {name: report.written[name] for name in places}
        with WholeFile(folder / "README.md") as file:
            file.write(card.write(facts, tally, counts, report.left_out, seed))


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder that takes the target's place when the block ends well.

    An export that stands there is replaced; any other folder with something in it is not. Raises OutputError.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not _may_be_replaced(target):
        raise OutputError(
            f"{target} cannot be written: it is there already, and no export of augtui's",
            hint="Name another folder, or remove that one.",
        )
    unique = secrets.token_hex(8)
    fresh, old = (target.parent / f".augtui-{unique}.{end}" for end in ("tmp", "old"))
    try:
        fresh.mkdir()
        yield fresh
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        for folder in (fresh, old):
            with suppress(OSError):
                shutil.rmtree(folder)


def _may_be_replaced(target: Path) -> bool:
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir()}
    if not names:
        return True
    if not names <= {"README.md", "data"}:
        return False
    try:
        return card.SIGN in (target / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False

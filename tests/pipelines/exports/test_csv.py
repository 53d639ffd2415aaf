"""Tables that are safe to open: no cell is a formula, and our own reader gives back what was there."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.pipelines import collect
from augtui.pipelines.exports import rows, writer
from augtui.pipelines.exports.rows import TrainingRow
from augtui.pipelines.formula import escaped, unescaped

SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
BODIES = (
    "1+1", "cmd|' /C calc'!A0", 'HYPERLINK("http://x","y")', "SUM(1)*cmd|'/c calc'!A", "IMPORTXML(CONCAT(\"http://x\"))",
    "2+5+cmd|'/C calc'!'A0'", "", "'", '"', "\t=1",
)  # fmt: skip
BEFORE = ("", " ", "\u00a0", "'", "\ufeff")
PAYLOADS = ["".join(parts) for parts in itertools.product(BEFORE, SIGNS, BODIES)]


def is_live(cell: str) -> bool:
    """Say whether a spreadsheet may take a cell for a formula: OWASP's list, after what programs strip."""
    return cell[:1] in SIGNS or cell.strip().lstrip("\ufeff\u200b\u00a0 ")[:1] in SIGNS


def test_no_payload_is_live_and_all_come_back(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    assert len(PAYLOADS) >= 500
    made = [
        TrainingRow(f"{payload}", payload + "x", payload, payload + "s", (), payload, payload, "en", payload)
        for payload in PAYLOADS
    ]
    target = tmp_path / "out.csv"
    assert writer.write(made, "csv", target).rows == len(PAYLOADS)
    with target.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) == 10 * (len(PAYLOADS) + 1)
    assert [cell for cell in cells if is_live(cell)] == []
    table = pandas.read_csv(target, dtype=str, keep_default_na=False, engine="python")
    assert [cell for column in table for cell in table[column] if is_live(cell)] == []
    clean = [payload for payload in PAYLOADS if "\0" not in payload]
    read = [one for one in collect.read(target) if isinstance(one, Record)]
    assert [one.instruction for one in read] == [payload + "x" for payload in clean]
    for one, payload in zip(read, clean, strict=True):
        assert one.response is None or one.response == payload
        assert one.extra.get("rejected") in (payload, None)


@given(st.text(max_size=20))
def test_marks_come_off_as_they_went_on(text: str) -> None:
    safe = escaped(text)
    assert not is_live(safe)
    assert unescaped(safe) == text


def test_ordinary_cells_stay_as_they_are() -> None:
    for text in ("", "plain", "7 up", "指令", "(a)", "a=b", "Ünder"):
        assert escaped(text) == text


def test_apostrophes_of_other_tables_stay() -> None:
    found = list(collect.read("-", stdin=io.BytesIO(b"prompt,x\n'=1+1,2\n")))
    assert [one.instruction for one in found if isinstance(one, Record)] == ["'=1+1"]


def test_a_row_makes_the_round_through_csv_and_jsonl(tmp_path: Path) -> None:
    row = TrainingRow(
        "id-1", "Line 1\r\nLine \"2\"\rLine 3, end", "=answer", "-system", (("+u", "@a"), ("x", "y")), "'rejected",
        "fam", "en", "expand", {"model": "=m", "line": 3},
    )  # fmt: skip
    for format, name in (("csv", "a.csv"), ("jsonl", "a.jsonl"), ("parquet", "a.parquet")):
        writer.write([row], format, tmp_path / name)
        assert list(rows.of_path(tmp_path / name)) == [row], format

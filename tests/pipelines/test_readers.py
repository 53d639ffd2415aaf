"""Rows of CSV and TSV, and of JSON texts that are one object."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.records import Quarantined, Record
from augtui.errors import InputError
from augtui.pipelines import collect


def read(text: str | bytes, **options: Any) -> list[Record | Quarantined]:
    data = text.encode() if isinstance(text, str) else text
    return list(collect.read("-", stdin=io.BytesIO(data), **options))


def shape(found: list[Record | Quarantined]) -> list[tuple[int | None, str]]:
    return [(one.line, one.reason if isinstance(one, Quarantined) else one.instruction) for one in found]


def test_quoted_cells_hold_line_ends_quotes_and_delimiters() -> None:
    found = read('id,prompt\r\n1,"a,\r\n""b"""\r\n\r\n2,c\r\n')
    assert shape(found) == [(1, 'a,\r\n"b"'), (2, "c")]


def test_cell_beyond_the_default_limit_of_the_csv_module() -> None:
    assert len(read(f'prompt,x\n"{"y" * 200_000}",1\n')) == 1


def test_lone_carriage_returns_end_lines() -> None:
    assert shape(read("id,prompt\r1,a\r2,b\r")) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_told_by_the_header(delimiter: str) -> None:
    text = "id,Prompt,x\n1,a b,2\n".replace(",", delimiter)
    (record,) = read(text)
    assert isinstance(record, Record)
    assert (record.source_id, record.instruction, record.extra) == ("1", "a b", {"x": "2"})


def test_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    rows = [f"{n},text {n}" for n in range(500)]
    rows[100] = '100,"open'
    found = read("id,prompt\n" + "\n".join(rows) + "\n")
    assert [one for one in shape(found) if not one[1].startswith("text")] == [(101, "broken CSV")]
    assert len(found) == 500


def test_tsv_rows_with_stray_quotes_are_split_at_tabs() -> None:
    found = read('id\tprompt\n1\t"Yes" he said\n2\t"open\n3\t"with\ttab"\n')
    assert shape(found) == [(1, '"Yes" he said'), (2, '"open'), (3, "with\ttab")]


def test_rows_of_another_width() -> None:
    found = read("id,prompt,x\n1,a\n2,b,c,d\n3\n4,e,f,,\n")
    assert shape(found) == [(1, "a"), (2, "more cells than columns"), (3, "empty"), (4, "e")]


def test_nul_in_a_cell() -> None:
    assert shape(read(b"id,prompt\n1,a\0b\n2,c\n", format="csv")) == [(1, "NUL byte"), (2, "c")]


def test_row_longer_than_the_limit() -> None:
    long = "x" * (17 << 20)
    assert shape(read(f"id,prompt\n1,a\n2,{long}\n3,b\n")) == [(1, "a"), (2, "longer than 16 MiB"), (3, "b")]
    found = read(f'id,prompt\n1,"open\n2,{long}\n3,b\n')
    assert shape(found) == [(1, "broken CSV"), (2, "longer than 16 MiB"), (3, "b")]
    many = '"' + "0123456789abcde\n" * (1 << 20) + 'end"'
    assert shape(read(f"id,prompt\n1,{many}\n2,b\n", limit=1))[0] == (1, "broken CSV")


@pytest.mark.parametrize("header", ["prompt,prompt", "pr\xf6mpt,text"])
def test_unusable_header_is_refused(header: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(header.encode("latin-1") + b"\na,b\n")
    with pytest.raises(InputError, match=r"two columns named 'prompt'|not UTF-8"):
        list(collect.read(path))


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
            st.text(st.characters(exclude_characters="\0", codec="utf-8")),
        )
    )
)
def test_what_the_csv_module_writes_is_read_back(cells: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("prompt", "x"), ("first", ""), *cells])
    found = read(file.getvalue(), format="csv")
    assert len(found) == len(cells) + 1
    for (prompt, x), one in zip(cells, found[1:], strict=True):
        if isinstance(one, Record):
            assert (one.instruction, one.extra) == (prompt, {"x": x})
        else:
            assert one.reason == "empty"


# --------------------------------------------------------------------------------------------- JSON object


def test_object_with_one_array_of_rows() -> None:
    document = {"version": 2, "tags": ["x"], "data": [{"text": "a"}, {"text": "b"}]}
    assert shape(read(json.dumps(document))) == [(1, "a"), (2, "b")]
    assert shape(read(json.dumps(document, indent=2))) == [(1, "a"), (2, "b")]


def test_object_with_several_arrays_names_each_rows_split() -> None:
    found = read(json.dumps({"train": [{"text": "a"}], "test": [{"text": "b"}, {"text": "c", "split": "d"}]}))
    assert [(one.line, dict(one.extra)) for one in found if isinstance(one, Record)] == [
        (1, {"split": "train"}),
        (2, {"split": "test"}),
        (3, {"split": "d"}),
    ]


def test_object_that_is_a_row_itself() -> None:
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (record,) = read(json.dumps(row, indent=1))
    assert isinstance(record, Record)
    assert (record.instruction, record.response, record.extra) == ("a", "b", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"text": "a"}\n{"text": "b"}\n', [(1, "a"), (2, "b")]),
        ('{"text": \n{"text": "b"}\n{"text": "c"}\n', [(1, "broken JSON"), (2, "b"), (3, "c")]),
        ('{"text": "a"}\nx\n', [(1, "a"), (2, "broken JSON")]),
        ('["a", "b"]\n["c"]\n', [(1, "a"), (2, "c")]),
        ('["a",\n"b"\n]\n', [(1, "a"), (2, "b")]),
        ('"a"\n"b"\n', [(1, "a"), (2, "b")]),
        ('"a" is a letter\n', [(1, '"a" is a letter')]),
        ('\n\n [\n{"text": "a"}\n,{"text": "b"}]\n', [(1, "a"), (2, "b")]),
        ('[{"text": "a"}]\n[{"text": "b"}]\n', [(1, "a"), (2, "b")]),
        ('[{"text": "a"} {"text": "b"},]', [(1, "a"), (2, "b")]),
        ("Write a poem, please.\nSing\n", [(1, "Write a poem, please."), (2, "Sing")]),
    ],
)  # fmt: skip
def test_format_is_told_by_the_content(text: str, expected: list[tuple[int, str]]) -> None:
    assert shape(read(text)) == expected

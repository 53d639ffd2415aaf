"""Reading whole data sets: real files, formats, and the law that every line is accounted for."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augtui.domain.records import Quarantined, Record
from augtui.errors import InputError
from augtui.pipelines import collect
from augtui.pipelines.formats import FORMATS

ROW = {"instruction": "Name a colour.", "output": "Red."}
ROW_LINE = json.dumps(ROW).encode() + b"\n"


def read(data: bytes, **options: Any) -> list[Record | Quarantined]:
    return list(collect.read("-", stdin=io.BytesIO(data), **options))


def records(data: bytes, **options: Any) -> list[Record]:
    found = read(data, **options)
    assert all(isinstance(one, Record) for one in found), found
    return [one for one in found if isinstance(one, Record)]


def reasons(found: list[Record | Quarantined]) -> list[tuple[int, str]]:
    return [(one.line, one.reason) for one in found if isinstance(one, Quarantined)]


REAL = {
    "seeds/self_instruct_seed_tasks.jsonl": (175, 175),
    "seeds/self_instruct_user_oriented.jsonl": (252, 252),
    "seeds/easydistill_seed_instructions_30.jsonl": (30, 0),
    "seeds/awesome_prompts_classic.csv": (224, 0),
    "seeds/awesome_prompts_zh.json": (124, 0),
    "collect/alpaca_cleaned_1000.json": (1000, 1000),
    "collect/alpaca_zh_demo.json": (1000, 1000),
    "collect/lccc_toy.json": (1400, 1400),
    "collect/belle_zh_seed_tasks.json": (175, 175),
    "collect/oasst1_sft_zh.json": (689, 689),
    "train/oasst1_preference_zh.json": (775, 775),
    "train/instruction_data_1100.json": (1100, 1100),
    "train/instruction_data_with_preference.json": (1100, 1100),
    "train/gsm8k_train.jsonl": (7473, 7473),
    "train/gsm8k_test.jsonl": (1319, 1319),
    "train/dolly_6400_instructions.jsonl": (6400, 0),
    "refine/bpo_val.json": (300, 300),
    "evaluate/cherry_alpaca_ifd_5_percent.json": (3111, 3111),
    "evaluate/alpaca_52k.json.xz": (52002, 51974),
}
"""File -> records, and how many of them have a response (28 rows of Alpaca have an empty one)."""


@pytest.mark.parametrize(("name", "expected"), REAL.items(), ids=str)
def test_published_data_sets_are_read_whole(shared_data: Path, name: str, expected: tuple[int, int]) -> None:
    found = list(collect.read(shared_data / name))
    answered = [one for one in found if isinstance(one, Record) and one.response is not None]
    assert reasons(found) == []
    assert (len(found), len(answered)) == expected
    assert len({one.id for one in found if isinstance(one, Record)}) == len(found)


def test_alpaca_input_and_self_instruct_instances_are_joined(shared_data: Path) -> None:
    belle = next(iter(collect.read(shared_data / "collect/belle_zh_seed_tasks.json")))
    assert isinstance(belle, Record)
    assert belle.instruction == "请以下面词语为主题写一首诗\n\n夏天"
    assert belle.source_id == "seed_task_8"
    assert belle.extra == {"name": "english_haiku_generation", "is_classification": False}
    alpaca = json.loads((shared_data / "collect/alpaca_cleaned_1000.json").read_text())
    for row, record in zip(alpaca, collect.read(shared_data / "collect/alpaca_cleaned_1000.json"), strict=True):
        joined = f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]
        assert isinstance(record, Record)
        assert (record.instruction, record.response) == (joined, row["output"])


def test_file_with_other_names_needs_its_field_named(shared_data: Path) -> None:
    data = b'{"Task": "t", "Goal": "g"}\n' * 3
    with pytest.raises(InputError, match=r"fields found: 'Task', 'Goal'") as caught:
        read(data)
    assert caught.value.hint == "name the field with --field NAME"
    path = shared_data / "evaluate/mathqa_dev.json"
    for field in ("Problem", "problem", None):
        assert len(list(collect.read(path, field=field))) == 4475


def test_snips_utterances_are_parts_to_join_and_their_file_names_the_intent(shared_data: Path) -> None:
    first = next(iter(collect.read(shared_data / "train/snips/AddToPlaylist.json", shape="snips")))
    assert isinstance(first, Record)
    assert first.instruction == "add Stani, stani Ibar vodo songs in my playlist música libre"
    assert first.response == "AddToPlaylist"
    for path in sorted((shared_data / "train/snips").iterdir()):
        found = [one for one in collect.read(path, shape="snips") if isinstance(one, Record)]
        assert len(found) == (100 if "validate" in path.name else 300)
        assert {one.response for one in found} == {path.stem.removesuffix("_validate")}


def test_an_encoding_can_be_named() -> None:
    latin = '{"instruction": "música"}\n'.encode("latin-1")
    assert [one.instruction for one in records(latin, encoding="latin-1")] == ["música"]
    assert [one.instruction for one in records("指令".encode("gb18030"), encoding="gb18030")] == ["指令"]
    assert reasons(read(b'"ok"\n"\x81\xff"\n', encoding="gb18030")) == [(2, "not UTF-8")]
    for unknown in ("klingon", "rot13", "zip", "idna"):
        with pytest.raises(InputError, match="unknown encoding"):
            read(latin, encoding=unknown)


def test_lccc_characters_are_joined(shared_data: Path) -> None:
    found = [one for one in collect.read(shared_data / "collect/lccc_toy.json") if isinstance(one, Record)]
    assert (found[0].instruction, found[0].response) == ("遭淋安逸了？", "是哈，你没遭撒？")
    assert not [one for one in found if " " in one.instruction.strip()]
    every = [one for one in collect.read(shared_data / "collect/lccc_toy.json", choice="all", shape="lccc")
             if isinstance(one, Record)]  # fmt: skip
    dialogues = json.loads((shared_data / "collect/lccc_toy.json").read_text())
    assert len(every) == sum(max(1, len(lines) // 2) for rows in dialogues.values() for lines in rows)
    third = next(one for one in every if one.extra.get("history"))
    assert third.extra["history"] == [["遭淋安逸了？", "是哈，你没遭撒？"]]
    assert (third.instruction, third.response) == ("晚班", "那起来这么早，这天气多适合睡觉")


def test_wrong_encoding_is_quarantined_line_by_line() -> None:
    data = ROW_LINE + '{"instruction": "música"}\n'.encode("latin-1") + ROW_LINE
    found = read(data)
    assert reasons(found) == [(2, "not UTF-8")]
    assert [one.occurrence for one in found if isinstance(one, Record)] == [0, 1]
    array = b"[" + b",".join(line.strip() for line in data.splitlines()) + b"]"
    assert reasons(read(array)) == [(2, "not UTF-8")]
    document = b'{"data": ' + array + b"}"
    assert reasons(read(document)) == [(2, "not UTF-8")]
    table = 'id,prompt\n1,blue\n2,música\n3,"gr\nün"\n'.encode("latin-1")
    assert reasons(read(table)) == [(2, "not UTF-8"), (3, "not UTF-8")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(encoding: str) -> None:
    text = '{"instruction": "größer 𝄞"}\n{"instruction": "b"}\n'
    assert [one.instruction for one in records(text.encode(encoding))] == ["größer 𝄞", "b"]
    assert [one.instruction for one in records("prompt,x\nä,1\n".encode(encoding))] == ["ä"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstd.compress])
def test_packed_files_are_unpacked(pack: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.packed"
    path.write_bytes(pack(b"prompt,x\na,1\n") + pack(b"b,2\n"))
    assert [one.instruction for one in collect.read(path) if isinstance(one, Record)] == ["a", "b"]
    path.write_bytes(pack(ROW_LINE * 1000)[:-12])
    with pytest.raises(InputError, match=r"cut off|cannot be unpacked"):
        list(collect.read(path))


@pytest.mark.parametrize("pack", [lzma.compress, zstd.compress])
def test_decompression_bomb_is_refused(pack: Any) -> None:
    bomb = pack(ROW_LINE + b" " * (80 << 20))
    with pytest.raises(InputError, match="decompression bomb"):
        read(bomb)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGUF\x03\0\0\0", "a GGUF model"),
        (b"PK\x03\x04rest", "ZIP archive"),
        (b"\x28\xb5\x2f\xfdrest", "cut off"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 200, "cannot be unpacked"),
        ("ab".encode("utf-32"), "UTF-32"),
        (b"ab\0cd\n", "not text"),
        (b"", "no rows"),
        (b"\n \n", "no rows"),
        (b'{"data": [', "neither JSON lines nor one JSON text"),
        (b"PAR1 and no Parquet", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_data_set_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data)


def test_the_first_line_that_tells_excel_the_separator_is_no_header() -> None:
    (record,) = read(b"\xef\xbb\xbfsep=;\r\ninstruction;output\r\nSay a;b\r\n", format="csv")
    assert isinstance(record, Record)
    assert (record.instruction, record.response, record.line) == ("Say a", "b", 1)


def test_an_object_of_rows_by_their_ids_is_read() -> None:
    data = b'{"a": {"question": "Why?", "answer": "So."}, "b": {"id": 7, "question": "How?"}}'
    found = [record for record in read(data) if isinstance(record, Record)]
    assert [(record.instruction, record.response, record.source_id) for record in found] == [
        ("Why?", "So.", "a"),
        ("How?", None, 7),
    ]
    with pytest.raises(InputError, match="no row of"):
        read(b'{"a": {"x": 1}, "b": {"question": "How?"}}')


def test_objects_on_several_lines_each_are_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="Extra data") as caught:
        read(b'{\n "instruction": "a"\n}\n{\n "instruction": "b"\n}\n')
    assert "jq -c" in str(caught.value.hint)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(collect.read(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="is a folder"):
        list(collect.read(tmp_path))
    with pytest.raises(InputError, match="unknown format 'xml'") as caught:
        read(ROW_LINE, format="xml")
    assert caught.value.hint is not None
    assert "jsonl" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"instruction": ', "broken JSON"),
        (b"{'instruction': 'a'}", "broken JSON"),
        (b"5", "not an object"),
        (b"null", "not an object"),
        (b'[["a"]]', "not an object"),
        (b'{"instruction": " \\n"}', "empty"),
        (b'{"instruction": "\\u200b"}', "empty"),
        (b'{"instruction": "a\\u0000b"}', "NUL byte"),
        (b'{"instruction": "\\ud800"}', "lone surrogate"),
        (b'{"instruction": "a", "more": ["\\udfff"]}', "lone surrogate"),
        (b'{"instruction": "a", "\\udfff": 1}', "lone surrogate"),
        (b'{"instruction": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"instruction": "a", "score": NaN}', "NaN or infinity"),
        (b'{"instruction": "a", "score": -Infinity}', "NaN or infinity"),
        (b'{"instruction": "a", "score": 1e999}', "NaN or infinity"),
        (b'{"instruction": "a", "n": ' + b"9" * 5000 + b"}", "number too long"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"instruction": "a", "n": ' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
        (b'{"title": "a"}', "no instruction field"),
        (b'{"instruction": null}', "no instruction field"),
        (b'{"instruction": 5}', "instruction is not text"),
        (b'{"messages": [{"role": "system", "content": "a"}]}', "instruction is not text"),
    ],
)
def test_bad_row_is_quarantined_with_its_line_and_the_rest_goes_on(line: bytes, reason: str) -> None:
    found = read(ROW_LINE + line + b"\n\n" + ROW_LINE)
    assert reasons(found) == [(2, reason)]
    assert [one.line for one in found] == [1, 2, 4]
    assert all(len(one.excerpt) <= 200 for one in found if isinstance(one, Quarantined))
    if reason not in ("broken JSON", "not an object", "nested too deeply"):
        array = b"[" + ROW_LINE + b"," + line + b"," + ROW_LINE + b"]"
        assert reasons(read(array)) == [(2, reason)]


def test_integer_beyond_sqlite_becomes_a_text_id() -> None:
    big, small = records(b'{"id": 99999999999999999999, "text": "a"}\n{"id": 7, "text": "a"}\n')
    assert (big.source_id, small.source_id) == ("99999999999999999999", 7)


def test_duplicate_keys_keep_the_last() -> None:
    assert records(b'{"text": "a", "text": "b"}\n' * 2)[0].instruction == "b"


def test_equal_contents_are_counted() -> None:
    lines = b'{"text": "a", "n": 1}\n{"text": "b"}\n{"text": "a"}\n{"text": "a", "answer": "x"}\n'
    assert [one.occurrence for one in records(lines)] == [0, 0, 1, 0]


def test_limit_counts_records() -> None:
    found = read(b"x\n" + ROW_LINE * 5, format="jsonl", limit=2)
    assert [type(one) for one in found] == [Quarantined, Record, Record]


def test_broken_rows_do_not_make_a_file_fieldless() -> None:
    assert len(read(b"x\n" * 200 + ROW_LINE, format="jsonl")) == 201


def test_fieldless_file_is_refused_after_a_hundred_rows() -> None:
    seen = []
    with pytest.raises(InputError, match="fields found: 'title'"):
        for one in collect.read("-", stdin=io.BytesIO(b'{"title": "a"}\n' * 1000 + ROW_LINE)):
            seen.append(one)
    assert len(seen) == 99


def test_parquet_row_groups(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    rows = [
        {"prompt": f"p{n}", "answer": "a", "score": float("nan"), "blob": b"xyz", "tags": ["t"]} for n in range(2500)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    found = [one for one in collect.read(path) if isinstance(one, Record)]
    assert [one.instruction for one in found] == [f"p{n}" for n in range(2500)]
    assert found[-1].line == 2500
    assert found[0].extra == {"score": None, "blob": "<3 bytes>", "tags": ["t"]}
    assert records(path.read_bytes()) == found


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError) as caught:
        read(b"PAR1....")
    assert caught.value.hint == "pip install 'augtui[parquet]'"


# ------------------------------------------------------------------------------------------------- the law


def blank(line: bytes, format: str) -> bool:
    if not line.strip():
        return True
    if format == "jsonl":
        return False
    try:
        return not line.decode().removeprefix("\ufeff").strip()
    except UnicodeDecodeError:
        return False


def assert_every_line_is_accounted_for(lines: list[bytes], format: str) -> Counter[str]:
    # The first line keeps the others from being taken for a packed file, a byte order mark or a fieldless set.
    lines = [ROW_LINE.strip(), *lines]
    found = read(b"\n".join(lines) + b"\n", format=format)
    assert [one.line for one in found] == [
        number for number, line in enumerate(lines, start=1) if not blank(line, format)
    ]
    for one in found:
        assert_storable(one)
    return Counter(one.reason if isinstance(one, Quarantined) else "record" for one in found)


def assert_storable(one: Record | Quarantined) -> None:
    if isinstance(one, Quarantined):
        one.excerpt.encode()
        return
    assert one.instruction.strip()
    assert "\0" not in one.instruction + (one.response or "")
    json.dumps([one.instruction, one.response, one.extra], ensure_ascii=False, allow_nan=False).encode()
    assert not isinstance(one.source_id, int) or -(1 << 63) <= one.source_id < 1 << 63
    assert len(one.id) == 24


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b""))), st.sampled_from(("jsonl", "text")))
def test_every_line_of_any_bytes_is_accounted_for(lines: list[bytes], format: str) -> None:
    assert_every_line_is_accounted_for(lines, format)


any_text = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=2),
    max_leaves=4,
)
names = st.sampled_from(
    ["instruction", "Prompt", "text", "messages", "input", "instances", "output", "chosen", "id", "a.b", "x"]
)
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "gpt"])},
        optional={"content": json_values, "value": any_text},
    ),
    max_size=3,
)
rows = st.dictionaries(names, json_values | turns, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, max_size=3), st.sampled_from([None, "x", "a.b", "messages.0.content"]))
def test_rows_of_any_values_are_read_alike_in_lines_and_arrays(values: list[dict[str, Any]], field: str | None) -> None:
    first = {"instruction": "a", "x": "a", "a.b": "a", "messages": [{"content": "a"}]}
    values = [first, *values]
    as_lines = read("".join(f"{json.dumps(value)}\n" for value in values).encode(), field=field, format="jsonl")
    as_array = read(json.dumps(values, indent=1).encode(), field=field, format="json")
    assert len(as_lines) == len(values)
    for one, other in zip(as_lines, as_array, strict=True):
        assert_storable(one)
        if isinstance(one, Record) and isinstance(other, Record):
            assert (one.instruction, one.response, one.extra) == (other.instruction, other.response, other.extra)
        else:
            assert isinstance(one, Quarantined)
            assert isinstance(other, Quarantined)
            assert one.reason == other.reason


@given(
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from([b"[", b"{", b"}", b"]", b",", b'"', b'"text":', b"a", b"\n", b"\r", b"\t", b"\\ud800"])
    ).map(b"".join),
    st.sampled_from([None, *FORMATS]),
)
def test_any_bytes_in_any_format_raise_nothing_but_input_errors(data: bytes, format: str | None) -> None:
    try:
        for one in read(data, format=format):
            assert_storable(one)
    except InputError as error:
        assert "\n" not in error.message


def fuzzed(seed: int, count: int) -> list[bytes]:
    """Return lines that are good, damaged in the ways of real files, or noise."""
    chance = random.Random(seed)
    good = [
        ROW_LINE.strip(),
        '{"prompt": "你好 🙂", "id": 3, "more": {"a": [1, 2.5, null]}}'.encode(),
        b'{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}]}',
        b'"just a string"',
        b'["one", "two", "three"]',
    ]
    bad = [
        b"", b" \t", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf" + ROW_LINE.strip(), b"\x00", b"nul\x00",
        b"[" * 5000, b'{"a":' * 5000, b"NaN", b"-Infinity", b"1e999", b"9" * 9999, b'{"text": "\\ud83d"}',
        b'{"text": "\\udc00\\ud83d"}', b'{"text": "\xff"}', b"\xed\xa0\x80", b'{"text": ""}', b'{"text": {}}',
        b'{"text": "a\\u0000b"}', b'{"messages": []}', b'{"messages": [[[]]]}', b'{"text": 1, "text": "b"}',
        b"{}", b"[]", b"true", b"\x1b]52;c;AAAA\x07", "\u3000\u2028".encode(), b'{"": ""}', b'{"text": "a"} x',
    ]  # fmt: skip
    lines = []
    for _ in range(count):
        line = bytearray(chance.choice(good if chance.random() < 0.5 else bad))
        if chance.random() < 0.4 and line:
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(line))
                match chance.randrange(4):
                    case 0:
                        line[at] = chance.randrange(256)
                    case 1:
                        del line[at:]
                    case 2:
                        line[at:at] = chance.randbytes(chance.randint(1, 4))
                    case _:
                        line[at:at] = line[: chance.randint(1, 8)]
                line = line.replace(b"\n", b" ") or bytearray(b" ")
        lines.append(bytes(line))
    return lines


@pytest.mark.parametrize("format", ["jsonl", "text"])
def test_twenty_thousand_fuzzed_lines_are_accounted_for(format: str) -> None:
    counts = assert_every_line_is_accounted_for(fuzzed(20_261_121, 20_000), format)
    assert counts["record"] > 5000
    assert {"not UTF-8"} <= counts.keys()
    if format == "jsonl":
        assert {"broken JSON", "not an object", "lone surrogate", "NUL byte", "nested too deeply"} <= counts.keys()


def test_array_goes_on_after_each_broken_element() -> None:
    good = [json.dumps({"text": f"row {n}"}).encode() for n in range(2000)]
    bad = [line for line in fuzzed(7, 2000) if line.strip() and len(line) < 200 and b'"' not in line]
    pieces = [piece for row, line in zip(good, bad, strict=False) for piece in (row, line, row)]
    found = read(b"[" + b",\n".join(pieces) + b"]", format="json")
    texts = Counter(one.instruction for one in found if isinstance(one, Record))
    assert len(pieces) > 1000
    # A row next to a broken element is never lost on both sides of it.
    assert all(texts[f"row {n}"] >= 1 for n in range(len(pieces) // 3))


def test_no_row_is_taken_from_inside_a_broken_element() -> None:
    good = '{"id": 1, "data": [{"text": "a"}, {"text": "b"}]}'
    broken = '{"id": 2, "data": [{"text" "a"}, {"text": "b"}]}'
    refused = '{"id": 3, "score": NaN, "data": [{"text": "a"}, {"text": "b"}]}'
    found = read(f"[{good}, {broken}, {refused}, {good}]".encode(), field="data")
    assert reasons(found) == [(2, "broken JSON"), (3, "NaN or infinity")]
    assert [one.source_id for one in found if isinstance(one, Record)] == [1, 1]


def test_array_without_its_end_says_so() -> None:
    assert reasons(read(b"[" + ROW_LINE)) == [(2, "JSON array is not closed")]
    assert reasons(read(b"[" + ROW_LINE + b', {"text": "a')) == [(2, "broken JSON")]
    assert reasons(read(b"[" + ROW_LINE + b"] more")) == [(2, "text outside the JSON array")]


# -------------------------------------------------------------------------------------------- size and memory


def test_line_longer_than_the_limit_is_one_quarantined_line_and_never_held() -> None:
    class Endless(io.RawIOBase):
        """A good line, one of 200 MiB, and a good one again, made while they are read."""

        def __init__(self) -> None:
            self.parts = iter([ROW_LINE, *([b'{"text": "' + b"x" * (1 << 20)] * 200), b"\n", ROW_LINE])

        def read(self, size: int = -1) -> bytes:
            return next(self.parts, b"")

    tracemalloc.start()
    found = list(collect.read("-", stdin=Endless(), format="jsonl"))  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.line for one in found] == [1, 2, 3]
    assert reasons(found) == [(2, "longer than 16 MiB")]
    assert peak < 80 << 20


@pytest.mark.parametrize("opening", [b'{"text": "', b'{"text": [', b"["])
def test_array_element_longer_than_the_limit_is_skipped(opening: bytes) -> None:
    filler = b"x" if opening.endswith(b'"') else b"1,"
    long = opening + filler * ((17 << 20) // len(filler))
    found = read(b"[" + ROW_LINE + b"," + long + b'"},' + ROW_LINE + b"," + ROW_LINE + b"]", format="json")
    assert reasons(found) == [(2, "longer than 16 MiB")]
    assert [one.line for one in found] == [1, 2, 3, 4]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    with path.open("w") as file:
        file.write("[")
        for n in range(40_000):
            file.write(json.dumps({"text": f"row {n} " + "x" * 1000}) + ("," if n < 39_999 else "]"))
    tracemalloc.start()
    count = sum(1 for _ in collect.read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 40_000
    assert peak < 16 << 20

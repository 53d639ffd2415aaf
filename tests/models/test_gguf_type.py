"""A file's type by its own word; whatever the file holds, the answer is a type or None."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from augtui.models.gguf_type import FILE_TYPES, file_type


def test_the_default_model_is_q8_0(default_model: Path) -> None:
    assert file_type(default_model) == "Q8_0"


def test_types_have_the_numbers_of_the_gguf_package() -> None:
    import pytest

    gguf = pytest.importorskip("gguf")
    for number, name in FILE_TYPES.items():
        assert gguf.LlamaFileType(number).name.partition("_")[2] == name


def test_no_file_and_no_gguf_have_none(tmp_path: Path) -> None:
    assert file_type(tmp_path / "absent") is None
    (tmp_path / "a").write_bytes(b"not a model, and long enough to have a header")
    assert file_type(tmp_path / "a") is None


@given(cut=st.integers(0, 600), place=st.integers(0, 599), value=st.integers(0, 255))
def test_damaged_files_have_a_type_or_none(
    default_model: Path, tmp_path_factory: object, cut: int, place: int, value: int
) -> None:
    data = bytearray(default_model.read_bytes()[:600])
    data[place] = value
    path = Path(str(tmp_path_factory.getbasetemp())) / "damaged.gguf"  # type: ignore[attr-defined]
    path.write_bytes(bytes(data[:cut]))
    assert file_type(path) in {None, *FILE_TYPES.values()}

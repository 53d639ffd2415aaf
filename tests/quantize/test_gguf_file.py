"""Files appear whole or not at all, and what is written is what the library reads back."""

from pathlib import Path

import pytest

gguf = pytest.importorskip("gguf")

import numpy as np  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from quantize.gguf_file import TensorSource, write_gguf  # noqa: E402
from quantize.whole_file import whole_file  # noqa: E402


def test_a_file_is_replaced_only_when_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"old")
    with pytest.raises(KeyError), whole_file(tmp_path / "model") as partial:
        partial.write_bytes(b"half of the ne")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == b"old"
    with whole_file(tmp_path / "model") as partial:
        partial.write_bytes(b"new")
        assert (tmp_path / "model").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == b"new"


SHAPES = st.lists(
    st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 9), st.integers(1, 5))), min_size=1, max_size=5
)


@given(shapes=SHAPES)
@settings(max_examples=40, deadline=None)
def test_tensors_come_back(tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, ...]]) -> None:
    path = tmp_path_factory.mktemp("file") / "out.gguf"
    random = np.random.default_rng(0)
    # Rows of 32 values, so that every type fits.
    values = [random.standard_normal((*shape, 32), dtype=np.float32) for shape in shapes]
    kinds = [gguf.GGMLQuantizationType[("F32", "F16", "Q8_0")[number % 3]] for number in range(len(values))]
    write_gguf(
        path,
        "qwen2",
        lambda writer: None,
        [
            TensorSource(f"tensor{number}", value.shape, kind, lambda start, stop, value=value: value[start:stop])
            for number, (value, kind) in enumerate(zip(values, kinds, strict=True))
        ],
    )
    read = gguf.GGUFReader(path).tensors
    assert [tensor.name for tensor in read] == [f"tensor{number}" for number in range(len(values))]
    for tensor, value, kind in zip(read, values, kinds, strict=True):
        assert [int(size) for size in tensor.shape] == list(reversed(value.shape))
        assert tensor.data.tobytes() == gguf.quants.quantize(value, kind).tobytes()

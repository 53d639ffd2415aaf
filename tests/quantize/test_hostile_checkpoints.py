"""Whatever the small files of a checkpoint hold, the answer is a file or a `ConversionError`, nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")
pytest.importorskip("torch")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantize.convert import convert
from quantize.errors import ConversionError

FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 1 << 70),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(0, 3) | st.text(max_size=2), max_size=3),
    st.dictionaries(st.sampled_from(["type", "rope_type", "content", "a"]), st.integers() | st.text(max_size=2)),
)


def places(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every container and key in a JSON value; of long ones, the first three keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    keys = keys if depth == 0 else keys[:12] if isinstance(value, dict) else keys[:3]
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key], depth + 1)]


@pytest.fixture(scope="module")
def folder(tied_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(tied_checkpoint, tmp_path_factory.mktemp("hostile") / "small")


@given(data=st.data(), name=st.sampled_from(FILES), value=VALUES, remove=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_other_exception(folder: Path, data: st.DataObject, name: str, value: Any, remove: bool) -> None:
    original = (folder / name).read_text()
    changed = json.loads(original)
    container, key = data.draw(st.sampled_from(places(changed)))
    if remove:
        del container[key]
    else:
        container[key] = value
    try:
        (folder / name).write_text(json.dumps(changed))
        convert(folder, folder.parent / "out.gguf", "F16")
        assert (folder.parent / "out.gguf").read_bytes()[:4] == b"GGUF"
    except ConversionError as error:
        assert str(error)
    finally:
        (folder / name).write_text(original)
        (folder.parent / "out.gguf").unlink(missing_ok=True)
        assert [path.name for path in folder.parent.iterdir()] == ["small"]


@pytest.mark.parametrize(
    "card", ["---\na: [\n---\n", "---\n- 1\n---\n", "---\nlicense: {a: 1}\ntags: 3\n---\n", "\x00"]
)
def test_a_strange_model_card_is_no_other_exception(folder: Path, card: str, tmp_path: Path) -> None:
    (folder / "README.md").write_text(card)
    try:
        convert(folder, tmp_path / "out.gguf", "F16")
    except ConversionError as error:
        assert "README.md" in str(error)
    finally:
        (folder / "README.md").unlink()

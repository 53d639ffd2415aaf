"""verify says yes to a faithful file, and no to one with another tokenizer, template or weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("llama_cpp")

from safetensors.torch import load_file, save_file  # noqa: E402

from augtui.domain.templates import Message  # noqa: E402
from augtui.engines.chat import ChatTemplate as EngineTemplate  # noqa: E402
from quantize.chat import ChatTemplate  # noqa: E402
from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.verify import CONVERSATIONS, PROMPTS, verify  # noqa: E402
from tests.quantize.conftest import TRAINING_TEXT  # noqa: E402


@pytest.fixture(scope="module")
def pair(tied_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    path = tmp_path_factory.mktemp("verify") / "f16.gguf"
    convert(tied_checkpoint, path, "F16")
    return tied_checkpoint, path


def test_a_faithful_file_passes(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(TRAINING_TEXT))
    report = verify(*pair, texts=[tmp_path / "text.txt"])
    assert report.passed, report.differences
    assert report.texts == len(PROMPTS) + len("\n".join(TRAINING_TEXT).splitlines())
    assert report.conversations == len(CONVERSATIONS)
    assert report.positions > 100
    assert 0 <= report.mean_kl <= report.max_kl < 1e-2
    assert report.file_type == "MOSTLY_F16"
    assert json.loads(json.dumps(report.as_json()))["passed"] is True


def changed(pair: tuple[Path, Path], folder: Path, name: str, change: Any) -> Path:
    copy = shutil.copytree(pair[0], folder / "changed")
    change(copy / name)
    return copy


def other_weights(path: Path) -> None:
    weights = load_file(path)
    weights["model.layers.1.mlp.down_proj.weight"] *= 1.5
    save_file(weights, path, metadata={"format": "pt"})


def other_merges(path: Path) -> None:
    tokenizer = json.loads(path.read_text())
    del tokenizer["model"]["merges"][10:]
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("model.safetensors", other_weights, "mean_kl"),
        ("tokenizer.json", other_merges, "different_tokens"),
        ("chat_template.jinja", lambda path: path.write_text("{{ messages[0].content }}"), "different_conversations"),
    ],
)
def test_another_model_is_found_out(
    pair: tuple[Path, Path], tmp_path: Path, name: str, change: Any, field: str
) -> None:
    report = verify(changed(pair, tmp_path, name, change), pair[1])
    assert not report.passed
    assert getattr(report, field) > 0
    assert report.differences or field == "mean_kl"


def test_texts_that_are_not_normalized_are_told_apart(make_checkpoint: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(make_checkpoint(), tmp_path / "nfc")
    tokenizer = json.loads((folder / "tokenizer.json").read_text()) | {"normalizer": {"type": "NFC"}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    convert(folder, tmp_path / "out.gguf", "F16")
    (tmp_path / "text.txt").write_text("cafe\u0301\nplain\n")
    report = verify(folder, tmp_path / "out.gguf", texts=[tmp_path / "text.txt"], logits=False)
    assert (report.different_tokens, report.not_normalized) == (1, 1)
    assert report.passed


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_the_engine_renders_chats_as_verify_does(conversation: Any) -> None:
    """`verify` stands for what the engine makes of a chat; the engine's own module is not to be imported there."""
    template = (
        "{%- for m in messages %}\n  {{- '<|' + m.role + '|>' + m['content'] | trim + eos_token }}\n{%- endfor %}"
        "\n{% if add_generation_prompt %}{{ bos_token }}<|assistant|>{% endif %}"
    )
    messages = [{"role": role, "content": content} for role, content in conversation]
    ours = ChatTemplate(template, "<s>", "</s>").render(messages)
    theirs = EngineTemplate(template, bos="<s>", eos="</s>").render(
        [Message(role, text) for role, text in conversation]
    )
    assert ours == theirs


def test_vectors_of_llama_cpp_are_read_and_checked(
    pair: tuple[Path, Path], small_tokenizer: Any, tmp_path: Path
) -> None:
    texts = ["Hello there", " 12 34", "请"]
    tokens = [small_tokenizer.encode(text, add_special_tokens=False) for text in texts]
    (tmp_path / "v.inp").write_text("".join(f"{text}\n__ggml_vocab_test__\n" for text in texts))
    (tmp_path / "v.out").write_text("".join(" " + " ".join(map(str, line)) + "\n" for line in tokens))
    report = verify(*pair, vectors=tmp_path / "v.inp", logits=False)
    assert (report.vectors, report.different_vectors) == (3, 0)
    tokens[1][0] += 1
    (tmp_path / "v.out").write_text("".join(" " + " ".join(map(str, line)) + "\n" for line in tokens))
    report = verify(*pair, vectors=tmp_path / "v.inp", logits=False)
    assert report.different_vectors == 1
    assert not report.passed
    (tmp_path / "v.out").write_text("1 2\n")
    with pytest.raises(ConversionError, match="1 lines"):
        verify(*pair, vectors=tmp_path / "v.inp", logits=False)


def test_the_sandbox_keeps_templates_from_the_machine() -> None:
    template = ChatTemplate("{{ ''.__class__.__mro__[1].__subclasses__() }}", "", "")
    with pytest.raises(ConversionError, match="SecurityError"):
        template.render([{"role": "user", "content": "a"}])
    with pytest.raises(ConversionError, match="not valid"):
        ChatTemplate("{% for %}", "", "")

"""llama.cpp must split every text into the same tokens as the tokenizer of the checkpoint."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("transformers")

from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.vocabulary import byte_characters, read_vocabulary  # noqa: E402

TEXTS = [
    "",
    " ",
    "\n",
    "\n\n\n  \n",
    "   leading and trailing   ",
    "Hello, world! It's 12,345.678 times; they'LL we've I'm",
    "tabs\tand\r\nlines\r\r\n",
    "请把下面的指令改写得更清楚、更具体。你好，世界！１２３",
    "🦙🚀 👩‍👩‍👧‍👦 🇨🇭 ✅️ emoji",
    "def f(x: int) -> str:\n    return f'{x!r}' + \"\\n\"\n",
    "{{name}} ${HOME} <b>&amp;</b> https://example.org/a?b=c#d",
    "naïve café Ünïcödé İstanbul ﬁ ½ ² ⅷ",
    "кириллица العربية हिन्दी ไทย 한국어 日本語",
    "\x00\x01\x7f\u200b\ufeff\u2028",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<tool_call>{}</tool_call>",
    "a" * 300,
]


def test_tokens_are_those_of_the_checkpoint(
    tied_checkpoint: Path, small_tokenizer: Any, probe: Any, tmp_path: Path
) -> None:
    convert(tied_checkpoint, tmp_path / "out.gguf", "F16")
    answer = probe(tmp_path / "out.gguf", texts=TEXTS)
    assert answer["tokens"] == [small_tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
    special = small_tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    assert answer["control"] == special
    assert answer["eos"] == special[2]
    assert answer["add_bos"] is False


def test_tokens_of_llama_3s_kind_are_those_of_the_checkpoint(
    make_checkpoint: Any, llama3_tokenizer: Any, probe: Any, tmp_path: Path
) -> None:
    folder = make_checkpoint(architecture="Llama", tokenizer=llama3_tokenizer)
    convert(folder, tmp_path / "out.gguf", "F16")
    answer = probe(tmp_path / "out.gguf", texts=[*TEXTS, "1 12 123 1234 12345 123456"])
    expected = [llama3_tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
    assert answer["tokens"][:-1] == expected
    assert len(answer["tokens"][-1]) < len("1121231234123451234561")  # digits in groups
    assert answer["add_bos"] is True
    assert answer["metadata"]["tokenizer.ggml.pre"] == "llama-bpe"
    assert int(answer["metadata"]["tokenizer.ggml.bos_token_id"]) == llama3_tokenizer.bos_token_id


def test_a_converted_sentencepiece_model_needs_its_original(tied_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tied_checkpoint, tmp_path / "small")
    edit(folder / "tokenizer.json", lambda t: t["model"].update(byte_fallback=True))
    with pytest.raises(ConversionError, match=r"tokenizer\.model"):
        read_vocabulary(folder, 512)


def test_vocabulary_is_padded_to_the_size_of_the_model(tied_checkpoint: Path, small_tokenizer: Any) -> None:
    vocabulary = read_vocabulary(tied_checkpoint, 512)
    known = len(small_tokenizer)
    assert len(vocabulary.tokens) == len(vocabulary.types) == 512
    assert vocabulary.tokens[known:] == [f"[PAD{number}]" for number in range(known, 512)]
    assert set(vocabulary.types[known:]) == {gguf.TokenType.UNUSED}
    assert vocabulary.types[small_tokenizer.convert_tokens_to_ids("<tool_call>")] == gguf.TokenType.USER_DEFINED
    assert vocabulary.special.chat_template == small_tokenizer.chat_template


def test_template_of_older_checkpoints_is_found(tied_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tied_checkpoint, tmp_path / "small")
    (folder / "chat_template.jinja").unlink()
    edit(folder / "tokenizer_config.json", lambda config: config.update(chat_template="{{ messages }}"))
    assert read_vocabulary(folder, 512).special.chat_template == "{{ messages }}"


def test_byte_characters_are_those_of_byte_level_bpe() -> None:
    from tokenizers import pre_tokenizers

    assert sorted(byte_characters()) == sorted(pre_tokenizers.ByteLevel.alphabet())


def edit(path: Path, change: Any) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("tokenizer.json", lambda t: t.update(normalizer={"type": "Lowercase"}), "Lowercase"),
        ("tokenizer.json", lambda t: t.update(pre_tokenizer=None), "pre-tokenizer"),
        (
            "tokenizer.json",
            lambda t: t["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex=r"\s+"),
            "pre-tokenizer",
        ),
        ("tokenizer.json", lambda t: t["model"].update(type="Unigram"), "Unigram"),
        ("tokenizer.json", lambda t: t["model"].update(ignore_merges=True), "ignore_merges"),
        ("tokenizer.json", lambda t: t["model"].update(merges=[]), "no merges"),
        ("tokenizer.json", lambda t: t["model"]["vocab"].pop("Ċ"), "256 bytes"),
        ("tokenizer.json", lambda t: t["added_tokens"][0].update(lstrip=True), "endoftext"),
        ("tokenizer.json", lambda t: t.pop("model"), "not laid out"),
        ("tokenizer.json", lambda t: t.update(added_tokens=[1]), "not laid out"),
        ("tokenizer_config.json", lambda t: t.pop("eos_token"), "end token"),
    ],
)
def test_refuses_what_llama_cpp_would_split_otherwise(
    tied_checkpoint: Path, tmp_path: Path, name: str, change: Any, message: str
) -> None:
    folder = shutil.copytree(tied_checkpoint, tmp_path / "small")
    edit(folder / name, change)
    with pytest.raises(ConversionError, match=message):
        read_vocabulary(folder, 512)


def test_refuses_a_missing_tokenizer(tied_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tied_checkpoint, tmp_path / "small")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConversionError, match=r"no tokenizer\.json"):
        read_vocabulary(folder, 512)


def test_refuses_a_vocabulary_larger_than_the_model(tied_checkpoint: Path) -> None:
    with pytest.raises(ConversionError, match="only 300"):
        read_vocabulary(tied_checkpoint, 300)


@pytest.mark.slow
def test_the_real_qwen2_vocabulary(
    make_checkpoint: Any, bpe_tokenizer: Any, probe: Any, shared_data: Path, tmp_path: Path
) -> None:
    """llama.cpp's own test vectors for Qwen2: texts and the tokens that Hugging Face's tokenizer gives."""
    from tokenizers import models

    source = shared_data / "gguf" / "ggml-vocab-qwen2.gguf"
    original = gguf.GGUFReader(source)
    tokens, types, merges = (
        original.get_field(f"tokenizer.ggml.{key}").contents() for key in ("tokens", "token_type", "merges")
    )
    vocab = {token: number for number, token in enumerate(tokens) if types[number] == gguf.TokenType.NORMAL}
    model = models.BPE(vocab, [tuple(merge.split(" ")) for merge in merges])
    tokenizer = bpe_tokenizer(model)
    folder = make_checkpoint(tokenizer=tokenizer, size=len(tokens), hidden=32, layers=1)
    convert(folder, tmp_path / "out.gguf", "F16")

    vocabulary = read_vocabulary(folder, len(tokens))
    differing = [number for number, token in enumerate(tokens) if vocabulary.tokens[number] != token]
    assert differing == [tokenizer.convert_tokens_to_ids("<tool_call>")]
    assert vocabulary.special.merges == merges

    # The vector files: texts between marks; one line of tokens each.
    texts = source.with_name(f"{source.name}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")[:-1]
    lines = source.with_name(f"{source.name}.out").read_text().splitlines()
    expected = [[int(number) for number in line.split()] for line in lines]
    assert len(texts) == len(expected)
    assert probe(tmp_path / "out.gguf", texts=texts)["tokens"] == expected
    found = probe(tmp_path / "out.gguf", texts=TEXTS)["tokens"]
    assert found == [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]

"""tokenizer.model: the pieces that the library reads, llama.cpp's tokens, and a clear word for damaged files."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
sentencepiece = pytest.importorskip("sentencepiece")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from benchmarks.conversion import differences  # noqa: E402
from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.sentencepiece import read_sentencepiece  # noqa: E402
from quantize.vocabulary import read_vocabulary  # noqa: E402
from tests.quantize import reference  # noqa: E402
from tests.quantize.conftest import TRAINING_TEXT, random_model  # noqa: E402
from tests.quantize.test_convert import PROMPT, relative_error  # noqa: E402


def train(**options: Any) -> bytes:
    """A tokenizer.model of 400 tokens."""
    model = io.BytesIO()
    settings = {
        "vocab_size": 400,
        "model_type": "bpe",
        "byte_fallback": True,
        "character_coverage": 0.99,
        "hard_vocab_limit": False,
        "minloglevel": 2,
        "pad_id": -1,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    }
    sentences = iter(TRAINING_TEXT * 5)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=sentences, model_writer=model, **(settings | options))
    return model.getvalue()


@pytest.fixture(scope="module")
def trained() -> bytes:
    return train()


@pytest.fixture(scope="module")
def checkpoint(trained: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama") / "small"
    random_model(420, architecture="Llama", tied=False).save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(trained)
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    added = {
        "1": {"content": "<s>", "special": True, **plain},
        "2": {"content": "</s>", "special": True, **plain},
        "405": {"content": "<|turn|>", "special": False, **plain},
        "406": {"content": "<tool>", "special": False, **plain},
    }
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config |= {"add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": added}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | ids))
    return folder


def test_pieces_are_those_of_the_library(trained: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(trained)
    library = sentencepiece.SentencePieceProcessor(model_proto=trained)
    found = read_sentencepiece(tmp_path / "tokenizer.model")
    assert len(found.pieces) == library.vocab_size() > 300
    for number, piece in enumerate(found.pieces):
        assert (piece.text, piece.score) == (library.id_to_piece(number), library.get_score(number))
        assert (piece.type == 3) == library.is_control(number)
        assert (piece.type == 2) == library.is_unknown(number)
        assert (piece.type == 6) == library.is_byte(number)
    assert found.add_dummy_prefix


def test_tokens_are_those_of_the_library(checkpoint: Path, trained: bytes, probe: Any, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "out.gguf", "F32")
    library = sentencepiece.SentencePieceProcessor(model_proto=trained)
    texts = [*TRAINING_TEXT, "Hello", "12,345 times", "naïve 🦙 请把", "a" * 50, "two\nlines"]
    answer = probe(tmp_path / "out.gguf", texts=texts, prompt=PROMPT[:4])
    assert answer["tokens"] == [library.encode(text) for text in texts]
    assert answer["add_bos"] is True
    assert answer["eos"] == 2
    assert {1, 2, 405} <= set(answer["control"])
    assert 406 not in answer["control"]


def test_logits_are_those_of_transformers(checkpoint: Path, probe: Any, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    convert(checkpoint, tmp_path / "out.gguf", "F32")
    prompt = [number % 400 for number in PROMPT]
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    with torch.inference_mode():
        expected = model(torch.tensor([prompt])).logits[0].numpy()
    assert relative_error(probe(tmp_path / "out.gguf", prompt=prompt)["logits"], expected) < 2e-5


@pytest.mark.slow
def test_every_byte_is_llama_cpps(checkpoint: Path, tmp_path: Path) -> None:
    reference.run("convert_hf_to_gguf.py", checkpoint, "--outfile", tmp_path / "theirs.gguf", "--outtype", "f16")
    convert(checkpoint, tmp_path / "ours.gguf", "F16")
    tensors, same, fields = differences(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
    assert same == tensors
    assert fields == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "unigram"}, "byte-pair encoding"),
        ({"byte_fallback": False}, "256 bytes"),
        ({"vocab_size": 500}, "only 420"),
        ({"normalization_rule_name": "nmt_nfkc"}, "normalizes"),
        ({"remove_extra_whitespaces": True}, "removes blanks"),
    ],
)
def test_refuses_other_kinds(checkpoint: Path, tmp_path: Path, options: Any, message: str) -> None:
    (tmp_path / "tokenizer.model").write_bytes(train(**options))
    (tmp_path / "tokenizer_config.json").write_text((checkpoint / "tokenizer_config.json").read_text())
    with pytest.raises(ConversionError, match=message):
        read_vocabulary(tmp_path, 420)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_files_are_refused_or_read(
    trained: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.model"
    changed = bytearray(trained[: data.draw(st.integers(0, len(trained)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(changed))
    try:
        assert read_sentencepiece(path).pieces
    except ConversionError as error:
        assert str(error)

"""tokenizer.json (byte-level BPE) or tokenizer.model (SentencePiece) -> the tokenizer part of a GGUF file.

As llama.cpp's own converter writes it (conversion/base.py: `get_vocab_base`, `_create_vocab_sentencepiece`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from quantize.checkpoint import read_json
from quantize.errors import ConversionError
from quantize.sentencepiece import BYTE, read_sentencepiece

# Pre-tokenizer patterns that llama.cpp knows, and their names there (tokenizer.ggml.pre). The two differ in numbers.
PRE_TOKENIZERS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "llama-bpe",
}
# Pre-tokenizers with which llama.cpp takes a word that is a token as it is, without going through the merges.
_IGNORING_MERGES = {"llama-bpe"}
_USER_DEFINED = gguf.TokenType.USER_DEFINED
# What llama.cpp's converter gives to tokens that are not in the SentencePiece model.
_UNUSED_SCORE, _ADDED_SCORE = -10000.0, -1000.0


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and types by id, padded to the model's size; the pre-tokenizer; merges, special ids, chat template."""

    tokens: list[str]
    types: list[int]
    pre: str
    special: gguf.SpecialVocab
    model: str = "gpt2"
    """llama.cpp's name: `gpt2` for a byte-level BPE, `llama` for SentencePiece."""
    scores: list[float] | None = None
    add_space_prefix: bool | None = None

    def add_to(self, writer: gguf.GGUFWriter) -> None:
        """Write the tokenizer's metadata."""
        if self.add_space_prefix is not None:
            writer.add_add_space_prefix(self.add_space_prefix)
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        if self.scores is not None:
            writer.add_token_scores(self.scores)
        writer.add_token_types(self.types)
        self.special.add_to_gguf(writer, quiet=True)


def byte_characters() -> list[str]:
    """The 256 characters that stand for bytes in a byte-level BPE (GPT-2's `bytes_to_unicode`)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]


def read_vocabulary(folder: Path, vocabulary_size: int) -> Vocabulary:
    """The vocabulary of a checkpoint folder, padded to `vocabulary_size` with unused `[PADn]` tokens.

    Raises `ConversionError` if there is no tokenizer.json or if llama.cpp would not split text in the same way.
    """
    if (folder / "tokenizer.model").is_file():
        return _sentencepiece(folder, vocabulary_size)
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConversionError(f"{folder} has no tokenizer.json: save its fast tokenizer there with save_pretrained")
    tokenizer = read_json(path)
    try:
        _check_normalizer(tokenizer.get("normalizer"))
        _check_model(tokenizer["model"])
        pre = _pre_tokenizer(tokenizer.get("pre_tokenizer"), bool(tokenizer["model"].get("ignore_merges")))
        tokens, types = _tokens(tokenizer, vocabulary_size)
        special = _special(folder, vocabulary_size)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{path} is not laid out as a tokenizer: {type(error).__name__} {error}") from error
    return Vocabulary(tokens, types, pre, special)


def _check_normalizer(normalizer: dict[str, Any] | None) -> None:
    # Qwen2's tokenizer normalizes to NFC; llama.cpp leaves that out for the same models.
    if normalizer is not None and normalizer["type"] != "NFC":
        raise ConversionError(f"tokenizer.json: normalizer {normalizer['type']} cannot be converted")


def _check_model(model: dict[str, Any]) -> None:
    if model["type"] == "BPE" and model.get("byte_fallback"):
        raise ConversionError("tokenizer.json holds a converted SentencePiece model: put its tokenizer.model beside it")
    if model["type"] != "BPE":
        raise ConversionError(f"tokenizer.json: a {model['type']} model is not a byte-level BPE")


def _pre_tokenizer(found: dict[str, Any] | None, ignores_merges: bool) -> str:
    """The llama.cpp name of a pre-tokenizer: a split by a known pattern, then bytes to characters."""
    parts = found.get("pretokenizers", [found]) if found else []
    if len(parts) == 2 and parts[0]["type"] == "Split" and parts[1]["type"] == "ByteLevel":
        split, bytes_ = parts
        plain = split["behavior"] == "Isolated" and not split["invert"] and not bytes_["add_prefix_space"]
        if plain and not bytes_.get("use_regex", True) and (name := PRE_TOKENIZERS.get(split["pattern"].get("Regex"))):
            if ignores_merges != (name in _IGNORING_MERGES):
                raise ConversionError(
                    f"tokenizer.json: ignore_merges is {ignores_merges}, which llama.cpp does not compute with {name}"
                )
            return name
    known = ", ".join(PRE_TOKENIZERS.values())
    raise ConversionError(f"tokenizer.json: the pre-tokenizer is not one that can be converted (known: {known})")


def _tokens(tokenizer: dict[str, Any], vocabulary_size: int) -> tuple[list[str], list[int]]:
    vocab: dict[str, int] = tokenizer["model"]["vocab"]
    if missing := [character for character in byte_characters() if character not in vocab]:
        raise ConversionError(
            f"tokenizer.json: {len(missing)} of the 256 bytes have no token; train with the byte alphabet"
        )
    by_id = {number: (token, gguf.TokenType.NORMAL) for token, number in vocab.items()}
    for added in tokenizer.get("added_tokens") or []:
        if added["lstrip"] or added["rstrip"] or added["single_word"]:
            raise ConversionError(
                f"tokenizer.json: {added['content']!r} strips or needs blanks around it, which llama.cpp cannot"
            )
        by_id[added["id"]] = (added["content"], _added_type(added))
    if max(by_id) >= vocabulary_size:
        raise ConversionError(f"tokenizer.json has a token {max(by_id)}, but the model has only {vocabulary_size}")
    padded = [by_id.get(number, (f"[PAD{number}]", gguf.TokenType.UNUSED)) for number in range(vocabulary_size)]
    return [token for token, _ in padded], [int(kind) for _, kind in padded]


def _added_type(added: dict[str, Any]) -> gguf.TokenType:
    """CONTROL for what is marked special or looks so, as in llama.cpp's converter; else USER_DEFINED."""
    return gguf.TokenType.CONTROL if added["special"] or _looks_special(added["content"]) else _USER_DEFINED


def _looks_special(content: str) -> bool:
    return (
        (content.startswith("<|") and content.endswith("|>"))
        or (content.startswith("<｜") and content.endswith("｜>"))
        or (content.startswith("<unused") and content.endswith(">"))
        or content in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
    )


def _sentencepiece(folder: Path, vocabulary_size: int) -> Vocabulary:
    """The vocabulary of a tokenizer.model, with the tokens that its neighbours add to it."""
    model = read_sentencepiece(folder / "tokenizer.model")
    if len(model.pieces) > vocabulary_size:
        raise ConversionError(
            f"tokenizer.model has {len(model.pieces)} tokens, but the model has only {vocabulary_size}"
        )
    if sum(piece.type == BYTE for piece in model.pieces) != 256:
        raise ConversionError("tokenizer.model lacks tokens for some of the 256 bytes: train with byte_fallback")
    tokens = [piece.text for piece in model.pieces]
    scores = [piece.score for piece in model.pieces]
    types = [piece.type for piece in model.pieces]
    for number in range(len(tokens), vocabulary_size):
        tokens.append(f"[PAD{number}]")
        scores.append(_UNUSED_SCORE)
        types.append(gguf.TokenType.UNUSED)
    try:
        for number, content, kind in _added_to_sentencepiece(folder):
            if not 0 <= number < vocabulary_size:
                raise ConversionError(f"{content!r} is token {number}, but the model has only {vocabulary_size}")
            tokens[number], scores[number], types[number] = content, _ADDED_SCORE, kind
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ConversionError):
            raise
        cause = f"{type(error).__name__} {error}"
        raise ConversionError(f"{folder}: added tokens are not laid out as such: {cause}") from error
    special = gguf.SpecialVocab(folder, n_vocab=vocabulary_size)
    _require_end(special)
    prefix = _space_prefix(folder)
    if prefix is None and not model.add_dummy_prefix:
        prefix = False
    return Vocabulary(tokens, [int(kind) for kind in types], "default", special, "llama", scores, prefix)


def _added_to_sentencepiece(folder: Path) -> Iterator[tuple[int, str, int]]:
    """Yield id, text and type of the tokens in added_tokens.json and tokenizer_config.json; later ones count."""
    if (path := folder / "added_tokens.json").is_file():
        for content, number in read_json(path).items():
            yield int(number), content, _USER_DEFINED
    if (path := folder / "tokenizer_config.json").is_file():
        for number, token in (read_json(path).get("added_tokens_decoder") or {}).items():
            content = token["content"]
            if token.get("special") or _looks_special(content):
                yield int(number), content, gguf.TokenType.CONTROL
            else:
                yield int(number), content.replace("\u2581", " "), _USER_DEFINED


def _space_prefix(folder: Path) -> bool | None:
    """What tokenizer_config.json says of a blank before every text; None if nothing."""
    path = folder / "tokenizer_config.json"
    value = read_json(path).get("add_prefix_space") if path.is_file() else None
    return value if isinstance(value, bool) else None


def _special(folder: Path, vocabulary_size: int) -> gguf.SpecialVocab:
    """Merges, special ids and chat template, read by the `gguf` package from the tokenizer's and the model's files."""
    special = gguf.SpecialVocab(folder, load_merges=True, n_vocab=vocabulary_size)
    if not special.merges:
        raise ConversionError("tokenizer.json has no merges")
    _require_end(special)
    # These tokenizers add nothing unless they say so, and the file should say that too.
    special.add_special_token.setdefault("bos", False)
    special.add_special_token.setdefault("eos", False)
    return special


def _require_end(special: gguf.SpecialVocab) -> None:
    if "eos" not in special.special_token_ids:
        # llama.cpp would take token 11, or 2, for it.
        raise ConversionError("neither tokenizer_config.json nor config.json names an end token (eos_token)")

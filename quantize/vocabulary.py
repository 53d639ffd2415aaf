"""tokenizer.json (byte-level BPE) -> the tokenizer part of a GGUF file, as llama.cpp's own converter writes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from quantize.checkpoint import read_json
from quantize.errors import ConversionError

# Pre-tokenizer patterns that llama.cpp knows, and their names there (tokenizer.ggml.pre).
PRE_TOKENIZERS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
}


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and types by id, padded to the model's size; the pre-tokenizer; merges, special ids, chat template."""

    tokens: list[str]
    types: list[int]
    pre: str
    special: gguf.SpecialVocab

    def add_to(self, writer: gguf.GGUFWriter) -> None:
        """Write the tokenizer's metadata."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
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
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConversionError(f"{folder} has no tokenizer.json: save its fast tokenizer there with save_pretrained")
    tokenizer = read_json(path)
    try:
        _check_normalizer(tokenizer.get("normalizer"))
        pre = _pre_tokenizer(tokenizer.get("pre_tokenizer"))
        tokens, types = _tokens(tokenizer, vocabulary_size)
        special = _special(folder, vocabulary_size)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{path} is not laid out as a tokenizer: {type(error).__name__} {error}") from error
    return Vocabulary(tokens, types, pre, special)


def _check_normalizer(normalizer: dict[str, Any] | None) -> None:
    # Qwen2's tokenizer normalizes to NFC; llama.cpp leaves that out for the same models.
    if normalizer is not None and normalizer["type"] != "NFC":
        raise ConversionError(f"tokenizer.json: normalizer {normalizer['type']} cannot be converted")


def _pre_tokenizer(found: dict[str, Any] | None) -> str:
    """The llama.cpp name of a pre-tokenizer: a split by a known pattern, then bytes to characters."""
    parts = found.get("pretokenizers", [found]) if found else []
    if len(parts) == 2 and parts[0]["type"] == "Split" and parts[1]["type"] == "ByteLevel":
        split, bytes_ = parts
        plain = split["behavior"] == "Isolated" and not split["invert"] and not bytes_["add_prefix_space"]
        if plain and not bytes_.get("use_regex", True) and (name := PRE_TOKENIZERS.get(split["pattern"].get("Regex"))):
            return name
    known = ", ".join(PRE_TOKENIZERS.values())
    raise ConversionError(f"tokenizer.json: the pre-tokenizer is not one that can be converted (known: {known})")


def _tokens(tokenizer: dict[str, Any], vocabulary_size: int) -> tuple[list[str], list[int]]:
    model = tokenizer["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or model.get("ignore_merges"):
        raise ConversionError(f"tokenizer.json: a {model['type']} model of this kind is not a byte-level BPE")
    vocab: dict[str, int] = model["vocab"]
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
    content = added["content"]
    if added["special"] or (content.startswith("<|") and content.endswith("|>")):
        return gguf.TokenType.CONTROL
    return gguf.TokenType.USER_DEFINED


def _special(folder: Path, vocabulary_size: int) -> gguf.SpecialVocab:
    """Merges, special ids and chat template, read by the `gguf` package from the tokenizer's and the model's files."""
    special = gguf.SpecialVocab(folder, load_merges=True, n_vocab=vocabulary_size)
    if not special.merges:
        raise ConversionError("tokenizer.json has no merges")
    if "eos" not in special.special_token_ids:
        # llama.cpp would take token 11 for it.
        raise ConversionError("neither tokenizer_config.json nor config.json names an end token (eos_token)")
    # These tokenizers add nothing unless they say so, and the file should say that too.
    special.add_special_token.setdefault("bos", False)
    special.add_special_token.setdefault("eos", False)
    return special

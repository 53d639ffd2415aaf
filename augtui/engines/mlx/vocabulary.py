"""The vocabulary of a model folder: its tokenizer, its chat template, and the bytes that each token stands for.

It reads `tokenizer.json` with the `tokenizers` library, which runs no code of the model's, and never renders a
template itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from augtui.engines.backend import LoadError

ENDS = ("<|endoftext|>", "<|im_end|>")
"""Both end an answer wherever the vocabulary has them: the published Refine-7B names only the first as its end."""
WORD_START = "\u2581"
"""SentencePiece's mark for a space (https://github.com/google/sentencepiece#whitespace-is-treated-as-a-basic-symbol)."""


def byte_alphabet() -> dict[str, int]:
    """Return the bytes that the characters of a byte-level BPE stand for.

    The table of GPT-2 (https://github.com/openai/gpt-2/blob/master/src/encoder.py): printable bytes of Latin-1 are
    themselves, the others follow from U+0100 on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


class Vocabulary:
    """A model's tokens, in the terms that `augtui.engines.prompts.PromptEncoder` needs."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Read the tokenizer of `folder`; `config` is its config.json. Raises LoadError."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise LoadError("tokenizer.json is missing")
        try:
            # The library answers damaged files with exceptions of many kinds.
            self._special = self._open(path)
            self._plain = self._open(path)
            source = json.loads(path.read_text("utf-8"))
            self._settings = _read_object(folder / "tokenizer_config.json")
            self._generation = _read_object(folder / "generation_config.json")
            self._template = _chat_template(folder, self._settings)
        except Exception as error:
            raise LoadError(f"its tokenizer cannot be read: {error}") from error
        self._plain.encode_special_tokens = True
        self.size = max(self._special.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        added = self._special.get_added_tokens_decoder()
        self._controls = {token: entry.content for token, entry in added.items() if entry.special}
        self._literals = {token: entry.content for token, entry in added.items() if not entry.special}
        self._byte_level = _is_byte_level(source.get("decoder"))
        self._bytes = byte_alphabet()
        self._pieces: dict[int, bytes] = {}
        self.begin = self._begin()
        self.end_tokens = frozenset(self._end_tokens(config))

    @staticmethod
    def _open(path: Path) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _begin(self) -> int | None:
        wanted = self._settings.get("add_bos_token")
        if wanted is not None:
            return self._special.token_to_id(self.bos) if wanted and self.bos else None
        first = self._special.encode("a", add_special_tokens=True).ids[:1]
        return first[0] if first and first[0] in self._controls else None

    def _end_tokens(self, config: Mapping[str, Any]) -> list[int]:
        named = [self._special.token_to_id(text) for text in (*ENDS, self.eos) if text]
        ends = [token for token in named if token in self._controls]
        for source in (config, self._generation):
            value = source.get("eos_token_id")
            ends += [token for token in (value if isinstance(value, list) else [value]) if type(token) is int]
        return ends

    @property
    def bos(self) -> str:
        """Return the text of the token that begins every text, empty if there is none."""
        return _token_text(self._settings.get("bos_token"))

    @property
    def eos(self) -> str:
        """Return the text of the token that ends an answer, empty if there is none."""
        return _token_text(self._settings.get("eos_token"))

    def chat_template(self) -> str | None:
        """Return the model's own chat template (Jinja source), or None."""
        return self._template

    def control_texts(self) -> frozenset[str]:
        """Return the texts that the vocabulary reads as control tokens, such as `<|im_end|>`."""
        return frozenset(text for text in self._controls.values() if text)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of `text`; `special` reads `<|im_start|>` and its like as the tokens they name."""
        tokenizer = self._special if special else self._plain
        valid = text.encode("utf-8", "replace").decode("utf-8")
        return list(tokenizer.encode(valid, add_special_tokens=False).ids)

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a whole prompt, with the one that begins every text of models that want it."""
        return self.begun(self.tokenize(text, special=True))

    def begun(self, tokens: list[int]) -> list[int]:
        """Return `tokens` with the one that begins every text in front, where the model wants one and it is not."""
        if self.begin is None or tokens[:1] == [self.begin]:
            return tokens
        return [self.begin, *tokens]

    def piece(self, token: int) -> bytes:
        """Return the bytes that `token` stands for; special tokens, and numbers that are no token, stand for none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._piece(token)
        return known

    def _piece(self, token: int) -> bytes:
        text = self._special.id_to_token(token)
        if text is None or token in self._controls:
            return b""
        if token in self._literals:
            return self._literals[token].encode()
        if self._byte_level:
            return bytes(self._bytes[char] for char in text if char in self._bytes)
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            return bytes.fromhex(text[3:5])
        return text.replace(WORD_START, " ").encode()


def _is_byte_level(decoder: Any) -> bool:
    kinds = _kinds(decoder)
    if "ByteLevel" in kinds:
        return True
    if kinds & {"ByteFallback", "Metaspace", "Replace"}:
        return False
    raise LoadError(f"its tokenizer's decoder is not supported: {', '.join(sorted(kinds)) or 'none'}")


def _kinds(decoder: Any) -> set[str]:
    if not isinstance(decoder, dict):
        return set()
    nested = [_kinds(part) for part in decoder.get("decoders", [])]
    return {str(decoder.get("type"))}.union(*nested)


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {str(entry["name"]): entry["template"] for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _token_text(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text("utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds no object")
    return value

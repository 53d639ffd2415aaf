"""tokenizer.model (SentencePiece) -> the tokens, scores and types of a GGUF file.

The file is a protocol buffer (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto). Of it
only the pieces and three settings are wanted, so it is read here and not by a library of several megabytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantize.errors import ConversionError

# SentencePiece.Type in sentencepiece_model.proto; gguf.TokenType has the same numbers.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
# TrainerSpec.ModelType: byte-pair encoding, the only one that llama.cpp's "llama" tokenizer computes.
_BPE = 2
_UNIGRAM = 1


@dataclass(frozen=True)
class Piece:
    """One token: its text (blanks as U+2581), its score (merges with higher scores come first), its type."""

    text: str
    score: float
    type: int


@dataclass(frozen=True)
class SentencePieceModel:
    """The pieces by id, and whether a blank is put before every text."""

    pieces: list[Piece]
    add_dummy_prefix: bool


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a tokenizer.model. Raises `ConversionError` if it is damaged or not a byte-pair encoding."""
    data = path.read_bytes()
    pieces: list[Piece] = []
    kind, prefix, rewrites = _UNIGRAM, True, True
    try:
        for number, value in _fields(data):
            if number == 1:
                pieces.append(_piece(_bytes(value)))
            elif number == 2:
                kind = next((int(v) for n, v in _fields(_bytes(value)) if n == 3 and isinstance(v, int)), kind)
            elif number == 3:
                spec = dict(_fields(_bytes(value)))
                prefix = bool(spec.get(3, True))
                rewrites = bool(spec.get(2)) or bool(spec.get(4, True))
    except (IndexError, ValueError, struct.error) as error:
        raise ConversionError(f"{path} is damaged or not a SentencePiece model ({error})") from error
    if not pieces:
        raise ConversionError(f"{path} holds no tokens: it is damaged or not a SentencePiece model")
    if kind != _BPE:
        raise ConversionError(f"{path} is not a byte-pair encoding (model_type {kind}), which Llama models have")
    if rewrites:
        raise ConversionError(f"{path} normalizes texts or removes blanks, which llama.cpp does not for Llama models")
    return SentencePieceModel(pieces, prefix)


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = _bytes(value).decode("utf-8")
        elif number == 2:
            score = struct.unpack("<f", _bytes(value))[0]
        elif number == 3 and isinstance(value, int):
            kind = value
    if not NORMAL <= kind <= BYTE:
        raise ValueError(f"a token of type {kind}")
    return Piece(text, score, kind)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where text is expected")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of every field (https://protobuf.dev/programming-guides/encoding/)."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            length, place = _varint(data, place)
        if length is None:
            raise ValueError(f"a field of wire type {wire}")
        if place + length > len(data):
            raise ValueError("it ends too early")
        yield number, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("a number without an end")

"""Bytes in: open a file or standard input, unpack it, decode UTF-16, cut it into lines of bounded length."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from augtui.errors import InputError

MEBIBYTE: Final = 1 << 20
CHUNK: Final = 256 * 1024
LINE_LIMIT: Final = 16 * MEBIBYTE
"""The most bytes that one line, row or array element may have."""

RATIO_LIMIT: Final = 200
"""The most bytes that a packed byte may unpack to, once `RATIO_GRACE` bytes have come out."""
RATIO_GRACE: Final = 64 * MEBIBYTE
UNPACKED_LIMIT: Final = 64 * 1024 * MEBIBYTE

_GZIP: Final = b"\x1f\x8b"
_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\x00"
_ZSTANDARD: Final = b"\x28\xb5\x2f\xfd"
_OTHER_FILES: Final = {
    b"GGUF": "a GGUF model",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF-": "a PDF document",
    b"ARROW1": "an Arrow file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}


class Stream:
    """A source of bytes that is read once, front to back, and whose next bytes can be looked at before."""

    def __init__(self, read: Callable[[int], bytes], name: str) -> None:
        """Keep `read`, which returns at most n bytes and b"" at the end, and `name` for messages."""
        self._read = read
        self._ahead = b""
        self._at = 0
        self.name = name

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes (fewer at the end) without taking them."""
        missing = size - len(self._ahead) + self._at
        if missing > 0:
            parts = [self._ahead[self._at :]]
            while missing > 0 and (part := self._read(min(missing, MEBIBYTE))):
                parts.append(part)
                missing -= len(part)
            self._ahead, self._at = b"".join(parts), 0
        return self._ahead[self._at : self._at + size]

    def read(self, size: int) -> bytes:
        """Take the next bytes, at most `size`; b"" at the end."""
        if taken := self._ahead[self._at : self._at + size]:
            self._at += len(taken)
            return taken
        self._ahead, self._at = b"", 0
        return self._read(size)

    def chunks(self) -> Iterator[bytes]:
        """Yield everything that is left, in pieces."""
        while chunk := self.read(CHUNK):
            yield chunk


@contextmanager
def opened(source: str | Path, stdin: BinaryIO | None = None, encoding: str | None = None) -> Iterator[Stream]:
    """Open `source` (`-`: standard input) as a stream of unpacked bytes, UTF-8 without its byte order mark.

    `encoding` is the text's own, by any name that Python knows. Raises InputError: missing, unreadable, a folder,
    packed in an unknown way, no data set at all, or an unknown encoding.
    """
    if str(source) == "-":
        yield _prepared(Stream((stdin or sys.stdin.buffer).read, "standard input"), encoding)
        return
    path = Path(source)
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    with file:
        yield _prepared(Stream(file.read, str(source)), encoding)


def _unreadable(path: Path, error: OSError | ValueError) -> InputError:
    match error:
        case FileNotFoundError():
            return InputError(f"{path} does not exist")
        case IsADirectoryError():
            return InputError(f"{path} is a folder", hint="name one file in it")
        case PermissionError():
            return InputError(f"{path} may not be read: permission denied")
        case OSError(strerror=str(reason)):
            return InputError(f"{path} cannot be read: {reason}")
        case _:
            return InputError(f"{path} cannot be read: {error}")


def _prepared(stream: Stream, encoding: str | None) -> Stream:
    guarded = Stream(_guarded(stream.read, stream.name), stream.name)
    unpacked = _unpacked(guarded)
    return _decoded(unpacked) if encoding is None else _recoded(unpacked, encoding)


def _guarded(read: Callable[[int], bytes], name: str) -> Callable[[int], bytes]:
    """Turn a failing read, such as a broken disk or a terminal that hung up, into an InputError."""

    def guarded(size: int) -> bytes:
        try:
            return read(size)
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}") from None

    return guarded


def _unpacked(stream: Stream) -> Stream:
    head = stream.peek(16)
    for magic, what in _OTHER_FILES.items():
        if head.startswith(magic):
            raise InputError(f"{stream.name} is {what}, not a data set")
    packed = _Counter(stream)
    if head.startswith(_ZSTANDARD):
        return _limited(_zstandard(packed), packed, stream.name)
    # The three classes read only through `read`, which a raw buffer alone would not count.
    raw = cast("BinaryIO", packed)
    if head.startswith(_GZIP):
        return _limited(gzip.GzipFile(fileobj=raw, mode="rb").read, packed, stream.name)
    if head.startswith(_XZ):
        return _limited(lzma.LZMAFile(raw).read, packed, stream.name)
    if head.startswith(_BZIP2):
        return _limited(bz2.BZ2File(raw).read, packed, stream.name)
    return stream


class _Counter(io.RawIOBase):
    """The packed side of a stream; it counts the bytes that went through."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        part = self._stream.read(size if size > 0 else CHUNK)
        self.count += len(part)
        return part


def _zstandard(packed: _Counter) -> Callable[[int], bytes]:
    """Return a reader of Zstandard frames (RFC 8878), which may follow one another."""
    if sys.version_info >= (3, 14):
        from compression.zstd import DecompressionParameter, ZstdError, ZstdFile
    else:
        from backports.zstd import DecompressionParameter, ZstdError, ZstdFile

    # `zstd --ultra --long` makes windows of up to 2^27 bytes; larger ones would be held in memory.
    file = ZstdFile(cast(BinaryIO, packed), options={DecompressionParameter.window_log_max: 27})

    def unpack(size: int) -> bytes:
        try:
            return file.read(size)
        except ZstdError as error:
            raise ValueError(str(error)) from None

    return unpack


def _limited(unpack: Callable[[int], bytes], packed: _Counter, name: str) -> Stream:
    """Return the unpacked stream, with an InputError where it is damaged, cut off, or a bomb."""
    total = 0

    def read(size: int) -> bytes:
        nonlocal total
        try:
            part = unpack(size)
        except EOFError:
            raise InputError(f"{name} is cut off: its compressed data end too early") from None
        except (OSError, lzma.LZMAError, zlib.error, ValueError) as error:
            raise InputError(f"{name} cannot be unpacked: {error}") from None
        total += len(part)
        if total > UNPACKED_LIMIT or (total > RATIO_GRACE and total > RATIO_LIMIT * packed.count):
            raise InputError(
                f"{name} unpacks to more than {RATIO_LIMIT} times its size, as a decompression bomb does",
                hint="unpack it yourself if you trust it",
            )
        return part

    return Stream(read, name)


def _decoded(stream: Stream) -> Stream:
    head = stream.peek(4)
    if head.startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    elif head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise InputError(f"{stream.name} is UTF-32", hint="save it as UTF-8")
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Stream(_utf8_from_utf16(stream), stream.name)
    return stream


def _recoded(stream: Stream, encoding: str) -> Stream:
    """Return the same text as UTF-8, which undecodable bytes leave wrong, so that their row is set aside."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        decoder.decode(b"")
    except (LookupError, ValueError, TypeError, AssertionError):
        raise InputError(f"unknown encoding {encoding!r}", hint="for example utf-8, latin-1, cp1252, gb18030") from None

    def read(size: int) -> bytes:
        while part := stream.read(size):
            if text := decoder.decode(part):
                return text.encode("utf-8", "surrogatepass")
        return decoder.decode(b"", True).encode("utf-8", "surrogatepass")

    return Stream(read, stream.name)


def _utf8_from_utf16(stream: Stream) -> Callable[[int], bytes]:
    """Return a reader of the same text as UTF-8; what is wrong in UTF-16 becomes wrong UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")

    def read(size: int) -> bytes:
        while part := stream.read(size):
            if text := decoder.decode(part):
                return text.encode("utf-8", "surrogatepass")
        pending, _ = decoder.getstate()
        decoder.reset()
        return b"\xff" if pending else b""

    return read


class TooLong:
    """Stands for a line of more than `LINE_LIMIT` bytes; only its beginning is kept."""

    __slots__ = ("head",)

    def __init__(self, head: bytes) -> None:
        """Keep the line's first bytes for the report."""
        self.head = head


def lines(stream: Stream) -> Iterator[bytes | TooLong]:
    r"""Yield every line without its "\n"; one longer than `LINE_LIMIT` bytes is skipped, never held."""
    carry: list[bytes] = []
    held = 0
    for chunk in stream.chunks():
        first, newline, rest = chunk.partition(b"\n")
        if held <= LINE_LIMIT:
            carry.append(first)
            held += len(first)
            if held > LINE_LIMIT:
                carry = [b"".join(carry)[:1024]]
        if not newline:
            continue
        yield _joined(carry, held)
        *whole, last = rest.split(b"\n")
        yield from whole
        carry, held = [last], len(last)
    if held:
        yield _joined(carry, held)


def _joined(parts: list[bytes], size: int) -> bytes | TooLong:
    line = b"".join(parts)
    return TooLong(line) if size > LINE_LIMIT else line

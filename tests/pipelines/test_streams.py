"""Lines of bounded length, however the bytes arrive."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.errors import InputError
from augtui.pipelines import streams


@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([b"a", b"\n"])).map(b"".join),
    st.integers(1, 9),
    st.integers(0, 70),
)
def test_lines_are_those_of_the_whole_however_it_is_cut(data: bytes, step: int, ahead: int) -> None:
    file = io.BytesIO(data)
    stream = streams.Stream(lambda size: file.read(min(step, size)), "bytes")
    assert stream.peek(ahead) == data[:ahead]
    assert stream.peek(ahead // 2) == data[: ahead // 2]
    whole = data.split(b"\n")
    assert list(streams.lines(stream)) == (whole if whole[-1] else whole[:-1])


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_line_limit_is_exact(excess: int) -> None:
    line = b"x" * (streams.LINE_LIMIT + excess)
    first, second = streams.lines(streams.Stream(io.BytesIO(line + b"\ny").read, "bytes"))
    assert isinstance(first, streams.TooLong) is (excess > 0)
    assert second == b"y"


# With a first NUL the byte order mark of UTF-16 is that of UTF-32.
@given(
    st.text().filter(lambda text: text[:1] != "\0"),
    st.sampled_from(["utf-16-le", "utf-16-be"]),
    st.sampled_from([b"", b"\x41"]),
)
def test_utf16_becomes_utf8(text: str, encoding: str, cut_off: bytes) -> None:
    mark = "\ufeff".encode(encoding)
    with streams.opened("-", io.BytesIO(mark + text.encode(encoding, "surrogatepass") + cut_off)) as stream:
        data = b"".join(stream.chunks())
    assert data == text.encode("utf-8", "surrogatepass") + (b"\xff" if cut_off else b"")


def test_read_error_is_reported_in_one_line() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with (
        pytest.raises(InputError, match="standard input cannot be read: Input/output error"),
        streams.opened("-", Broken()),
    ):  # type: ignore[arg-type]
        pass

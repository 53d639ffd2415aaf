"""SVG as text: the frame of a picture, its letters, and PNG made of it."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from augtui.domain.visible import excerpt

INK, QUIET = "#22272e", "#646d78"
"""Of text that is to be read, and of text that explains."""
FONT = (
    "font-family='DejaVu Sans, Helvetica, Arial, PingFang SC, Microsoft YaHei, Noto Sans CJK SC,"
    " WenQuanYi Micro Hei, sans-serif'"
)


def document(width: int, height: int, parts: Iterable[str]) -> str:
    """Return an SVG document of `width` by `height` pixels on white."""
    opening = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>",
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>",
    )
    return "\n".join([*opening, *parts, "</svg>", ""])


def text(
    x: float, y: float, what: str, size: int, fill: str, anchor: str = "start", weight: str = "", room: int = 120
) -> str:
    """Return a text at a place in pixels, at most `room` characters of it; what it says of the data is escaped."""
    heavy = f" font-weight='{weight}'" if weight else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}'{heavy} fill='{fill}' text-anchor='{anchor}' {FONT}>"
        f"{escape(excerpt(what, room))}</text>"
    )


def png(picture: str) -> bytes:
    """Return an SVG document as a PNG file of twice its pixels. Raises ImportError without `augtui[plots]`."""
    import cairosvg

    drawn: bytes = cairosvg.svg2png(bytestring=picture.encode(), scale=2)
    return drawn

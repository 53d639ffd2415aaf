"""Text for the screen: everything from data or a model goes through here, so that it stays text."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from augtui.domain import diff
from augtui.domain.visible import excerpt, visible

LONGEST = 20_000
"""Characters of one text that are shown; the whole text is in the editor and in the export."""

Piece = str | tuple[str, str]
"""A text, or a text with the name of its style."""


def plain(text: str | None, *, newline: str = "\n", style: str = "") -> Content:
    """Return data's text: no character of it is obeyed by the terminal, none is markup."""
    if text is None:
        return Content("")
    cut = text[:LONGEST]
    shown = visible(cut, newline=newline)
    if len(text) > LONGEST:
        shown += f" … and {len(text) - LONGEST:,} more characters"
    return Content.styled(shown, style) if style else Content(shown)


def line(text: str | None, width: int, style: str = "") -> Content:
    """Return the beginning of data's text on one line of at most `width` cells."""
    shown = excerpt(text or "", width)
    return Content.styled(shown, style) if style else Content(shown)


def assemble(pieces: Iterable[Piece | Content]) -> Content:
    """Return pieces of our own words, and contents, as one; nothing in them is markup."""
    return Content("").join(
        piece
        if isinstance(piece, Content)
        else Content(piece)
        if isinstance(piece, str)
        else Content.styled(piece[0], piece[1])
        for piece in pieces
    )


def sides(old: str, new: str) -> tuple[Content, Content]:
    """Return both texts, each with what the other lacks marked."""
    parts = diff.diff(old[:LONGEST], new[:LONGEST])
    # Not by colour alone: what is gone is underlined, what is new is bold.
    left = [_marked(part, "underline $text-error") for part in parts if part.kind != "added"]
    right = [_marked(part, "bold $text-success") for part in parts if part.kind != "removed"]
    return assemble(left), assemble(right)


def merged(old: str, new: str) -> Content:
    """Return the way from one text to the other in one: [-removed-] and [+added+]."""
    pieces: list[Content] = []
    for part in diff.diff(old[:LONGEST], new[:LONGEST]):
        shown = visible(part.text, newline="\n")
        if part.kind == "same":
            pieces.append(Content(shown))
        elif part.kind == "removed":
            pieces.append(Content.styled(f"[-{shown}-]", "$text-error"))
        else:
            pieces.append(Content.styled(f"[+{shown}+]", "bold $text-success"))
    return assemble(pieces)


def _marked(part: diff.Part, style: str) -> Content:
    shown = visible(part.text, newline="\n")
    return Content(shown) if part.kind == "same" else Content.styled(shown, style)


BLOCKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Iterable[float], width: int) -> str:
    """Return the last values as blocks of eight heights, at most `width` of them, the largest full."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return BLOCKS[1] * len(shown)
    return "".join(BLOCKS[max(1, min(8, round(8 * value / top)))] for value in shown)


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them: 42 s, 18m, 2h 05m."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 90 else f"{minutes // 60}h {minutes % 60:02d}m"


def size(count: float) -> str:
    """Return bytes as MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"

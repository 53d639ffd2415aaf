"""Make text from a data set or a model harmless on a terminal, and short enough for one line of it."""

from __future__ import annotations

import unicodedata
from typing import Final

# Ranges of code points that a terminal obeys or draws as nothing. The letters of the world stay as they are,
# so do the Arabic and Syriac number signs, which Unicode counts as format characters though they are drawn.
_HIDDEN: Final = (
    (0x80, 0x9F),  # C1: the 8-bit forms of escape sequences, such as CSI
    (0xAD, 0xAD),  # soft hyphen
    (0x34F, 0x34F),  # combining grapheme joiner
    (0x61C, 0x61C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian selectors and vowel separator
    (0x200B, 0x200F),  # zero-width space and joiners, left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line and paragraph separators, bidirectional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidirectional isolates
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xDFFF),  # lone surrogates
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xFFF0, 0xFFFB),  # interlinear annotation
    (0x13430, 0x1343F),  # Egyptian hieroglyph format controls
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical symbol format controls
    (0xE0000, 0xE0FFF),  # tags and variation selectors, which can carry hidden text
)
_LINE_FEED: Final = 0x0A
_DELETE: Final = 0x7F


def _escaped(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_SYMBOLS: Final[dict[int, str]] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    _DELETE: "␡",
    **{code: _escaped(code) for first, last in _HIDDEN for code in range(first, last + 1)},
}


def visible(text: str, *, newline: str = "⏎") -> str:
    r"""Return the text with every character that a terminal would obey or hide as a symbol or an escape.

    Control characters become their pictures (␛, ␇, ␡); C1 controls, bidirectional controls, zero-width and
    other hidden characters and lone surrogates become escapes: `\x9b`, `\u202e`. Line feeds become
    `newline`, which may be "\n" for text of several lines. See Unicode Technical Report 36, and
    "Trojan Source" (arXiv:2111.00169).
    """
    if text.isascii() and text.isprintable():
        return text
    shown = text.translate(_SYMBOLS)
    return shown.replace(chr(0x2400 + _LINE_FEED), newline) if "\n" in text else shown


def excerpt(text: str, width: int) -> str:
    """Return the beginning of the text, visible, on one line of at most `width` cells, with … where cut."""
    if width <= 0:
        return ""
    # Marks that take no cell are few in real text; four characters a cell are kept at most.
    head = text[: 4 * width + 1]
    shown = visible(head)
    used = 0
    cut = 0
    for at, char in enumerate(shown):
        cells = _cells(char)
        if used + cells > width:
            return f"{shown[:cut]}…"
        used += cells
        if used < width:
            cut = at + 1
    return f"{shown[:cut]}…" if len(head) < len(text) else shown


def _cells(char: str) -> int:
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def restored(edited: str, original: str) -> str:
    r"""Return an edited text that was shown by `visible(original, newline="\n")`, its hidden characters as they were.

    A symbol or escape that the original itself holds as text stays text.
    """
    hidden = {char for char in original if ord(char) in _SYMBOLS and char != "\n"}
    # Longest first: an escape must not be taken for the beginning of a longer one.
    for char in sorted(hidden, key=lambda char: (-len(_SYMBOLS[ord(char)]), char)):
        symbol = _SYMBOLS[ord(char)]
        if symbol not in original:
            edited = edited.replace(symbol, char)
    return edited

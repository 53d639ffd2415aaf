"""Cells that a spreadsheet would take for formulas: marked on the way out, and unmarked on the way in."""

from __future__ import annotations

from typing import Final

_SIGNS: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\t\r\n\0")
"""OWASP, "CSV Injection", with the full-width signs that some spreadsheets read as the narrow ones."""
_SKIPPED: Final = " \u00a0\u200b\ufeff\u3000\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"
"""What a spreadsheet may strip before it looks for a sign."""
MARK: Final = "'"


def escaped(cell: str) -> str:
    """Return a cell that is no formula: with an apostrophe before it if it might be one, or begins with one itself."""
    first = cell[:1]
    if first.isalnum() or not cell:
        return cell
    return MARK + cell if first == MARK or first in _SIGNS or cell.lstrip(_SKIPPED)[:1] in _SIGNS else cell


def unescaped(cell: str) -> str:
    """Return what `escaped` was given."""
    return cell.removeprefix(MARK)

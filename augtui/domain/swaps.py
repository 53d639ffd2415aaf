"""Words that were swapped while a text was copied: the copy runs on word for word, but one word is another."""

from __future__ import annotations

from difflib import SequenceMatcher

from augtui.domain.numbers import NUMBER_WORDS
from augtui.domain.spelling import correction, fillers, stem, tokens

LONGEST = 600
"""Words of an original that is compared; the time grows with the square."""
RUN = 2
"""Words that must be equal before and after a swap, or all up to the beginning or the end of the original."""
_CHAT = frozenset(["u", "ur", "r", "n", "b", "k", "y", "w", "bc", "im", "pl", "tho", "thru"])
"""Chat abbreviations, which a refinement may write out."""


def swapped_words(original: str, refined: str) -> list[str]:
    """Return each swap as `old to new`: one word of the original replaced by one other word amid words that stayed.

    An inflection, a corrected misspelling and a number written otherwise are no swaps.
    """
    before, after = tokens(original), tokens(refined)
    if len(before) > LONGEST or len(after) > 4 * LONGEST:
        return []
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    found = []
    for place, (kind, i1, i2, j1, j2) in enumerate(steps):
        if kind != "replace" or i2 - i1 != 1 or j2 - j1 != 1:
            continue
        left = _run(steps[place - 1]) if place else 0
        right = _run(steps[place + 1]) if place + 1 < len(steps) else 0
        if (left < RUN and left < i1) or (right < RUN and right < len(before) - i2):
            continue
        old, new = before[i1], after[j1]
        if _is_other(old, new):
            found.append(f"{old} to {new}")
    return found


def _run(step: tuple[str, int, int, int, int]) -> int:
    """Return how many words stay equal in a step of the comparison."""
    return step[2] - step[1] if step[0] == "equal" else 0


def _is_other(old: str, new: str) -> bool:
    if not (old.isalpha() and new.isalpha()) or not (old.isascii() and new.isascii()):
        return False
    # A function word for another is style ("this" to "the"); a lost content word is found without its place.
    if old in _CHAT or old in NUMBER_WORDS or new in fillers():
        return False
    return stem(old) != stem(new) and correction(old, [new]) is None

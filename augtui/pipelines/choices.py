"""Options of steps that are read from text: on the command line and in recipes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from augtui.domain.annotation import CRITERIA
from augtui.errors import UsageError

MOST_EXAMPLES = 3
"""Table 11: N is randomly chosen from 1 to 3."""
_RANGE = re.compile(r"(\d)(?:\s*(?:\.\.|-)\s*(\d))?")


def context_sizes(text: str) -> list[int]:
    """Return [least, most] examples of `2` or `1..3`. Raises UsageError."""
    found = _RANGE.fullmatch(text.strip())
    least = int(found.group(1)) if found else 0
    most = int(found.group(2) or least) if found else 0
    if not 1 <= least <= most <= MOST_EXAMPLES:
        raise UsageError(f"-k {text}: 1 to {MOST_EXAMPLES} examples, such as 2 or 1..3")
    return [least, most]


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return the value if it is one of the known ones; raises UsageError with the nearest."""
    names = list(known)
    if value in names:
        return value
    raise UsageError(f"{name}: there is no {value!r}", hint=nearest(value, names))


def nearest(value: str, known: Iterable[str]) -> str:
    """Return a hint: the nearest known name, or all of them."""
    names = list(known)
    alike = difflib.get_close_matches(value, names, n=1)
    return f"Did you mean {alike[0]!r}?" if alike else f"Known are: {', '.join(names)}."


def least_scores(text: str | None) -> Mapping[str, int] | None:
    """Return least scores by criterion of `7` (for all) or `correctness=8,factuality=6`. Raises UsageError."""
    if text is None:
        return None
    from augtui.pipelines.steps.judge import LEAST

    if text.strip().isdigit():
        return _checked(dict.fromkeys(CRITERIA, int(text)), text)
    wanted = dict(LEAST)
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        one_of("--least", name, CRITERIA)
        if not value.isdigit():
            raise UsageError(f"--least {part.strip()}: a whole number from 1 to 10 is wanted")
        wanted[name] = int(value)
    return _checked(wanted, text)


def _checked(scores: Mapping[str, int], text: str) -> Mapping[str, int]:
    if not all(1 <= score <= 10 for score in scores.values()):
        raise UsageError(f"--least {text}: scores are from 1 to 10")
    return scores

"""Signs that a response is none: a refusal, or a text that ends in the middle."""

from __future__ import annotations

import re
from typing import Final

_REFUSALS: Final = re.compile(
    r"\A\W*(?:(?:i(?:'|’)?m|i am|we are|we're) (?:very |really |so |truly )?(?:sorry|afraid|unable)\b"
    r"|(?:unfortunately|sorry|apologies|i apologi[sz]e)\b[^.!?\n]{0,80}"
    r"\b(?:can(?:no|'|’)t|cannot|unable|not able|won(?:'|’)t)"
    r"|(?:as|being) an? (?:ai|artificial intelligence|large language|language)\b[^.!?\n]{0,120}"
    r"\b(?:can(?:no|'|’)t|cannot|unable|not able|do(?:n(?:'|’)t| not)|won(?:'|’)t)"
    r"|i (?:can(?:no|'|’)t|cannot|won(?:'|’)t|must decline|am not able|do not feel comfortable)\b"
    r"[^.!?\n]{0,40}\b(?:help|assist|fulfil+|comply|provide|create|generate|answer|do that|write|complete|support)"
    r"|(?:很|非常|十分)?(?:抱歉|对不起|不好意思)[^。！？\n]{0,40}(?:无法|不能|没有办法|没法|不可以)"
    r"|作为(?:一个|一名|一款)?[^。！？\n]{0,16}(?:AI|人工智能|语言模型)[^。！？\n]{0,40}(?:无法|不能|没有))",
    re.IGNORECASE,
)
_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_DANGLING: Final = re.compile(
    r"(?:,|，|、|\b(?:and|or|but|the|a|an|of|to|in|with|for|because|that|which|is|are|was|as))\s*\Z", re.I
)


def refusal(response: str) -> str | None:
    """Return the words with which a response declines to answer; None if it answers."""
    found = _REFUSALS.match(response)
    return found.group(0).strip() if found else None


def cut_off(response: str) -> str | None:
    """Return how a response shows that it ends in the middle: an open code block, a comma or "the" at its end."""
    if len(_FENCE.findall(response)) % 2:
        return "a code block is left open"
    dangling = _DANGLING.search(response)
    # A short answer may well be a single such word, in a lesson about words.
    if dangling and len(response.split()) >= 12:
        return f"it ends in {dangling.group(0).strip()!r}"
    return None

"""How the request in a refined prompt ends: a small model likes to end an order with a question mark."""

from __future__ import annotations

_ASKING = frozenset((
    "what", "how", "why", "who", "whom", "whose", "when", "where", "which", "is", "are", "am", "was", "were",
    "do", "does", "did", "can", "could", "will", "would", "shall", "should", "may", "might", "have", "has",
    "had", "in", "on", "at", "to", "for", "from", "with", "by", "if", "whether", "hi", "hello", "hey", "so",
    "and", "but", "ok", "okay",
))  # fmt: skip
"""First words behind which a question may come."""


def with_its_own_end(original: str, refined: str) -> str:
    """Return a refined prompt without the question mark behind an original that asks nothing.

    Only where it begins with the original's first line as it was, which neither has a question mark nor begins as a
    question does; a full stop, or nothing behind a colon, takes its place.
    """
    head = original.strip().partition("\n")[0].rstrip(" .")
    first = head.partition(" ")[0].strip(",;:\"'").casefold()
    at = len(head)
    if not head or "?" in original or first.partition("'")[0] in _ASKING or refined[at : at + 1] != "?":
        return refined
    if refined[:at].casefold() != head.casefold():
        return refined
    return refined[:at] + ("" if head[-1] in ":,;!" else ".") + refined[at + 1 :]

"""Conversations: from the turns that published data sets keep to instructions with their responses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Choice = Literal["first", "last", "all"]
"""Which pair of a conversation becomes a record: the first, the last with the earlier ones as its history, or each."""

Turn = tuple[str, str | None]
"""A role in small letters and the turn's text, None where it has none."""

USER_ROLES: Final = frozenset({"user", "human", "prompter"})
ASSISTANT_ROLES: Final = frozenset({"assistant", "gpt", "chatgpt", "model", "bot"})
SYSTEM_ROLES: Final = frozenset({"system", "developer"})

_TRANSCRIPT: Final = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN_PAIR: Final = re.compile(f"[{_HAN}]{{2}}")
_HAN_APART: Final = re.compile(f"[{_HAN}] [^ ]")
_INNER_SPACE: Final = re.compile(r"(?<=\S) (?=\S)")
_WORDS: Final = re.compile(r"[A-Za-z0-9]{2,} [A-Za-z0-9]|[A-Za-z0-9] [A-Za-z0-9]{2,}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A user's turn, the assistant's after it, and what went before."""

    instruction: str
    response: str | None
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()


def of(value: Any) -> list[Turn]:
    """Return the turns of OpenAI's (`role`, `content`) or ShareGPT's (`from`, `value`) lists, [] for anything else."""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return []
    turns = []
    for turn in value:
        if not isinstance(turn, dict):
            return []
        role = turn.get("role", turn.get("from"))
        if not isinstance(role, str):
            return []
        turns.append((role.strip().lower(), content(turn.get("content", turn.get("value", turn.get("text"))))))
    return turns


def content(value: Any) -> str | None:
    """Return a turn's text: a string, or a list of parts of which those with a `text` are joined."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    texts = [part if isinstance(part, str) else part.get("text") for part in value if isinstance(part, str | dict)]
    kept = [text for text in texts if isinstance(text, str)]
    return "".join(kept) if kept else None


def pairs(turns: Sequence[Turn]) -> list[Pair]:
    """Return a pair for each user turn that an assistant answers, and for a last one that nobody does.

    The system prompt is what stands before the first user turn. A conversation is followed up to the first turn that
    a pair cannot hold: a tool's, one without text, two of a user in a row.
    """
    system: str | None = None
    start = next((at for at, (role, text) in enumerate(turns) if role in USER_ROLES and text is not None), len(turns))
    for role, text in turns[:start]:
        if role in SYSTEM_ROLES and text and text.strip():
            system = text
    found: list[Pair] = []
    history: list[tuple[str, str]] = []
    at = start
    while at < len(turns) and turns[at][0] in USER_ROLES and (asked := turns[at][1]) is not None:
        answered = turns[at + 1] if at + 1 < len(turns) else ("", None)
        answer = answered[1] if answered[0] in ASSISTANT_ROLES else None
        found.append(Pair(asked, answer, system, tuple(history)))
        if answer is None:
            break
        history.append((asked, answer))
        at += 2
    return found


def chosen(found: Sequence[Pair], choice: Choice) -> list[Pair]:
    """Return the pairs that are wanted; those without an answer only where there is no other."""
    if choice == "first" or not found:
        return list(found[:1])
    answered = [pair for pair in found if pair.response is not None and pair.response.strip()] or list(found[:1])
    return answered if choice == "all" else answered[-1:]


def covers(pair: Pair, spoken: Sequence[Turn]) -> bool:
    """Say whether the pair with its system prompt and history is all of a conversation."""
    held = 2 * len(pair.history) + (1 if pair.response is None else 2) + (pair.system is not None)
    return held == len(spoken)


def last_answer(turns: Sequence[Turn]) -> str | None:
    """Return the assistant's last turn."""
    return next((text for role, text in reversed(turns) if role in ASSISTANT_ROLES and text is not None), None)


def from_transcript(text: str) -> list[Turn]:
    r"""Return the turns of `\n\nHuman: …\n\nAssistant: …` (Anthropic's HH-RLHF), [] for any other text."""
    parts = _TRANSCRIPT.split(text)
    if len(parts) < 5 or parts[0].strip() or parts[1] != "Human":
        return []
    return [(role.lower(), part.strip()) for role, part in zip(parts[1::2], parts[2::2], strict=True)]


def from_dialogue(lines: Sequence[str]) -> list[Turn]:
    """Return the turns of a dialogue of two people, of whom the first one is the user.

    LCCC (arXiv:2008.03946) separates all characters by spaces; they are joined where the whole dialogue is so.
    """
    if is_spaced(lines):
        lines = [joined(line) for line in lines]
    return [("assistant" if at % 2 else "user", line) for at, line in enumerate(lines)]


def is_spaced(lines: Sequence[str]) -> bool:
    """Say whether the Chinese characters of all lines stand apart: `你 好`, and never two side by side."""
    return any(_HAN_APART.search(line) for line in lines) and not any(_HAN_PAIR.search(line) for line in lines)


def joined(line: str) -> str:
    """Return a line without the spaces between its characters; between Latin words, if it has whole ones, they stay."""
    line = line.strip()
    if not _WORDS.search(line):
        return _INNER_SPACE.sub("", line)
    return re.sub(r"(?<=[^\x00-\x7f]) (?=\S)|(?<=\S) (?=[^\x00-\x7f])|(?<=\S) (?=[.,!?;:])", "", line)


def from_tree(node: Any) -> list[list[Turn]]:
    """Return the paths of an Open Assistant message tree (`text`, `role`, `replies`), the best-ranked replies first.

    The format: https://projects.laion.ai/Open-Assistant/docs/data/schemas; deleted messages end a path.
    """
    if not isinstance(node, dict) or not isinstance(node.get("text"), str) or not isinstance(node.get("role"), str):
        return []
    turn: Turn = (node["role"].lower(), node["text"])
    replies = node.get("replies")
    usable = [reply for reply in replies if isinstance(reply, dict)] if isinstance(replies, list) else []
    usable = [reply for reply in usable if not reply.get("deleted")]
    usable.sort(key=lambda reply: reply["rank"] if isinstance(reply.get("rank"), int) else len(usable))
    paths = [path for reply in usable for path in from_tree(reply)]
    return [[turn, *path] for path in paths] or [[turn]]

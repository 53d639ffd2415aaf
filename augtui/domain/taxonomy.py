"""The task classes that a data set is balanced over, and the share that each should have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

_RARE: Final = (
    "Writing", "Computer Science", "Complex Format", "Common-Sense", "Counterfactual", "Multilingual", "Roleplay",
    "Biology", "Technology", "Ethics", "Sport", "Law", "Medicine", "Literature", "Entertainment", "Art", "Music",
    "Toxicity", "Economy", "Physics", "History", "Chemistry", "Philosophy", "Health", "Ecology", "Grammar",
    "Paraphrase",
)  # fmt: skip

OTHERS: Final = "Others"
"""The class of whatever belongs to no other, or not surely enough."""

SHARES: Final[Mapping[str, float]] = {
    "Math": 0.167,
    "Reasoning": 0.167,
    "Code Generation": 0.083,
    "Code Debug": 0.083,
    OTHERS: 0.041,
    **dict.fromkeys(_RARE, 0.017),
}
"""The target mix of the paper's predecessor, TAPIR (https://arxiv.org/abs/2405.13448), as EasyDistill publishes it
(modelscope/easydistill, recipes/distilqwen_series/distillqwen2/task_resampling.py). The shares add up to 1."""

CLASSES: Final = tuple(SHARES)
"""The 32 classes, in the order of the table."""

_BY_KEY: Final = {"".join(filter(str.isalnum, name.lower())): name for name in CLASSES}


def class_named(text: str) -> str | None:
    """Return the class of that name, whatever its case, spaces and hyphens; None if there is none."""
    return _BY_KEY.get("".join(filter(str.isalnum, text.lower())))


def renormalised(shares: Mapping[str, float], present: Collection[str]) -> dict[str, float]:
    """Return the shares of the classes that are present, scaled so that they add up to 1, in the order of `shares`.

    EasyDistill's sampler leaves the shares of absent classes unused, and so returns fewer rows than it promises. A
    present class without a share gets none.
    """
    here = {name: share for name, share in shares.items() if name in present and share > 0}
    total = sum(here.values())
    return {name: share / total for name, share in here.items()}

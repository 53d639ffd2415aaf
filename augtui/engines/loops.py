"""Endless repetition: small models now and then say the same few tokens for ever; waiting for the end is futile."""

from __future__ import annotations

from collections.abc import Sequence

CHECK_EVERY = 16
"""Drawn tokens between two looks."""
LONGEST_PERIOD = 48
REPEATS = 4
LEAST_TOKENS = 64
"""A loop of short period must go on for so long: rulers, indented code and zeros repeat, too."""


def loops(tokens: Sequence[int]) -> bool:
    """Return whether the end of `tokens` repeats a piece of at most 48 tokens four times over, and 64 tokens long."""
    count = len(tokens)
    for period in range(1, LONGEST_PERIOD + 1):
        span = max(REPEATS * period, LEAST_TOKENS)
        if span > count:
            return False
        if all(tokens[place] == tokens[place - period] for place in range(count - 1, count - 1 - span + period, -1)):
            return True
    return False

"""Does speculation pay? Measured times of steps against measured chances that a draft is right."""

from __future__ import annotations

from collections.abc import Sequence

MEMORY = 0.97
"""How much of its weight an observation keeps with each later one."""
PRIOR_CHANCE = 0.6
PRIOR_WEIGHT = 4.0
"""The chance that a drafted token is right, before anything is known: as if it had been seen for so many tokens."""
PRIOR_BASE_TOKENS = 12.0
"""Before it is known, a step's fixed cost is taken for that of so many tokens: enough to try, and soon corrected."""
RIDGE = 8.0


class StepCost:
    """Seconds of a step as `fixed + each · tokens`, fitted to the steps seen, the recent ones first."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._weight = self._n = self._t = self._nn = self._nt = 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn from a step of `tokens` tokens."""
        self._weight = self._weight * MEMORY + 1.0
        self._n = self._n * MEMORY + tokens
        self._t = self._t * MEMORY + seconds
        self._nn = self._nn * MEMORY + tokens * tokens
        self._nt = self._nt * MEMORY + tokens * seconds

    def line(self) -> tuple[float, float] | None:
        """Return fixed and per-token seconds, or None before the first step.

        Where all steps had about the same size, nothing tells the two apart, and a prior decides.
        """
        if not self._weight:
            return None
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        prior = mean_t / (mean_n + PRIOR_BASE_TOKENS)
        spread = self._nn - self._n * mean_n
        covariance = self._nt - self._n * mean_t
        each = (covariance + RIDGE * prior) / (spread + RIDGE)
        each = min(max(each, 0.05 * prior), mean_t / mean_n)
        return max(mean_t - each * mean_n, 0.0), each


class Chance:
    """How often drafted tokens turn out right, by the length of the n-gram that found them."""

    def __init__(self, longest: int) -> None:
        """Know nothing yet."""
        self._right = [PRIOR_CHANCE * PRIOR_WEIGHT] * (longest + 1)
        self._seen = [PRIOR_WEIGHT] * (longest + 1)

    def of(self, size: int) -> float:
        """Return the chance that a token drafted after an n-gram of `size` tokens is right, if those before it are."""
        return self._right[size] / self._seen[size]

    def observe(self, size: int, right: int, *, refuted: bool) -> None:
        """Learn that `right` tokens of a draft were drawn, and whether the next one was not."""
        self._right[size] = self._right[size] * MEMORY + right
        self._seen[size] = self._seen[size] * MEMORY + right + refuted


def draft_lengths(
    proposals: Sequence[int],
    chances: Sequence[float],
    expected: float,
    tokens: int,
    cost: tuple[float, float],
    room: int,
) -> list[int]:
    """Return how many tokens of each proposal to put into the step, for most expected tokens a second.

    proposals: tokens proposed for each sequence; chances: that each next one is right; expected: tokens that the step
    yields without drafts; tokens: its size without them; cost: `StepCost.line`; room: most tokens to add. A drafted
    token is worth its place if it raises expected tokens over seconds: its chance over its seconds is above the ratio
    of the rest. Taking the likeliest first finds the best set.
    """
    fixed, each = cost
    seconds = fixed + each * tokens
    lengths = [0] * len(proposals)
    alive = list(chances)
    for _ in range(room):
        best = max(range(len(proposals)), key=lambda place: alive[place] if lengths[place] < proposals[place] else 0.0)
        if lengths[best] >= proposals[best] or alive[best] * seconds <= each * expected:
            break
        expected += alive[best]
        seconds += each
        alive[best] *= chances[best]
        lengths[best] += 1
    return lengths

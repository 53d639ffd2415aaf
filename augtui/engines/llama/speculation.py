"""Which tokens to draft in a step, by what drafting has brought and cost so far."""

from __future__ import annotations

from collections.abc import Sequence

from augtui.engines.llama.drafts import LONGEST_DRAFT, LONGEST_NGRAM
from augtui.engines.llama.pace import Chance, StepCost, draft_lengths
from augtui.engines.llama.slots import Answering


class Speculation:
    """Drafts for the answers under way; switches itself off where it does not pay, and tries again now and then."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.cost = StepCost()
        self.chance = Chance(LONGEST_NGRAM)

    def draft(self, answers: Sequence[Answering], room: int) -> None:
        """Set each answer's draft for the next step, at most `room` tokens in all."""
        line = self.cost.line()
        if line is None or room <= 0:
            return
        found = [
            answer.lookup.propose(min(LONGEST_DRAFT, answer.left - 1)) if answer.lookup else ([], 0)
            for answer in answers
        ]
        proposals = [len(tokens) for tokens, _ in found]
        if not any(proposals):
            return
        chances = [self.chance.of(size) for _, size in found]
        lengths = draft_lengths(proposals, chances, len(answers), len(answers), line, room)
        for answer, (tokens, size), length in zip(answers, found, lengths, strict=True):
            answer.draft, answer.ngram = tokens[:length], size

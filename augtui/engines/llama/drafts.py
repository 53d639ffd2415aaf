"""Speculation by prompt lookup: what is likely to come next is looked up in the prompt, and verified in one decode.

An answer that rewrites its prompt repeats much of it. Tokens that followed the same few tokens before are put into the
batch with the token drawn last; each that the sampler then draws itself was computed for a fraction of a step's time.
Drawing with the request's own sampler at each place and stopping at the first difference leaves the distribution of
the text as it is, and with the same seed the text itself (https://github.com/apoorvumang/prompt-lookup-decoding;
for the distribution: speculative sampling with a draft that is certain, https://arxiv.org/abs/2302.01318).
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_NGRAM = 4
SHORTEST_NGRAM = 2
LONGEST_DRAFT = 16


class PromptLookup:
    """Finds continuations of a growing text within itself."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """Begin with the tokens of the prompt."""
        self._tokens: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Add the next token of the text."""
        tokens, places = self._tokens, self._places
        # The n-gram that ends before this token is followed by it; the latest place wins.
        for size in range(SHORTEST_NGRAM, LONGEST_NGRAM + 1):
            if len(tokens) >= size:
                places[tuple(tokens[-size:])] = len(tokens)
        tokens.append(token)

    def propose(self, most: int) -> tuple[list[int], int]:
        """Return up to `most` tokens that followed the present end before, and the length of the end that was found.

        No tokens and 0 if the end is new.
        """
        for size in range(LONGEST_NGRAM, SHORTEST_NGRAM - 1, -1):
            if len(self._tokens) >= size:
                place = self._places.get(tuple(self._tokens[-size:]))
                if place is not None:
                    return self._tokens[place : place + most], size
        return [], 0

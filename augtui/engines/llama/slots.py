"""A sequence at work: an answer being drawn, a text being scored, a text being embedded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from augtui.engines.assembly import Answer
from augtui.engines.base import EmbedRequest, Request, Work
from augtui.engines.llama.drafts import PromptLookup
from augtui.engines.llama.prefixes import Prefix
from augtui.engines.llama.sampler import Sampler


@dataclass(slots=True, eq=False)
class Waiting:
    """Work with its tokens, not yet in the cache."""

    work: Work
    tokens: list[int]
    """All tokens to be computed; of an answer to be drawn, those of its prompt."""
    room: int
    """Cells that it needs besides: the longest answer."""
    submitted: float
    passed: int
    """Pieces of work that had been admitted when this one was submitted."""
    sampler: Sampler | None = None
    targets: list[int] = field(default_factory=list)
    """Of a text to be scored: the tokens whose likelihood is wanted, the last of the text."""
    is_alone: bool = False
    """Whether they are scored without their instruction."""

    @property
    def sharable(self) -> int:
        """Return how many of its first tokens may come from a prefix: what is read from outputs must be computed."""
        if isinstance(self.work, EmbedRequest):
            return 0
        return len(self.tokens) - max(1, len(self.targets))

    @property
    def adapter(self) -> str | None:
        """Return the adapter to compute with."""
        return None if isinstance(self.work, EmbedRequest) else self.work.adapter


@dataclass(slots=True, eq=False)
class Slot:
    """One sequence in the cache: its tokens are computed piece by piece."""

    sequence: int
    waiting: Waiting
    admitted: float
    prefix: Prefix | None
    shared: int
    """Tokens that it has from its prefix."""
    spared: int
    """Tokens that need not be computed for it: those it had from a prefix when it began."""
    reserved: int
    """Cells that are its own, the ones it will need included."""
    computed: int
    """Tokens whose keys and values are in the cache."""
    keep_at: list[int]
    """Lengths at which its beginning is kept for others."""

    @property
    def id(self) -> str:
        """Return the id of the work."""
        return self.waiting.work.id

    @property
    def tokens(self) -> list[int]:
        """Return the tokens to be computed before anything can be drawn."""
        return self.waiting.tokens


@dataclass(slots=True, eq=False)
class Answering(Slot):
    """A slot that draws an answer token by token."""

    request: Request
    sampler: Sampler
    answer: Answer
    lookup: PromptLookup | None = None
    pending: int | None = None
    """The token drawn last, not yet in the cache."""
    places: list[int] = field(default_factory=list)
    """Where this step's logits are: of the last token, then of each drafted one."""
    draft: list[int] = field(default_factory=list)
    ngram: int = 0
    drafted: int = 0
    confirmed: int = 0
    first_token: float = 0.0
    told: int = 0
    """Characters of its text that were told already."""

    @property
    def left(self) -> int:
        """Return how many more tokens may be drawn."""
        return self.answer.longest - len(self.answer.tokens)

    @property
    def position(self) -> int:
        """Return the place of the pending token in the sequence."""
        return len(self.tokens) + len(self.answer.tokens) - 1


@dataclass(slots=True, eq=False)
class Scoring(Slot):
    """A slot that reads how likely each token of an answer is."""

    places: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Return the position whose logits tell of the first token wanted."""
        return len(self.tokens) - len(self.waiting.targets)


@dataclass(slots=True, eq=False)
class Pooling(Slot):
    """A slot that adds up the hidden states of its tokens."""

    total: NDArray[np.float64] | None = None

"""The first of the texts accepted so far that a new text is too like: for texts that come one at a time."""

from __future__ import annotations

from bisect import insort
from fractions import Fraction

from rapidfuzz import process
from rapidfuzz.distance import Indel

from augtui.metrics.similarity import tokens

ROUNDING = 1e-9
"""What is so little below the threshold reaches it: 0.7 as a float is less than 7/10, and likeness is rounded too."""
_SURROGATES = 0xD800, 0x800


class FirstCome:
    """Accepted texts in their order, and the question which of them comes first that a text is too like.

    Likeness is ROUGE-L F1 = 2 LCS / (m + n) over the tokens of `augtui.metrics.similarity`, for which texts are kept as
    strings of one character a token. LCS <= min(m, n), so only lengths m with min/max >= t / (2 - t) are looked at.
    """

    def __init__(self, threshold: float) -> None:
        """Begin without texts; `threshold` is above 0 and at most 1, and reached by what is just as alike."""
        self.threshold = threshold
        exact = Fraction(str(threshold))
        self._least = exact / (2 - exact)
        self._numbers: dict[str, int] = {}
        self._lengths: list[int] = []
        self._by_length: dict[int, tuple[list[str], list[int]]] = {}
        self._bare: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of texts."""
        return self._count

    def add(self, text: str) -> None:
        """Add a text behind the others."""
        coded = self._coded(text)
        if not coded:
            self._bare.setdefault(text.strip(), self._count)
        else:
            if len(coded) not in self._by_length:
                insort(self._lengths, len(coded))
            texts, places = self._by_length.setdefault(len(coded), ([], []))
            texts.append(coded)
            places.append(self._count)
        self._count += 1

    def like(self, text: str) -> tuple[int, float] | None:
        """Return place and likeness of the first text that is too like this one; None if there is none.

        Two texts without any token are alike if they are the same string.
        """
        coded = self._coded(text)
        if not coded:
            place = self._bare.get(text.strip())
            return None if place is None else (place, 1.0)
        found: tuple[int, float] | None = None
        for length in self._lengths:
            if not self._least * max(length, len(coded)) <= min(length, len(coded)):
                continue
            texts, places = self._by_length[length]
            for _, likeness, at in process.extract_iter(
                coded, texts, scorer=Indel.normalized_similarity, score_cutoff=self.threshold - ROUNDING
            ):
                if found is None or places[at] < found[0]:
                    found = places[at], float(likeness)
                break  # the texts of one length are in their order
        return found

    def _coded(self, text: str) -> str:
        return "".join(map(self._letter, tokens(text)))

    def _letter(self, token: str) -> str:
        number = self._numbers.setdefault(token, len(self._numbers))
        if number >= _SURROGATES[0]:
            number += _SURROGATES[1]
        # Beyond Unicode's 1,112,064 characters tokens share letters: texts then seem more alike, never less.
        return chr(number if number < 0x110000 else number % _SURROGATES[0])

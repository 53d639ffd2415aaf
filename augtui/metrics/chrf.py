"""chrF: how alike two texts are by their character n-grams, for languages with and without spaces between words."""

from __future__ import annotations

from collections import Counter

ORDER = 6
BETA = 2.0


def chrf(reference: str, hypothesis: str, *, order: int = ORDER, beta: float = BETA) -> float:
    """Return the chrF score of two texts, 0 to 1 (Popović 2015, https://aclanthology.org/W15-3049).

    White space is left out; precision and recall are means over the orders 1 … `order` for which both texts have
    n-grams, and recall weighs `beta` times as much as precision.
    """
    first, second = "".join(reference.split()), "".join(hypothesis.split())
    if not first or not second:
        return float(first == second)
    precision = recall = 0.0
    orders = 0
    for size in range(1, order + 1):
        wanted, given = _grams(first, size), _grams(second, size)
        if not wanted or not given:
            break
        common = (wanted & given).total()
        precision += common / given.total()
        recall += common / wanted.total()
        orders += 1
    precision, recall = precision / orders, recall / orders
    if precision + recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _grams(text: str, size: int) -> Counter[str]:
    return Counter(text[at : at + size] for at in range(len(text) - size + 1))

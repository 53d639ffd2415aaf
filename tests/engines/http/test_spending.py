"""Money: the budget holds, and an estimate is never too small."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from augtui.domain.templates import Message
from augtui.engines.http.spending import Prices, Spending, most_chat_tokens, most_prompt_tokens

dollars = st.floats(0, 10, allow_subnormal=False)


def test_prices_are_for_a_million_tokens() -> None:
    assert Prices(2.5, 10.0, request=0.01).cost(1_000_000, 100_000) == pytest.approx(2.5 + 1.0 + 0.01)


class BudgetLaws(RuleBasedStateMachine):
    """Whatever is reserved and settled in whatever order: no more is spent than the budget."""

    def __init__(self) -> None:
        super().__init__()
        self.spending = Spending(20.0, 3.0)
        self.held: list[float] = []

    @rule(worst=dollars)
    def reserve(self, worst: float) -> None:
        if self.spending.reserve(worst):
            self.held.append(worst)
        else:
            assert self.spending.before + self.spending.spent + self.spending.reserved + worst > 20.0

    @precondition(lambda self: self.held)
    @rule(data=st.data(), share=st.floats(0, 1))
    def settle(self, data: st.DataObject, share: float) -> None:
        worst = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.spending.settle(worst, worst * share)

    @invariant()
    def the_budget_holds(self) -> None:
        spending = self.spending
        assert spending.reserved == pytest.approx(sum(self.held), abs=1e-9)
        assert spending.before + spending.spent + spending.reserved <= 20.0 + 1e-9


TestBudgetLaws = BudgetLaws.TestCase


def test_without_a_budget_everything_fits() -> None:
    assert Spending().reserve(1e9)


@given(st.text(max_size=300))
def test_an_estimate_is_never_below_a_byte_level_tokenizer(text: str) -> None:
    assert most_prompt_tokens([text]) >= len(text)
    assert most_chat_tokens([Message("user", text)]) > most_prompt_tokens([text])


def test_an_estimate_is_above_what_a_real_tokenizer_says(default_model: Path) -> None:
    import llama_cpp

    model = llama_cpp.Llama(str(default_model), vocab_only=True, verbose=False)
    for text in ("Write a poem.", "写一首关于大海的诗", "x = {'a': [1, 2, 3]}\n\n\t" * 9, "🏳️‍🌈 \u0301\u0301", "ﷺ" * 20):
        assert len(model.tokenize(text.encode(), add_bos=False)) <= most_prompt_tokens([text])

"""The evaluation tells a good answer from a bad one, and its prompts are what they say."""

from __future__ import annotations

from augtui.domain.kinds import tongue
from training.nano.evaluate import Answered, added_types, expand_figures, refine_figures, rouge_l
from training.nano.heldout import OWN, Asked
from training.nano.kinds import task_types

RECIPE = Asked("own", "Give me a recipe for 3 pancakes", ("recipe",))
GOOD = "Give me a recipe for 3 pancakes. List the ingredients with exact amounts. Describe the steps in order."


def test_a_good_refinement_has_full_marks() -> None:
    figures = refine_figures([Answered(RECIPE, GOOD, "stop")])
    assert figures["every content word kept"] == figures["right task"] == figures["guard strict"] == 1.0
    assert figures["numbers, variables, code, links kept"] == 1.0
    assert figures["with a non-word"] == 0.0


def test_lost_swapped_endless_and_misrouted_answers_are_told() -> None:
    bad = [
        Answered(RECIPE, "Give me a recipe for 4 waffles. Describe the steps in order.", "stop"),
        Answered(RECIPE, GOOD + " Blorptify zanquil.", "stop"),
        Answered(RECIPE, GOOD, "length"),
        Answered(RECIPE, "Give me a recipe for 3 pancakes. Keep a steady rhythm. Use strong images.", "stop"),
        Answered(RECIPE, "", "missing"),
    ]
    figures = refine_figures(bad)
    assert figures["every content word kept"] == 0.4
    assert figures["with a non-word"] >= 0.2
    assert figures["numbers, variables, code, links kept"] == 0.4
    assert figures["right task"] == 0.6
    assert figures["ended"] == 0.6
    assert figures["guard strict"] == 0.2


def test_the_kind_of_added_structure_is_found() -> None:
    prompt = "写一首关于雪的诗"
    assert "poem" in added_types(prompt, "写一首关于雪的诗。\n\n要求：\n- 请使用鲜明的意象。", tongue(prompt))
    assert added_types("Tell me of rain", "Tell me of rain.", tongue("Tell me of rain")) == frozenset()


def test_expansions_are_judged_for_kind_and_novelty() -> None:
    seed = Asked("own", "Write a poem about rain", ("poem",))
    figures = expand_figures([
        Answered(seed, "Write a haiku about the sea.", "stop"), Answered(seed, "Write a poem about rain.", "stop"),
        Answered(seed, "How do I bake bread?", "stop"), Answered(seed, "", "missing"),
    ])  # fmt: skip
    assert figures["parse"] == 0.75
    assert figures["same task type"] == 0.5
    assert figures["ROUGE-L to the seed < 0.7"] == 0.75


def test_rouge_l_reads_chinese_by_character() -> None:
    assert rouge_l("春天的诗", "春天的歌") == 0.75


def test_the_hundred_prompts_have_types_that_exist() -> None:
    import json

    rows = [json.loads(line) for line in OWN.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len({row["prompt"] for row in rows}) == 100
    for row in rows:
        known = {kind.name for kind in task_types(tongue(row["prompt"]))}
        assert row["types"] and set(row["types"]) & known, row

"""The training sets of section 3.1.3: the forms of Tables 9 to 11, contexts, the shuffle, and splits by family."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from augtui.domain.records import Record
from augtui.pipelines.trainset import examples, sources, writing
from augtui.pipelines.trainset.examples import Kind, Made

SEEDS = [Record(f"Describe river number {n}.", f"River {n} is long.") for n in range(30)]


def expanded(count: int = 2) -> list[Made]:
    """Two new pairs of each seed."""
    made = []
    for n, seed in enumerate(SEEDS):
        for sample in range(count):
            target = Record(f"Describe lake {sample} near town {n}.", f"Lake {sample} of {n} is deep.")
            made.append(Made("ie", seed, target, f"f{n}", f"s{n}", f"c{n}.{sample}"))
            made.append(Made("ire", seed, target, f"f{n}", f"s{n}", f"c{n}.{sample}"))
    return made


def test_expansions_and_refinements_are_tables_10_and_9() -> None:
    found = examples.expansions(expanded())
    assert len(found) == 60
    system, user, answer = found[0].messages
    assert system.content.startswith("You are a helpful assistant to expand this instruction")
    assert (user.content, answer.role, answer.content) == (
        "Describe river number 0.", "assistant", "Describe lake 0 near town 0.",
    )  # fmt: skip
    refined = Made("ir", SEEDS[0], Record("Describe river number 0 in detail."), "f", "a", "b")
    system, user, answer = examples.refinements([refined])[0].messages
    assert system.content.startswith("You are a helpful assistant to refine this instruction")
    assert answer.content == "Describe river number 0 in detail."


def test_pairs_are_table_11_with_their_source_and_up_to_two_others_in_the_context() -> None:
    found = examples.pairs(expanded(), seed=1, shuffle=0)
    sizes = Counter()
    places = Counter()
    for example, one in zip(found, [m for m in expanded() if m.kind == "ire"], strict=True):
        system, user, answer = example.messages
        assert system.content.startswith("You are a helpful assistant to continue writing")
        *context, output = example.records
        assert output == one.target_id
        assert one.source_id in context
        assert len(set(context)) == len(context)
        sizes[len(context)] += 1
        places[context.index(one.source_id), len(context)] += 1
        assert user.content.endswith("### Instruction:")
        assert user.content.count("### Response:\n") == len(context)
        assert answer.content == f"### Instruction:\n{one.target.instruction}\n\n### Response:\n{one.target.response}"
    assert set(sizes) == {1, 2, 3}
    assert len(places) == 6, "the source stands at every place"


def test_a_share_of_the_outputs_changes_places_and_none_is_lost() -> None:
    plain = examples.pairs(expanded(), seed=1, shuffle=0)
    shuffled = examples.pairs(expanded(), seed=1, shuffle=0.15)
    assert sum(example.shuffled for example in shuffled) == round(0.15 * 60)
    for before, after in zip(plain, shuffled, strict=True):
        assert before.records[:-1] == after.records[:-1]
        assert (before.records[-1] != after.records[-1]) == after.shuffled
        assert after.records[-1] not in after.records[:-1]
    assert Counter(e.records[-1] for e in shuffled) == Counter(e.records[-1] for e in plain)


def test_a_shuffle_never_shows_an_output_in_its_own_context() -> None:
    # Two sources that are each other's outputs: hardly any exchange fits.
    a, b, c = Record("Name a river.", "Loire."), Record("Name a lake.", "Garda."), Record("Name a sea.", "Baltic.")
    made = [
        Made("ire", a, b, "f", "a", "b"), Made("ire", b, a, "f", "b", "a"),
        Made("ire", a, c, "f", "a", "c"), Made("ire", b, c, "f", "b", "c2"),
    ]  # fmt: skip
    for seed in range(20):
        for example in examples.pairs(made, seed=seed, shuffle=1.0):
            shown = example.messages[1].content
            told = example.messages[2].content.split("\n")[1]
            assert f"\n{told}\n" not in shown


def test_pairs_made_from_examples_are_shown_after_these() -> None:
    shown = (SEEDS[3], SEEDS[5])
    made = Made("ire", None, Record("Describe a moor.", "It is wet."), "f", "", "t", shown, ("s3", "s5"))
    (example,) = examples.pairs([made], seed=1)
    assert example.records == ("s3", "s5", "t")
    assert example.messages[1].content.index("river number 3") < example.messages[1].content.index("river number 5")


def test_the_same_seed_makes_the_same_files_and_another_others(tmp_path: Path) -> None:
    def made(name: str, seed: int) -> bytes:
        writing.write(expanded(), {"ire": tmp_path / name}, seed=seed)
        return (tmp_path / name).read_bytes()

    assert made("a", 1) == made("b", 1)
    assert made("a", 1) != made("c", 2)


def test_relatives_are_on_one_side_whatever_the_kind(tmp_path: Path) -> None:
    kinds: tuple[Kind, ...] = ("ie", "ire")
    targets = {kind: tmp_path / f"{kind}.jsonl" for kind in kinds}
    report = writing.write(expanded(), targets, validation=0.2, seed=3)
    sides = []
    for suffix in (".jsonl", ".validation.jsonl"):
        families: set[str] = set()
        for kind in kinds:
            lines = [json.loads(line) for line in (tmp_path / f"{kind}{suffix}").read_text().splitlines()]
            families |= {line["family"] for line in lines}
            # The contexts of pairs are of their own side as well.
            families |= {f"f{name[1:].split('.')[0]}" for line in lines for name in line["records"]}
        sides.append(families)
    assert sides[0] & sides[1] == set()
    assert len(sides[1]) == 6
    assert report.validation == {"ie": 12, "ire": 12}
    assert report.table_2 == {"ie": {"sources": 30, "targets": 60}, "ire": {"pairs": 60}}


def test_equal_instructions_are_relatives(tmp_path: Path) -> None:
    made = [
        Made("ie", Record("Name  a RIVER."), Record(f"Name lake {n}."), f"f{n}", f"s{n}", f"t{n}") for n in range(10)
    ]
    report = writing.write(made, {"ie": tmp_path / "x.jsonl"}, validation=0.5)
    assert report.validation["ie"] == 0


def test_files_of_the_steps_are_read() -> None:
    rows = [
        Record("Name a lake.", None, "c1", 1, 0, {"source": "Name a river.", "source_id": "s1", "status": "accepted"}),
        Record("Name a sea.", None, "c2", 2, 0, {"source": "wikipedia", "status": "accepted"}),
        Record("Name a hill.", None, "r1", 3, 0, {"refined": "Name a hill in Wales.", "status": "accepted"}),
        Record(
            "Name a fell in Wales.",
            "Tryfan.",
            "r3",
            9,
            0,
            {
                "instruction": "Name a fell.",
                "status": "accepted",
                "provenance": {"record": "abc"},
            },
        ),
        Record("Name a moor.", None, "r2", 4, 0, {"refined": "Name a moor.", "status": "kept_original"}),
        Record("Name a fen.", "Wicken.", "p1", 5, 0, {"status": "accepted"}),
        Record("Name a bog.", "Allen.", "p2", 6, 0, {"source_id": "p1"}),
        Record("Name a dyke.", "Offa's.", "p3", 7, 0, {"status": "failed"}),
    ]
    made = list(sources.of_file(rows))
    assert [(one.kind, one.source_id, one.target_id) for one in made] == [
        ("ie", "s1", "c1"), ("ir", "r1", "r1~refined"), ("ir", "r3", "r3~refined"),
        ("ire", "", "p1"), ("ire", "p1", "p2"),
    ]  # fmt: skip
    assert made[1].target.instruction == "Name a hill in Wales."
    assert made[2].source is not None
    assert (made[2].source.instruction, made[2].target.instruction) == ("Name a fell.", "Name a fell in Wales.")


def test_training_reads_the_files(tmp_path: Path) -> None:
    data = pytest.importorskip("training.data", reason="the training stack is not installed")
    kinds: tuple[Kind, ...] = ("ie", "ire")
    targets = {kind: tmp_path / f"{kind}.jsonl" for kind in kinds}
    writing.write(expanded(), targets)

    class Words:
        """A tokenizer, as far as training.data needs one."""

        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [len(word) for word in text.split()]

    for kind in kinds:
        chats, skipped = data.tokenize_chats(targets[kind], Words(), 10_000)
        assert (len(chats), skipped) == (60, 0)
        assert chats.trained.any() and not chats.trained.all()

"""Recipes: what ships is right, and what is wrong is said with the place and the nearest name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from augtui.errors import UsageError
from augtui.pipelines.recipes import execution, options, recipe


@pytest.mark.parametrize("name", recipe.shipped())
def test_a_shipped_recipe_is_right_and_says_what_it_is(name: str) -> None:
    found = recipe.load(name)
    assert found.name == name
    assert found.description
    assert found.steps[-1].kind.name in execution.WRITING


def test_every_step_has_a_stage() -> None:
    assert set(execution.STAGES) == set(options.KINDS)


def test_the_papers_recipe_is_that_of_the_paper() -> None:
    kinds = [step.kind.name for step in recipe.load("paper").steps]
    assert kinds == ["expand", "respond", "refine", "pairs", "check", "dedupe", "export"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[[steps]]\nuse = 'expnad'", "step 1: there is no step 'expnad'", "Did you mean 'expand'?"),
        ("[[steps]]\nuse = 'expand'\ncuont = 2", "expand has no option 'cuont'", "Did you mean 'count'?"),
        ("[[steps]]\nuse = 'expand'\ntemprature = 2", "no option 'temprature'", "Did you mean 'temperature'?"),
        ("[[steps]]\nuse = 'expand'\ncount = 'two'", "count is a whole number, not 'two'", ""),
        ("[[steps]]\nuse = 'expand'\ncount = true", "count is a whole number, not True", ""),
        ("[[steps]]\nuse = 'expand'\ncount = 0", "count is from 1 to 10000, not 0", ""),
        ("[[steps]]\nuse = 'dedupe'\nmethod = 'minhsh'", "there is no 'minhsh'", "Did you mean 'minhash'?"),
        ("[[steps]]\nuse = 'decontaminate'\nthreshold = 2", "from 0 to 1, not 2", ""),
        ("[[steps]]\nuse = 'decontaminate'", "decontaminate has no test sets", "against"),
        ("[[steps]]\nuse = 'export'\nmodel = 'x'", "export has no option 'model'", ""),
        ("[[steps]]\ncount = 2", "step 1 does not say what it uses", "use ="),
        ("[[steps]]\nuse = 'expand'\n[[steps]]\nuse = 'expand'", "two steps 'expand'", "name ="),
        ("[[step]]\nuse = 'expand'", "a recipe has no 'step'", "Did you mean 'steps'?"),
        ("[settings]\nsed = 1\n[[steps]]\nuse = 'expand'", "there is no setting 'sed'", "Did you mean 'seed'?"),
        ("steps = []", "there are no steps", "use ="),
        ("name = 3\n[[steps]]\nuse = 'expand'", "name and description are texts", ""),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.parse(tomllib.loads(text), "my.toml", text)
    assert caught.value.message.startswith("my.toml: ")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_two_steps_of_a_kind_have_names_of_their_own() -> None:
    text = "[[steps]]\nuse = 'expand'\n[[steps]]\nuse = 'expand'\nname = 'again'"
    assert [step.name for step in recipe.parse(tomllib.loads(text), "x.toml", text).steps] == ["expand", "again"]


def test_an_option_is_changed_from_the_command_line() -> None:
    found = recipe.load(
        "paper", ["expand.count=7", "respond.model=qwen.gguf", "respond.teachers.zh=a=b", "dedupe.method=exact"]
    )
    by_name = {step.name: step for step in found.steps}
    assert by_name["expand"].options["count"] == 7
    assert by_name["respond"].settings == {"model": "qwen.gguf"}
    assert by_name["respond"].options["teachers"] == {"zh": "a=b"}
    assert by_name["dedupe"].options["method"] == "exact"


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("expnad.count=2", "Did you mean 'expand'?"),
        ("expand.cont=2", "Did you mean 'count'?"),
        ("count=2", ""),
        ("x", ""),
    ],
)
def test_a_wrong_change_is_said(change: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.load("paper", [change])
    assert hint in (caught.value.hint or "")


def test_steps_are_left_out_from_the_command_line() -> None:
    found = recipe.load("paper", ["expand.count=7"], ["pairs", "check"])
    assert [step.name for step in found.steps] == ["expand", "respond", "refine", "dedupe", "export"]
    with pytest.raises(UsageError, match="no step 'pair'") as caught:
        recipe.load("paper", [], ["pair"])
    assert caught.value.hint == "Did you mean 'pairs'?"
    names = [step.name for step in recipe.load("clean").steps]
    with pytest.raises(UsageError, match="no steps"):
        recipe.load("clean", [], names)


def test_a_recipe_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe 'papr'") as caught:
        recipe.load("papr")
    assert caught.value.hint == "Did you mean 'paper'?"
    with pytest.raises(UsageError, match="no such file"):
        recipe.load(str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("[[steps]\n")
    with pytest.raises(UsageError, match="is not TOML"):
        recipe.load(str(broken))

"""The command line as the app sees it."""

from __future__ import annotations

import subprocess
import sys

from augtui.cli.catalogue import describe
from augtui.cli.main import app
from augtui.cli.plot import Name
from augtui.metrics.figures import FIGURES
from augtui.pipelines.steps import MODEL_TASKS
from augtui.tui import steps
from augtui.tui.catalogue import Command, Parameter
from augtui.tui.trainers import QUANTIZE, SFT


def test_every_command_and_every_task_is_there() -> None:
    catalogue = describe(app)
    names = {command.name for command in catalogue.commands}
    assert {"import", "export", "refine", "runs ls", "project new", "plot"} <= names
    assert set(MODEL_TASKS) <= set(steps.steps(catalogue))
    assert steps.steps(catalogue)[0] == "import" and steps.steps(catalogue)[-1] == "export"
    assert "strange task" in steps.steps(catalogue, ["strange task"])
    refine = catalogue.get("refine")
    assert refine is not None and refine.summary.startswith("Rewrite prompts")
    seed, deterministic = refine.parameter("seed"), refine.parameter("deterministic")
    assert seed is not None and seed.kind == "integer" and seed.flags[0] == "--seed"
    assert deterministic is not None and deterministic.kind == "flag"
    assert refine.parameter("json") is None


def test_words_of_a_command() -> None:
    command = Command(
        ("x",), "Do it. More.",
        (Parameter("file", ("--file", "-f"), "text"), Parameter("all", ("--all",), "flag"),
         Parameter("names", (), "text", multiple=True)),
    )  # fmt: skip
    assert command.summary == "Do it"
    assert command.arguments({"file": "a b", "all": True, "names": "'c d' e"}) == [
        "x", "--file", "a b", "--all", "c d", "e",
    ]  # fmt: skip
    assert command.arguments({"file": "-v", "all": False, "names": "-n"}) == ["x", "--file=-v", "--", "-n"]
    assert command.arguments({"file": "", "all": None}) == ["x"]


def test_the_figures_of_the_command_are_those_there_are() -> None:
    assert {name.value for name in Name} == {*FIGURES, "map"}


def test_the_trainers_options_are_those_of_their_parsers() -> None:
    program = (
        "import argparse, sys\n"
        "from unittest import mock\n"
        "for name in ('training.sft', 'quantize.__main__'):\n"
        "    module = __import__(name, fromlist=['x'])\n"
        "    seen = []\n"
        "    add = argparse._ActionsContainer.add_argument\n"
        "    with mock.patch('argparse._ActionsContainer.add_argument',"
        " lambda self, *a, **k: (seen.extend(a), add(self, *a, **k))[1]):\n"
        "        try: (module.parse_arguments if name == 'training.sft' else module.main)(['--help'])\n"
        "        except SystemExit: pass\n"
        "    print(name, *seen, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    training, quantize = (set(line.split()) for line in done.stderr.splitlines()[-2:])
    assert {parameter.flags[0] for parameter in SFT.parameters} <= training
    assert {parameter.flags[0] for parameter in QUANTIZE.parameters if parameter.flags} <= quantize

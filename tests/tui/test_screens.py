"""The screens, key by key, on a real project."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static, TextArea

from augtui.store import commanded, projects, runs
from augtui.tui.app import Workshop
from augtui.tui.jobs import Job
from augtui.tui.screens.dialogs import Choice, Prompt, Question, Reading
from augtui.tui.screens.filters import Filters
from augtui.tui.screens.form import Form
from augtui.tui.screens.help import Help
from augtui.tui.screens.looks import Looks
from augtui.tui.screens.versus import Versus
from augtui.tui.widgets.keys import KeyLine
from augtui.tui.widgets.records import RecordsTable
from tests.tui.conftest import HOSTILE, settle
from tests.tui.test_jobs import FAKE, until

Make = Callable[..., Workshop]
Steps = Callable[[Pilot[Any]], Coroutine[Any, Any, None]]


def drive(app: Workshop, steps: Steps, size: tuple[int, int] = (120, 40)) -> None:
    async def go() -> None:
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            await steps(pilot)

    asyncio.run(go())


def shown(app: Workshop, name: str) -> str:
    return str(app.screen.query_one(name, Static).visual)


def read(path: Path, sql: str) -> list[Any]:
    with projects.open_project(path) as project:
        return project.read(sql)


def test_home_lists_finds_filters_and_tells_where_a_record_came_from(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        table = app.screen.query_one(RecordsTable)
        assert table.total == 78 and table.row is not None and table.row.number == 1
        await pilot.press("end")
        await settle(pilot)
        assert table.row is not None and table.row.number == 78
        assert "refine →" in shown(app, "#record") or "expand →" in shown(app, "#record")
        await pilot.press("home", "down", "j", "k")
        assert table.cursor == 1
        await pilot.press("slash", *"秋天")
        await pilot.pause(0.3)
        await settle(pilot)
        assert table.total == 2
        await pilot.press("enter")
        assert app.focused is table
        await pilot.press("escape")
        await settle(pilot)
        assert table.total == 78
        await pilot.press("f")
        await settle(pilot)
        assert isinstance(app.screen, Filters)
        app.screen.choose("task", "expand")
        await pilot.press(*["down"] * 4, "space")
        assert app.screen.chosen == {"state": "failed", "task": "expand", "language": None, "run": None}
        app.screen.choose("task", None)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert 0 < table.total < 5
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, Reading)
        await pilot.press("y", "escape")
        assert app.clipboard.startswith("compare electric cars")
        await pilot.press("escape")
        await pilot.press("y")
        await settle(pilot)
        assert app.clipboard == "explain how photosynthesis works to a 10 year old"

    drive(app, steps)


def test_in_a_form_up_and_down_go_from_field_to_field(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot)
        assert isinstance(app.screen, Form)
        for key, field in (("", "p-file"), ("down", "p-model"), ("down", "p-limit"), ("up", "p-model")):
            await pilot.press(*[key] * bool(key))
            await pilot.pause()
            assert app.focused is not None and app.focused.id == field

    drive(app, steps)


def test_jump_mode_goes_to_a_part_by_its_letter(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        chain = [widget for widget in app.screen.focus_chain if widget.region.height]
        assert [widget.id for widget in chain] == ["steps", "find", "records", "detail"]
        await pilot.press("ctrl+g")
        await pilot.pause()
        await pilot.press("s")
        await pilot.pause()
        assert app.focused is not None and app.focused.id == "find"

    drive(app, steps)


def test_keys_from_the_settings(workshop: Make, project_file: Path, home: Path) -> None:
    (home / "config.toml").write_text('[keys]\n"records.down" = "z"\n"app.help" = "f2"\n')
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("z", "z")
        assert app.screen.query_one(RecordsTable).cursor == 2
        await pilot.press("f2")
        assert isinstance(app.screen, Help)
        keys = shown(app, "#keys")
        assert "records.down" in keys and "home.find" in keys and "app.review" in keys

    drive(app, steps)


def test_themes_are_shown_live_and_remembered(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+t", "down", "down")
        assert isinstance(app.screen, Looks) and app.theme == "augtui-contrast"
        await pilot.press("escape")
        assert app.theme == "augtui-dark"
        await pilot.press("ctrl+t", "down", "enter")
        await settle(pilot)
        assert app.theme == "augtui-light"

    drive(app, steps)
    assert workshop().preferences["theme"] == "augtui-light"


def test_an_empty_home_offers_the_example_and_two_keys_run_it(workshop: Make, home: Path, tmp_path: Path) -> None:
    app = workshop(project="fresh")

    async def steps(pilot: Pilot[Any]) -> None:
        assert "the example" in shown(app, "#welcome")
        app.jobs._catalogue = replace(app.catalogue, program=FAKE)
        await pilot.press("x")
        await settle(pilot)
        assert isinstance(app.screen, Form)
        assert "augtui refine" in shown(app, "#line")
        await pilot.press("enter")
        await settle(pilot)
        assert app.current_mode == "batch"
        assert app.jobs.all[0].arguments[:2] == ["refine", "--file"]
        assert Path(app.jobs.all[0].arguments[2]).read_text().count("\n") == 32

    drive(app, steps)


def test_a_step_is_offered_on_the_records_that_are_listed(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("slash", *"haiku")
        await pilot.pause(0.3)
        await settle(pilot)
        await pilot.press("enter", "r")
        await settle(pilot)
        await pilot.pause(0.3)
        assert isinstance(app.screen, Form)
        file = Path(app.screen.query_one("#p-file", Input).value)
        assert 1 <= len(file.read_text().splitlines()) <= 3 and "haiku" in file.read_text()
        assert "the records listed" in shown(app, "#estimate")
        await pilot.press("ctrl+y", "escape")
        assert app.clipboard.startswith("augtui refine --file ")

    drive(app, steps)


def test_batch_shows_rests_and_stops_a_job(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="batch")

    async def steps(pilot: Pilot[Any]) -> None:
        assert "Nothing runs" in shown(app, "#figures")
        app.jobs._catalogue = replace(app.catalogue, program=FAKE)
        job = app.launch(["events", "5000"], "refine")
        app.launch(["events", "3"], "expand")
        await until(lambda: job.done > 5)
        await pilot.pause(0.3)
        assert "number lost 1" in shown(app, "#figures") and "expand" in shown(app, "#waiting")
        await pilot.press("1", "2")
        assert job.is_live, "runs go on when the screen changes"
        await pilot.press("space")
        await until(lambda: job.status == "paused")
        await pilot.press("space")
        assert job.status == "running"
        results = app.screen.query_one("#results", OptionList)
        results.highlighted = 0
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Reading)
        await pilot.press("escape", "x")
        await until(lambda: app.jobs.all[1].status == "finished")
        assert job.status == "stopped"
        await pilot.press("left_square_bracket", "c")
        assert app.jobs.all[2].arguments == job.arguments
        await pilot.press("l")
        assert isinstance(app.screen, Reading)
        await pilot.press("escape", "ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, Question)
        await pilot.press("y")
        await until(lambda: not app.jobs.live)

    drive(app, steps)


def test_review_judges_edits_and_takes_back(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="review")
    before = read(project_file, "SELECT COUNT(*) FROM records")[0][0]

    async def steps(pilot: Pilot[Any]) -> None:
        review: Any = app.screen
        first = review._shown
        assert first.status in ("kept_original", "failed"), "what the guard refused comes first"
        await pilot.press("a")
        await settle(pilot)
        assert read(project_file, "SELECT verdict FROM reviews") == [("accepted",)]
        await pilot.press("d")
        await pilot.pause()
        assert isinstance(app.screen, Prompt)
        await pilot.press(*"no", "enter")
        await settle(pilot)
        assert read(project_file, "SELECT verdict, reason FROM reviews ORDER BY number DESC LIMIT 1") == [
            ("rejected", "no")
        ]
        third = review._shown
        await pilot.press("e")
        app.screen.query_one("#editor", TextArea).load_text("a better text")
        await pilot.press("1")
        assert app.current_mode == "review", "a digit is text while one edits"
        await pilot.press("backspace", "ctrl+s")
        await settle(pilot)
        made = read(project_file, "SELECT c.instruction, l.item FROM reviews v JOIN records c ON c.number = v.result"
                                  " JOIN lineage l ON l.child = c.number WHERE v.verdict = 'edited'")  # fmt: skip
        assert made == [("a better text", third.item)]
        await pilot.press("s", "w", "w", "w", "j", "k", "y")
        await pilot.press("u")
        await settle(pilot)
        assert review._shown.item == third.item
        await pilot.press("u", "u")
        await settle(pilot)
        assert review._shown.item == first.item
        await pilot.press("u")
        assert read(project_file, "SELECT COUNT(*) FROM reviews") == [(0,)]
        await pilot.press("A")
        await pilot.pause()
        assert isinstance(app.screen, Question)
        await pilot.press("n")
        assert read(project_file, "SELECT COUNT(*) FROM reviews") == [(0,)]
        await pilot.press("f")
        await settle(pilot)
        await pilot.pause(0.2)
        assert isinstance(app.screen, Choice)
        await pilot.press("down", "enter")
        await settle(pilot)
        assert review._wanted.order == "input"
        await pilot.press("A", "y")
        await settle(pilot)
        await pilot.pause(0.3)
        assert "Nothing to judge" in shown(app, "#question")

    drive(app, steps)
    assert read(project_file, "SELECT DISTINCT verdict FROM reviews") == [("accepted",)]
    assert read(project_file, "PRAGMA foreign_key_check") == []
    assert read(project_file, "SELECT COUNT(*) FROM records")[0][0] > before, "overruled texts are records"


def test_hostile_text_is_edited_without_a_loss(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="review")

    async def steps(pilot: Pilot[Any]) -> None:
        review: Any = app.screen
        texts = [await app.reader.quick.ask(_text, item) for item in review._items]
        place = next(n for n, text in enumerate(texts) if HOSTILE in text)
        review._place = place
        await review._show()
        await pilot.press("e")
        editor = app.screen.query_one("#editor", TextArea)
        assert "\x1b" not in editor.text and "\u202e" not in editor.text
        editor.load_text(editor.text.replace("concrete", "plain"))
        await pilot.press("ctrl+s")
        await settle(pilot)

    drive(app, steps)
    (made,) = read(project_file, "SELECT text FROM reviews")[0]
    assert made == f"{HOSTILE}. Give a plain example, in simple words."


def _text(project: projects.Project, item: int) -> str:
    return str(project.read("SELECT COALESCE(text, '') FROM items WHERE number = ?", (item,))[0][0])


def test_the_users_editor(workshop: Make, project_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "editor.py"
    script.write_text("import sys; open(sys.argv[1], 'a').write(' And more.\\n')")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")
    app = workshop(screen="review")

    async def steps(pilot: Pilot[Any]) -> None:
        from contextlib import nullcontext

        monkeypatch.setattr(app, "suspend", nullcontext)
        await pilot.press("E")
        await settle(pilot)

    drive(app, steps)
    assert read(project_file, "SELECT text FROM reviews")[0][0].endswith(" And more.")


def test_a_record_is_tried_out_and_a_sample_becomes_its_child(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        row = app.screen.query_one(RecordsTable).row
        assert row is not None
        await pilot.press("t")
        await settle(pilot)
        models: Any = app.screen
        prompt = models.query_one("#prompt", Input)
        assert app.current_mode == "models" and prompt.value == row.instruction and prompt.has_focus
        assert "of a record" in str(models.query_one("#tryout").border_subtitle)
        await pilot.press("enter", "minus", "minus")
        await until(lambda: bool(models._tryout) and bool(models._tryout.samples), 30)
        await until(lambda: all(one.is_done for one in models._tryout.samples), 120)
        await pilot.pause(0.2)
        await pilot.press("w")
        await settle(pilot)
        child = read(project_file, "SELECT p.id, c.instruction FROM lineage l JOIN records p ON p.number = l.parent"
                     " JOIN records c ON c.number = l.child ORDER BY l.item DESC LIMIT 1")  # fmt: skip
        assert child[0][0] == row.id and child[0][1].strip() == models._tryout.samples[0].answer.text.strip()
        prompt.value += " please"
        await pilot.pause()
        assert "of a record" not in str(models.query_one("#tryout").border_subtitle)

    drive(app, steps)


def test_models_are_listed_told_of_and_tried_out(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="models")

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.pause(0.3)
        await settle(pilot)
        names = app.screen.query_one("#names", OptionList)
        assert names.option_count > 5 and "qwen2" in shown(app, "#about")
        await pilot.press("minus", "t", *"explain tcp", "enter")
        models: Any = app.screen
        await until(lambda: bool(models._tryout.samples) and all(one.is_done for one in models._tryout.samples), 120)
        assert len(models._tryout.samples) == 2 and models._tryout.error is None
        assert any(one.text and one.tokens for one in models._tryout.samples)
        await pilot.pause(0.2)
        await pilot.press("y")
        assert app.clipboard == models._tryout.samples[0].text
        before = read(project_file, "SELECT COUNT(*) FROM records")[0][0]
        await pilot.press("w")
        await settle(pilot)
        # The prompt, and what was made of it.
        assert read(project_file, "SELECT COUNT(*) FROM records")[0][0] == before + 2
        assert read(project_file, "SELECT source FROM runs ORDER BY id DESC LIMIT 1") == [("try-out",)]
        await pilot.press("o")
        await pilot.pause()
        assert isinstance(app.screen, Choice)
        await pilot.press("down", "enter")
        assert models._asked == "expand"
        await pilot.press("p", "d")
        await pilot.pause()
        assert app.screen is models, "what comes with augtui is neither fetched nor removed"
        names.highlighted = 1
        await pilot.press("d", "v")
        await pilot.pause()
        assert app.screen is models, "it is not here yet"
        await pilot.press("p")
        await pilot.pause()
        assert isinstance(app.screen, Form)
        assert app.screen.query_one("#p-name", Input).value == models._models[1].name
        await pilot.press("escape")

    drive(app, steps)


def test_each_figure_is_drawn(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        plots: Any = app.screen
        for name in plots._figures[:-1]:  # the map is a pane of its own: test_map.py
            await settle(pilot)
            assert plots._figure.name == name
            await pilot.press("down")
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.screen, Form) and app.screen.query_one("#p-output", Input).value == "map.svg"

    drive(app, steps)


def test_training_follows_a_trainer(workshop: Make, project_file: Path, tmp_path: Path) -> None:
    app = workshop(screen="training")
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    app.preferences["checkpoints"] = [str(folder)]

    async def steps(pilot: Pilot[Any]) -> None:
        with (folder / "events.jsonl").open("w") as file:
            for step in range(1, 21):
                file.write(f'{{"event": "step", "step": {step}, "loss": {3 - step / 10}, "lr": 1e-5}}\n')
            file.write('{"event": "step", "st')
        await pilot.pause(0.8)
        assert "step 20" in shown(app, "#training-facts") and "loss 1.0000" in shown(app, "#training-facts")
        await pilot.press("w", "g")
        await pilot.pause()
        assert isinstance(app.screen, Form)
        app.screen.query_one("#p-checkpoint", Input).value = str(folder)
        assert "python -m quantize" in shown(app, "#line")

    drive(app, steps)


@pytest.mark.parametrize("kept", ["with the run", "by the app", "nowhere"])
def test_an_interrupted_run_is_continued_as_it_was_begun(workshop: Make, project_file: Path, kept: str) -> None:
    """By its number where it knows its command, else by what the app remembers, else by a form of its settings."""
    words = ["expand", "--file", "prompts.txt"]
    with projects.open_project(project_file) as project:
        (run,) = [one for one in runs.list_runs(project) if one.status == "interrupted"]
        if kept == "with the run":
            command = json.dumps(commanded.Command(tuple(words), str(project_file.parent), {}).as_json())
            with project.write() as conn:
                conn.execute("UPDATE runs SET command = ? WHERE id = ?", (command, run.id))
    app = workshop()
    if kept == "by the app":
        app.preferences["runs"] = {f"{project_file}#{run.id}": words}
    launched: list[list[str]] = []

    async def steps(pilot: Pilot[Any]) -> None:
        app.launch = lambda arguments, title, **_: launched.append(arguments)  # type: ignore[assignment]
        await settle(pilot)
        await pilot.press("c")
        await settle(pilot)
        if kept == "nowhere":
            assert isinstance(app.screen, Form) and "augtui expand --file prompts.txt" in shown(app, "#line")

    drive(app, steps)
    resumed = ["runs", "resume", "--project", "demo", str(run.id)]
    assert launched == {"with the run": [resumed], "by the app": [words], "nowhere": []}[kept]


def test_the_mouse_goes_to_screens_records_and_keys(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        table = app.screen.query_one(RecordsTable)
        await pilot.click(RecordsTable, offset=(20, 5))
        await pilot.pause()
        assert table.cursor == 4
        await pilot.click(RecordsTable, offset=(20, 0))  # the header is no record
        assert table.cursor == 4
        await pilot.click(RecordsTable, offset=(20, 7), times=2)
        await settle(pilot)
        assert isinstance(app.screen, Reading) and table.cursor == 6
        await pilot.click(KeyLine, offset=(1, 0))  # esc Close
        await pilot.pause(0.2)
        assert not isinstance(app.screen, Reading)
        for name, title in (("review", "3 Review"), ("plots", "5 Plots"), ("home", "1 Home")):
            line = str(app.screen.query_one("#tabs", Static).render())
            await pilot.click("#tabs", offset=(line.index(title) + 2, 0))
            await settle(pilot)
            assert app.current_mode == name
        # The line of keys: what is shown is what is pressed.
        keys = app.screen.query_one(KeyLine)
        shown_keys = keys.render_line(0).text
        await pilot.click(KeyLine, offset=(shown_keys.index("Filter"), 0))
        await settle(pilot)
        assert isinstance(app.screen, Filters)
        await pilot.click("#reset")
        await settle(pilot)
        assert not isinstance(app.screen, Filters)
        await pilot.click(KeyLine, offset=(app.screen.query_one(KeyLine).render_line(0).text.index("Import"), 0))
        await settle(pilot)
        assert isinstance(app.screen, Form)
        await pilot.click("#cancel")
        await pilot.pause(0.1)
        assert not isinstance(app.screen, Form)

    drive(app, steps)


def test_keys_that_hold_everywhere_are_shown_on_a_narrow_screen(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="models")

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        shown_keys = app.screen.query_one(KeyLine).render_line(0)
        assert shown_keys.cell_length == 60 and "Try out" in shown_keys.text and "F1 Help" in shown_keys.text

    drive(app, steps, size=(60, 24))


def test_a_comparison_is_read_filtered_and_exported(
    workshop: Make, project_file: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = comparison(home)
    app = workshop(screen="training")

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("v")
        await settle(pilot)
        assert isinstance(app.screen, Choice)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, Form) and "augtui compare default" in shown(app, "#line")
        await pilot.press("escape", "v")
        await settle(pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        assert isinstance(app.screen, Versus)
        assert app.screen.query_one("#pairs", OptionList).option_count == 2
        assert "lost 0 · won 1" in shown(app, "#versus-figures")
        assert "␛]52" in shown(app, "#versus-after") and "number lost: 3" in shown(app, "#versus-before")
        await pilot.press("f")
        assert app.screen.query_one("#pairs", OptionList).option_count == 1
        await pilot.press("e")
        await pilot.pause()
        assert (tmp_path / f"{path.stem}.md").exists() and (tmp_path / f"{path.stem}.json").exists()
        await pilot.press("escape")
        # One that has just been made is shown at once.
        app._ended(Job(1, ["compare"], "compare", status="finished", code=0, ended=1.0))
        await settle(pilot)
        assert isinstance(app.screen, Versus)

    drive(app, steps)


def comparison(home: Path) -> Path:
    """Write a comparison of two models, with hostile text."""
    accepted = {"share": 0.5, "interval_95": [0.1, 0.9], "hits": 1, "cases": 2}
    side = {
        "name": "default", "sha256": "", "style": "auto", "temperature": 0.0, "answers": 2, "failed": 0,
        "accepted": accepted, "parsed": accepted, "mean_words": 6.5, "mean_words_kept": 0.9, "mean_tokens": 12.0,
        "tokens_per_second": 100.0, "reasons": {},
    }  # fmt: skip
    said = {"outcome": "accepted", "reason": None, "tokens": 9, "seconds": 0.1, "words": 5, "words_kept": 1.0}
    pairs = [
        {"prompt": "list 3 facts", "sample": 0,
         "before": {**said, "text": "List facts.", "outcome": "rejected", "reason": "number lost: 3"},
         "after": {**said, "text": f"List 3 facts. {HOSTILE}"}},
        {"prompt": "explain tcp", "sample": 0, "before": {**said, "text": "Same."}, "after": {**said, "text": "Same."}},
    ]  # fmt: skip
    path = home / "comparisons" / "20260101000000000-refine-default-mine.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {"format": 1, "task": "refine", "seed": 42, "samples": 1, "guard": "strict", "created_at": "2026-01-01",
             "before": side, "after": {**side, "name": f"mine {HOSTILE}"}, "lost": 0, "won": 1, "p_value": 1.0,
             "same": 1, "rouge_l": 0.8, "pairs": pairs}
        )
    )  # fmt: skip
    return path


def test_another_project_and_the_palette(workshop: Make, project_file: Path, home: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert isinstance(app.screen, Choice)
        await pilot.press("home", "enter")
        await pilot.pause()
        await pilot.press(*"other", "enter")
        await settle(pilot)
        assert app.project_name == "other" and app.screen.query_one(RecordsTable).total == 0
        names = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Go to Review", "Theme", "refine", "import", "runs ls", "Quit"} <= names

    drive(app, steps)


@pytest.mark.parametrize("screen", ["home", "batch", "review", "models", "plots", "training"])
def test_no_key_of_a_screen_breaks_it(screen: str, workshop: Make, project_file: Path) -> None:
    app = workshop(screen=screen)

    async def steps(pilot: Pilot[Any]) -> None:
        keys = [
            key for key, active in app.screen.active_bindings.items()
            if active.binding.id and active.binding.id not in ("app.quit", "review.editor", "training.run")
        ]  # fmt: skip
        assert all(isinstance(active.binding, Binding) for active in app.screen.active_bindings.values())
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.05)
            while len(app.screen_stack) > 1:
                app.pop_screen()
                await pilot.pause()
            if app.current_mode != screen:
                app.action_show(screen)
                await pilot.pause()
        assert app.is_running

    drive(app, steps)


def test_a_list_of_many_is_walked_without_reading_it(workshop: Make, many: Path) -> None:
    app = workshop(project="many")

    async def steps(pilot: Pilot[Any]) -> None:
        table = app.screen.query_one(RecordsTable)
        for key, number in (("end", 30_000), ("pageup", None), ("home", 1), ("pagedown", None)):
            await pilot.press(key)
            await settle(pilot)
            assert table.row is not None and (number is None or table.row.number == number)
        assert len(table._pages) < 12
        await pilot.press("slash", *"站 29999")
        await pilot.pause(0.4)
        await settle(pilot)
        assert table.total == 1

    drive(app, steps)

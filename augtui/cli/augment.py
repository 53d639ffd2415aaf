"""What the commands that a model works on share: from the options to a finished run, its output and its exit code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from augtui.cli import engines
from augtui.cli.display import Display
from augtui.cli.display_choice import display_for
from augtui.domain.tasks import PAIRS
from augtui.engines.client import LocalEngine
from augtui.errors import EngineError, ExitCode, OutputError
from augtui.models import catalog, offline
from augtui.pipelines import export, source
from augtui.pipelines.augment import Augmentation, Summary
from augtui.pipelines.jobs import job_for
from augtui.pipelines.planning import Input
from augtui.pipelines.runner import BudgetSpent, ItemSettled, RunEvent
from augtui.pipelines.steps import MODEL_TASKS
from augtui.pipelines.teachers import require_named
from augtui.settings import Settings, load
from augtui.store import costs
from augtui.store.projects import open_project

SHOW_EVERY_S = 0.2
SHOW_CURSOR = b"\x1b[?25h"
"""A progress bar hides it (xterm control sequences, DECTCEM)."""


EXPAND_RETRIES = 3
"""New seeds to try after a rejected expansion: most are only too like an earlier one."""
LOG_DAYS = 7
"""An engine log that was left behind is kept so long."""


def augment(
    task: str,
    file: str,
    output: str | None,
    flags: Mapping[str, object],
    *,
    samples: int = 1,
    options: Mapping[str, Any] | None = None,
    variant: str = "",
    coverage: bool = False,
    teachers: Mapping[str, str] | None = None,
    unasked: bool = False,
    field: str | None,
    format: str | None,
    limit: int | None,
    json: bool,
    quiet: bool,
) -> None:
    """Run a task over a file and exit with the run's code; `teachers` are models' names by language."""
    settings = load(**flags)
    require_named(task, settings)
    if settings.offline:
        offline.engage()
    if output is not None:
        _require_folder(output)
    model = catalog.resolve(settings.model, timeout_s=settings.timeout)
    others = {tongue: catalog.resolve(name, timeout_s=settings.timeout) for tongue, name in (teachers or {}).items()}
    for used in (model, *others.values()):
        engines.check(used, settings)
    with ExitStack() as stack:
        stop = stack.enter_context(Interruption())
        opened = stack.enter_context(source.opened(file))
        display = stack.enter_context(display_for(task, to_file=output is not None, json=json, quiet=quiet))
        display.say(f"model {model.name}", model.location)
        tell_limits(model, task, display)
        job = job_for(
            MODEL_TASKS[task], settings, model,
            samples=samples, options=options, variant=variant, coverage=coverage, teachers=others, unasked=unasked,
        )  # fmt: skip
        project = stack.enter_context(open_project(settings.project))
        wanted = Input(opened, field, format, limit)
        run = stack.enter_context(Augmentation(project, job, wanted, model.location, model.bytes))
        run.plan()
        stop.engines = stack.enter_context(engines.Engines(settings, spent=costs.spent(project, run.run.id)))
        summary, poverty = work(run, stop.engines, model, others, stop, display)
        if output is not None and not summary.interrupted:
            export.write_jsonl((line for _, line in run.results()), output)
        display.finish(summary, output, opened.name)
    if poverty is not None and not stop():
        raise EngineError(
            f"the budget does not reach further: {poverty}",
            hint="Run the same command again with a larger --max-cost to go on.",
        )
    raise typer.Exit(_exit_code(summary))


def tell_limits(model: catalog.Model, task: str, display: Display) -> None:
    """Say of a model that is asked what it cannot do well."""
    if model.tasks and task not in model.tasks:
        display.say(f"note: {model.name} was trained to {' and '.join(model.tasks)}, not to {task}")
    elif model.is_hinted and task == PAIRS.name:
        display.say(f"note: {model.name} knows next to nothing; its pairs have the form, many answers are wrong")


def work(
    run: Augmentation,
    pool: engines.Engines,
    model: catalog.Model,
    teachers: Mapping[str, catalog.Model],
    stop: Interruption,
    display: Display,
    settings: Settings | None = None,
) -> tuple[Summary, str | None]:
    """Work through a run; returns what it came to, and why the budget does not reach further, if it does not."""
    display.begin(run.run, run.counts())
    poverty: str | None = None
    written = 0
    due, looked = False, 0.0

    def see(event: RunEvent) -> None:
        nonlocal written, due, looked, poverty
        display.see(event)
        if isinstance(event, BudgetSpent):
            poverty = event.detail
        due = due or (isinstance(event, ItemSettled) and event.position == written)
        # Results are read page by page: for each single one that would cost more than a small model's answer.
        if due and display.shows_results and time.monotonic() - looked >= SHOW_EVERY_S:
            for position, line in run.results(written):
                display.result(line)
                written = position + 1
            due, looked = False, time.monotonic()

    if display.shows_results:
        for position, line in run.results():
            display.result(line)
            written = position + 1

    def ready(model: catalog.Model) -> engines.AnyEngine:
        was_open = pool.has(model, settings)
        engine = pool.engine(model, settings)
        if not was_open:
            display.say("loading the model" if isinstance(engine, LocalEngine) else "reaching the server")
        info = engine.model
        display.loaded(info)
        stop.graceful = True
        return engine

    def opener(model: catalog.Model) -> Callable[[], engines.AnyEngine]:
        return lambda: ready(model)

    others = {tongue: opener(teacher) for tongue, teacher in teachers.items()}
    summary = run.work(opener(model), stop, see, others)
    stop.graceful = False
    if display.shows_results:
        for _, line in run.results(written):
            display.result(line)
    return summary, poverty


def _require_folder(output: str) -> None:
    """Refuse an output that cannot be written before hours are spent on it."""
    target = Path(output)
    if target.is_dir():
        raise OutputError(f"{output} cannot be written: it is a folder")
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise OutputError(f"{output} cannot be written: the folder does not exist")
    # A file is replaced by another one in its folder; a device or a pipe is written to.
    replaced = target.is_file() or not target.exists()
    if (replaced and not os.access(folder, os.W_OK)) or (target.exists() and not os.access(target, os.W_OK)):
        raise OutputError(f"{output} cannot be written: permission denied")


def _exit_code(summary: Summary) -> ExitCode:
    if summary.interrupted:
        return ExitCode.INTERRUPTED
    if summary.counts["failed"] or summary.quarantined:
        return ExitCode.PARTIAL
    return ExitCode.DONE


class Interruption:
    """Ctrl-C, TERM and a closed terminal: the first one asks for a clean stop, the second one ends all at once."""

    def __init__(self) -> None:
        self.graceful = False
        """Whether somebody asks this object; until then an interruption is raised where it comes."""
        self.engines: engines.Engines | None = None
        self._asked = False
        self._former: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What is ignored was so on purpose: nohup, or a script's background.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            if self.engines is not None:
                self.engines.kill()
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
            os._exit(ExitCode.INTERRUPTED)
        self._asked = True
        if not self.graceful:
            raise KeyboardInterrupt
        with suppress(OSError):  # the terminal may be what has gone
            os.write(2, b"\nstopping; press ctrl-c again to stop at once\n")

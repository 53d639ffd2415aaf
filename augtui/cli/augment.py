"""What `refine` and `expand` share: from the options to a finished run, its output and its exit code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from augtui.cli import engines
from augtui.cli.display import Display, display_for
from augtui.domain.guard import Strictness
from augtui.domain.tasks import TASKS
from augtui.engines.base import Sampling
from augtui.engines.client import LocalEngine
from augtui.errors import EngineError, ExitCode, OutputError
from augtui.models import catalog
from augtui.pipelines import export, source
from augtui.pipelines.augment import Augmentation, Input, Summary
from augtui.pipelines.job import Job
from augtui.pipelines.runner import BudgetSpent, ItemSettled, RunEvent
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
    field: str | None,
    format: str | None,
    limit: int | None,
    json: bool,
    quiet: bool,
) -> None:
    """Run a task over a file and exit with the run's code."""
    settings = load(**flags)
    if output is not None:
        _require_folder(output)
    model = catalog.resolve(settings.model, timeout_s=settings.timeout)
    engines.check(model, settings)
    with ExitStack() as stack:
        stop = stack.enter_context(_Interruption())
        opened = stack.enter_context(source.opened(file))
        display = stack.enter_context(display_for(task, to_file=output is not None, json=json, quiet=quiet))
        display.say(f"model {model.name}", model.location)
        job = _job(task, samples, settings, model)
        project = stack.enter_context(open_project(settings.project))
        wanted = Input(opened, field, format, limit)
        run = stack.enter_context(Augmentation(project, job, wanted, model.location, model.bytes))
        run.plan()
        spent = costs.spent(project, run.run.id) if model.library == "http" else 0.0
        stop.engine = stack.enter_context(engines.opened(model, settings, spent=spent))
        summary, poverty = _work(run, stop.engine, stop, display)
        if output is not None and not summary.interrupted:
            export.write_jsonl((line for _, line in run.results()), output)
        display.finish(summary, output, opened.name)
    if poverty is not None and not stop():
        raise EngineError(
            f"the budget does not reach further: {poverty}",
            hint="Run the same command again with a larger --max-cost to go on.",
        )
    raise typer.Exit(_exit_code(summary))


def _job(task: str, samples: int, settings: Settings, model: catalog.Model) -> Job:
    def chosen(value: Any, suiting: Any) -> Any:
        return suiting if value is None else value

    suiting = model.temperature if task == "refine" else max(0.8, model.temperature)
    sampling = Sampling(
        temperature=chosen(settings.temperature, suiting),
        top_p=chosen(settings.top_p, model.top_p),
        top_k=chosen(settings.top_k, model.top_k),
        min_p=settings.min_p,
        repeat_penalty=settings.repeat_penalty,
        max_tokens=settings.max_tokens,
    )
    return Job(
        task=TASKS[task],
        style=model.style if settings.style == "auto" else settings.style,
        model_name=model.name,
        model_sha256=model.sha256(),
        sampling=sampling,
        seed=settings.seed,
        guard=model.guard if settings.guard == "auto" else Strictness(settings.guard),
        retries=chosen(settings.retries, model.refine_retries if task == "refine" else EXPAND_RETRIES),
        samples=samples,
        languages=model.languages,
        answer_room=model.answer_room if task == "refine" else None,
        similarity=settings.similarity,
        adapter=engines.adapter_name(settings),
        adapter_sha256=engines.adapter_sha256(settings),
        numerics=tuple(_numerics(settings, model)),
    )


def _numerics(settings: Settings, model: catalog.Model) -> Iterator[tuple[str, str]]:
    if model.server is None and settings.cache_type != "f16":
        yield "cache_type", settings.cache_type
    if model.server is None and settings.deterministic:
        yield "deterministic", "yes"


def _work(
    run: Augmentation, engine: engines.AnyEngine, stop: _Interruption, display: Display
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

    def ready() -> engines.AnyEngine:
        display.say("loading the model" if isinstance(engine, LocalEngine) else "reaching the server")
        info = engine.model
        display.loaded(info)
        stop.graceful = True
        return engine

    summary = run.work(ready, stop, see)
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


class _Interruption:
    """Ctrl-C, TERM and a closed terminal: the first one asks for a clean stop, the second one ends all at once."""

    def __init__(self) -> None:
        self.graceful = False
        """Whether somebody asks this object; until then an interruption is raised where it comes."""
        self.engine: engines.AnyEngine | None = None
        self._asked = False
        self._former: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> _Interruption:
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
            if self.engine is not None:
                self.engine.kill()
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
            os._exit(ExitCode.INTERRUPTED)
        self._asked = True
        if not self.graceful:
            raise KeyboardInterrupt
        with suppress(OSError):  # the terminal may be what has gone
            os.write(2, b"\nstopping; press ctrl-c again to stop at once\n")

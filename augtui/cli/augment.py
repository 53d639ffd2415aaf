"""What `refine` and `expand` share: from the options to a finished run, its output and its exit code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from augtui import locations
from augtui.cli.display import Display, display_for
from augtui.domain.guard import Strictness
from augtui.domain.tasks import TASKS
from augtui.engines.base import Sampling
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.errors import EngineError, ExitCode, ModelError, OutputError
from augtui.models import catalog, checksums
from augtui.pipelines import export, source
from augtui.pipelines.augment import Augmentation, Input, Summary
from augtui.pipelines.job import Job
from augtui.pipelines.runner import ItemSettled, RunEvent
from augtui.settings import Settings, load
from augtui.store.projects import open_project

SHOW_EVERY_S = 0.2
SHOW_CURSOR = b"\x1b[?25h"
"""A progress bar hides it (xterm control sequences, DECTCEM)."""


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
    model = catalog.resolve(settings.model)
    with ExitStack() as stack:
        stop = stack.enter_context(_Interruption())
        opened = stack.enter_context(source.opened(file))
        display = stack.enter_context(display_for(task, to_file=output is not None, json=json, quiet=quiet))
        display.say(f"model {model.name}", model.path)
        job = _job(task, samples, settings, model, checksums.sha256(model.path))
        project = stack.enter_context(open_project(settings.project))
        wanted = Input(opened, field, format, limit)
        run = stack.enter_context(Augmentation(project, job, wanted, str(model.path), model.path.stat().st_size))
        run.plan()
        stop.engine = stack.enter_context(_engine(model.path, settings))
        summary = _work(run, stop.engine, stop, display)
        if output is not None and not summary.interrupted:
            export.write_jsonl((line for _, line in run.results()), output)
        display.finish(summary, output, opened.name)
    raise typer.Exit(_exit_code(summary))


def _job(task: str, samples: int, settings: Settings, model: catalog.Model, sha256: str) -> Job:
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
        model_sha256=sha256,
        sampling=sampling,
        seed=settings.seed,
        guard=model.guard if settings.guard == "auto" else Strictness(settings.guard),
        retries=settings.retries,
        samples=samples,
        languages=model.languages,
        similarity=settings.similarity,
    )


@contextmanager
def _engine(model: Path, settings: Settings) -> Iterator[LocalEngine]:
    """Yield an engine that ends with the block; its log stays only where an error refers to it."""
    log = locations.logs() / f"engine-{os.getpid()}.log"
    for old in locations.logs().glob("engine-*.log"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > LOG_DAYS * 86_400:
                old.unlink()
    engine = LocalEngine(model, EngineOptions(slots=settings.slots, threads=settings.threads), log_path=log)
    telling = False
    try:
        yield engine
    except (EngineError, ModelError):
        telling = True
        raise
    finally:
        engine.close()
        if not telling:
            log.unlink(missing_ok=True)


def _work(run: Augmentation, engine: LocalEngine, stop: _Interruption, display: Display) -> Summary:
    display.begin(run.run, run.counts())
    written = 0
    due, looked = False, 0.0

    def see(event: RunEvent) -> None:
        nonlocal written, due, looked
        display.see(event)
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

    def ready() -> LocalEngine:
        display.say("loading the model")
        info = engine.model
        display.loaded(info)
        stop.graceful = True
        return engine

    summary = run.work(ready, stop, see)
    stop.graceful = False
    if display.shows_results:
        for _, line in run.results(written):
            display.result(line)
    return summary


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
        self.engine: LocalEngine | None = None
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

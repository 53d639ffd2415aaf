"""A model's engine, as the settings want it, for the time of a block."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from augtui import locations
from augtui.engines.client import LocalEngine
from augtui.engines.http import credentials
from augtui.engines.http.engine import HttpEngine, HttpOptions
from augtui.engines.http.spending import Prices
from augtui.engines.options import EngineOptions
from augtui.errors import EngineError, ModelError, UsageError
from augtui.models.catalog import Model
from augtui.pipelines.jobs import adapter_name
from augtui.settings import Settings

AnyEngine = LocalEngine | HttpEngine
_numbers = itertools.count()
LOG_DAYS = 7
"""An engine log that was left behind is kept so long."""


@contextmanager
def opened(model: Model, settings: Settings, *, slots: int | None = None, spent: float = 0.0) -> Iterator[AnyEngine]:
    """Yield the model's engine, which ends with the block; `spent` is what the run has cost before (US dollars)."""
    if model.server is None:
        with _local(model, settings, slots or settings.slots) as local:
            yield local
        return
    check(model, settings)
    options = HttpOptions(
        slots=slots or settings.slots,
        timeout_s=settings.timeout,
        prices=_prices(settings),
        budget=settings.max_cost,
        spent_before=spent,
    )
    engine = HttpEngine(model.server, options, key=credentials.find(model.server))
    try:
        yield engine
    finally:
        engine.close()


def check(model: Model, settings: Settings) -> None:
    """Refuse settings that make no sense for the model, before anything is written; raises UsageError."""
    if model.server is not None:
        _prices(settings)
        if settings.adapter is not None:
            hint = "A server's adapters are models of its own: name one in the address."
            raise UsageError("--adapter is for a model on this machine", hint=hint)


def _prices(settings: Settings) -> Prices | None:
    prompt, completion = settings.price_in, settings.price_out
    if prompt is None and completion is None:
        return None
    if prompt is None or completion is None:
        raise UsageError("--price-in and --price-out go together", hint="0 is a price, too.")
    return Prices(prompt, completion)


@contextmanager
def _local(model: Model, settings: Settings, slots: int) -> Iterator[LocalEngine]:
    """Yield an engine that ends with the block; its log stays only where an error refers to it."""
    log = locations.logs() / f"engine-{os.getpid()}{_suffix(next(_numbers))}.log"
    for old in locations.logs().glob("engine-*.log"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > LOG_DAYS * 86_400:
                old.unlink()
    engine = LocalEngine(model.path, _options(model, settings, slots), log_path=log)
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


def _options(model: Model, settings: Settings, slots: int) -> EngineOptions:
    name = adapter_name(settings)
    return EngineOptions(
        slots=slots,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        cache_type=settings.cache_type,
        adapters={} if settings.adapter is None or name is None else {name: settings.adapter.expanduser().absolute()},
        speculate=settings.speculate,
        deterministic=settings.deterministic,
        library="mlx" if model.library == "mlx" else "llama",
    )


def _suffix(number: int) -> str:
    """Return what tells the logs of a process's engines apart."""
    return f"-{number}" if number else ""


class Engines:
    """The engines of one command: each is opened when it is first needed, and kept as long as that makes sense.

    A model on this machine takes much of its memory, so only one is loaded at a time; it stays until another one is
    needed. Of servers with a budget one is open at a time as well, so that it knows what the others have spent.
    Used as a context.
    """

    def __init__(self, settings: Settings, *, spent: float = 0.0) -> None:
        """Prepare; `spent` is what servers have cost before (US dollars)."""
        self._settings = settings
        self._spent = spent
        self._open: dict[str, tuple[ExitStack, AnyEngine]] = {}
        self.opened = 0
        """Engines opened so far."""

    def __enter__(self) -> Engines:
        """Return the engines."""
        return self

    def __exit__(self, *exception: Any) -> None:
        """End all engines; the log of one that failed stays."""
        for name in list(self._open):
            self._close(name, *exception)

    def engine(self, model: Model, settings: Settings | None = None) -> AnyEngine:
        """Return the engine of a model, under other settings than the command's if they are given."""
        settings = settings or self._settings
        name = _identity(model, settings)
        if name not in self._open:
            alike = [other for other in self._open if other.startswith(name.split(" ", 1)[0])]
            if model.server is None or settings.max_cost is not None:
                for other in alike:
                    self._close(other, None, None, None)
            stack = ExitStack()
            self._open[name] = stack, stack.enter_context(opened(model, settings, spent=self._spent))
            self.opened += 1
        return self._open[name][1]

    def has(self, model: Model, settings: Settings | None = None) -> bool:
        """Say whether the engine of a model is open already."""
        return _identity(model, settings or self._settings) in self._open

    def kill(self) -> None:
        """End all engines at once."""
        for _, engine in self._open.values():
            engine.kill()

    def _close(self, name: str, *exception: Any) -> None:
        stack, engine = self._open.pop(name)
        stack.__exit__(*exception)
        if isinstance(engine, HttpEngine):
            self._spent += engine.spent


def _identity(model: Model, settings: Settings) -> str:
    """Return what tells engines apart; it begins with where they are."""
    if model.server is not None:
        return f"server {model.location} {settings.slots} {settings.timeout} {settings.price_in} {settings.price_out}"
    return f"local {model.location} {_options(model, settings, settings.slots).pack()}"

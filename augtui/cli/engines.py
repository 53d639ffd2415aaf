"""A model's engine, as the settings want it, for the time of a block."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from augtui import locations
from augtui.engines.client import LocalEngine
from augtui.engines.http import credentials
from augtui.engines.http.engine import HttpEngine, HttpOptions
from augtui.engines.http.spending import Prices
from augtui.engines.options import EngineOptions
from augtui.errors import EngineError, ModelError, UsageError
from augtui.models import checksums
from augtui.models.catalog import Model
from augtui.settings import Settings

AnyEngine = LocalEngine | HttpEngine
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


def adapter_name(settings: Settings) -> str | None:
    """Return the name under which the settings' adapter is loaded, or None."""
    return None if settings.adapter is None else settings.adapter.stem


def adapter_sha256(settings: Settings) -> str | None:
    """Return the sha256 of the settings' adapter, or None; raises ModelError if it cannot be read."""
    if settings.adapter is None:
        return None
    try:
        return checksums.sha256(settings.adapter.expanduser())
    except OSError as error:
        raise ModelError(f"the adapter {settings.adapter} cannot be read: {error.strerror}") from None


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
    log = locations.logs() / f"engine-{os.getpid()}.log"
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

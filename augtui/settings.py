"""Settings: command-line flags over AUGTUI_* variables over config.toml over defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from augtui import locations
from augtui.errors import UsageError

GuardSetting = Literal["auto", "off", "lenient", "normal", "strict"]
StyleSetting = Literal["auto", "specialised", "general", "card"]


class Settings(BaseSettings):
    """Everything a user can set; None means what suits the model."""

    model_config = SettingsConfigDict(env_prefix="AUGTUI_", env_ignore_empty=True, extra="forbid")

    model: str = "default"
    project: str = "default"
    style: StyleSetting = "auto"
    guard: GuardSetting = "auto"
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repeat_penalty: float = Field(1.0, ge=0.1, le=10)
    max_tokens: int | None = Field(None, ge=1)
    seed: int = Field(42, ge=0, lt=2**63)
    slots: int = Field(16, ge=1, le=255)
    """llama.cpp takes 256 sequences (LLAMA_MAX_SEQ); one at least is for prefixes that prompts share."""
    threads: int | None = Field(None, ge=1, le=1024)
    gpu_layers: int = Field(-1, ge=-1, le=10_000)
    """-1: as many as fit."""
    cache_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    """How keys and values are kept."""
    speculate: bool = True
    """Whether tokens are drafted from the prompt where that is faster; it changes no text."""
    deterministic: bool = False
    """Whether a text may depend on nothing but its request."""
    adapter: Path | None = None
    """A LoRA adapter for the model."""
    offline: bool = False
    """Whether nothing beyond this machine may be reached."""
    stall: float = Field(30.0, gt=0, le=3600, allow_inf_nan=False)
    """Seconds without a byte after which a download is begun anew where it stopped."""
    retries: int | None = Field(None, ge=0, le=100)
    """None: what suits the model and the task."""
    similarity: float = Field(0.7, gt=0, le=1)
    """Expanded instructions with a ROUGE-L F1 of at least this to their seed or to one another are rejected."""

    timeout: float = Field(300.0, gt=0, le=86_400, allow_inf_nan=False)
    """Seconds that a server has for one answer."""
    price_in: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)
    """US dollars for a million prompt tokens of a server."""
    price_out: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)
    """US dollars for a million answer tokens of a server."""
    max_cost: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)
    """US dollars that a run may cost in all."""

    reviewer: str | None = None
    """Who judges results, as verdicts are signed; None: the account's name at this machine's."""
    notify: Literal["auto", "always", "never"] = "auto"
    """Desktop notifications of the app: auto tells of what ended while another window was looked at."""
    keys: dict[str, str] = Field(default_factory=dict)
    """The app's keys by the ids of their bindings, which F1 shows: `"records.down" = "down,j"`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the first one that names a setting wins."""
        if _frozen is not None:
            return (init_settings,)
        toml = TomlConfigSettingsSource(settings_cls, toml_file=locations.config_file())
        return init_settings, env_settings, toml


_frozen: Mapping[str, Any] | None = None


@contextmanager
def frozen(values: Mapping[str, Any]) -> Iterator[None]:
    """Let these settings hold below flags, whatever variables and config.toml say: a run goes on with its own."""
    global _frozen
    _frozen = values
    try:
        yield
    finally:
        _frozen = None


def given() -> dict[str, Any]:
    """Return what variables and config.toml say other than the defaults, as JSON values; keys are the app's alone."""
    return load().model_dump(mode="json", exclude_defaults=True, exclude={"keys"})


def load(**flags: object) -> Settings:
    """Return the settings with `flags` (None: not given) on top; raises UsageError with the first fault."""
    values = {**(_frozen or {}), **{name: value for name, value in flags.items() if value is not None}}
    try:
        return Settings(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":  # flags and variables are known ones
            raise UsageError(f"{locations.config_file()}: there is no setting {name!r}") from None
        raise UsageError(f"{name}: {fault['msg']} (got {fault['input']!r})") from None
    except (ValueError, OSError) as error:  # a config.toml that is not TOML, or not to be read
        raise UsageError(f"{locations.config_file()}: {error}") from None

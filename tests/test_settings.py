"""Settings: where they come from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from augtui import settings
from augtui.errors import UsageError


def test_flags_win_over_variables_over_the_file_over_defaults(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().seed == 42
    (home / "config.toml").write_text("seed = 1\nslots = 2\nretries = 3\n")
    monkeypatch.setenv("AUGTUI_SEED", "10")
    monkeypatch.setenv("AUGTUI_SLOTS", "20")
    loaded = settings.load(seed=100, model=None)
    assert (loaded.seed, loaded.slots, loaded.retries, loaded.model) == (100, 20, 3, "default")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slots", 0),
        ("slots", "many"),
        ("temperature", -0.1),
        ("top_p", 0),
        ("guard", "loose"),
        ("similarity", 2),
        ("timeout", 0),
        ("timeout", float("inf")),
        ("price_in", -1),
        ("price_out", float("nan")),
        ("max_cost", -0.5),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        settings.load(**{name: value})
    assert "\n" not in caught.value.message


def test_a_setting_that_does_not_exist_is_named(home: Path) -> None:
    (home / "config.toml").write_text("temprature = 0.5\n")
    with pytest.raises(UsageError, match=r"config\.toml: there is no setting 'temprature'"):
        settings.load()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGTUI_SLOTS", "")
    monkeypatch.setenv("AUGTUI_MODEL", "")
    assert (settings.load().slots, settings.load().model) == (16, "default")


def test_a_file_that_is_not_toml_is_named(home: Path) -> None:
    (home / "config.toml").write_text("seed = = 1")
    with pytest.raises(UsageError, match=r"config\.toml"):
        settings.load()


def test_a_key_is_no_setting_and_is_not_repeated(home: Path) -> None:
    (home / "config.toml").write_text('api_key = "sk-secret"\n')
    with pytest.raises(UsageError, match="api_key") as caught:
        settings.load()
    assert "sk-secret" not in f"{caught.value.message} {caught.value.hint}"

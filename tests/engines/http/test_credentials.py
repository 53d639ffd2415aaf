"""Keys: whose goes where, and that none is ever shown."""

from __future__ import annotations

import pickle
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.http import credentials
from augtui.engines.http.credentials import Key
from augtui.engines.http.endpoint import parse
from augtui.errors import UsageError

OPENAI = parse("https://api.openai.com/v1#gpt")
OTHER = parse("https://example.com/v1")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUGTUI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)


def sent(address: str) -> str | None:
    key = credentials.find(parse(address))
    return None if key is None else key.header()["Authorization"]


def test_the_user_s_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    monkeypatch.setenv("AUGTUI_API_KEY", "augtui\n")
    assert sent("https://example.com/v1") == sent("https://api.openai.com/v1") == "Bearer augtui"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://api.openai.com/v1", "Bearer openai"),
        ("https://API.openai.com:443/v1", "Bearer openai"),
        ("http://api.openai.com/v1", None),
        ("https://api.openai.com:8443/v1", None),
        ("https://api.openai.com.evil.example/v1", None),
        ("https://evil.example/api.openai.com", None),
        ("https://eu.api.openai.com/v1", None),
        ("http://127.0.0.1:8080/v1", None),
    ],
)
def test_openai_s_key_goes_to_openai_only(address: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    assert sent(address) == expected


def test_the_keyring_is_asked_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def get_password(service: str, account: str) -> str | None:
        asked.append((service, account))
        if account == "broken.example":
            raise RuntimeError("no backend")
        return "from-keyring" if account == "example.com:8443" else None

    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_password=get_password))
    assert sent("https://example.com:8443/v1") == "Bearer from-keyring"
    assert sent("https://example.com/v1") is None
    assert sent("https://broken.example/v1") is None
    assert asked[0] == ("augtui", "example.com:8443")
    monkeypatch.setenv("AUGTUI_API_KEY", "variable")
    assert sent("https://example.com:8443/v1") == "Bearer variable"
    assert len(asked) == 3


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "snow☃man", "tab\there"])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGTUI_API_KEY", value)
    with pytest.raises(UsageError, match="AUGTUI_API_KEY") as caught:
        credentials.find(OTHER)
    assert value not in f"{caught.value.message} {caught.value.hint}"


def test_a_key_in_the_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789abcdef"
    monkeypatch.setenv("AUGTUI_API_KEY", key)
    with pytest.raises(UsageError, match="holds the API key") as caught:
        credentials.find(parse(f"https://example.com/{key}/v1"))
    assert key not in caught.value.message


def test_a_key_is_not_shown_and_not_pickled() -> None:
    key = Key("sk-secret", "AUGTUI_API_KEY")
    assert "secret" not in f"{key!r} {key} {[key]}"
    with pytest.raises(TypeError):
        pickle.dumps(key)


keys = st.text(st.sampled_from("abcdefghijkLMNOP0123456789-_+/="), min_size=16, max_size=60)


@given(keys, st.text(max_size=50), st.text(max_size=50), st.integers(0, 40), st.integers(8, 60))
def test_no_piece_of_a_key_is_left_in_a_text(secret: str, before: str, after: str, start: int, length: int) -> None:
    key = Key(secret, "test")
    piece = secret[start : start + length]
    shown = key.redact(f"{before}{piece}{after}")
    if len(piece) >= 8:
        assert piece not in shown
        assert "***" in shown


@given(keys, st.text(st.sampled_from("xyz ☃\n"), max_size=200))
def test_other_text_is_left_as_it_is(secret: str, text: str) -> None:
    assert Key(secret, "test").redact(text) == text


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("EMPTY", "key EMPTY is wrong", "key *** is wrong"),
        ("a+b/c=0123456789", "url: a%2Bb%2Fc%3D0123456789!", "url: ***!"),
        ("sk-0123456789abcdef", "sk-0123456789abcdefsk-0123456789abcdef", "***"),
        ("sk-0123456789abcdef", "sk-01234 56789abcdef", "*** ***"),
    ],
)
def test_keys_are_masked(secret: str, text: str, shown: str) -> None:
    assert Key(secret, "test").redact(text) == shown


def test_the_advice_names_the_variables() -> None:
    assert "AUGTUI_API_KEY or OPENAI_API_KEY" in credentials.advice(OPENAI, None)
    assert "OPENAI" not in credentials.advice(OTHER, Key("x", "the keyring"))
    assert "the keyring" in credentials.advice(OTHER, Key("x", "the keyring"))

"""Addresses: what they mean, and that nothing secret in them is kept or shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.http.endpoint import Endpoint, is_address, parse
from augtui.errors import UsageError


@pytest.mark.parametrize(
    ("text", "base", "model"),
    [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1", None),
        ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1", None),
        ("https://Example.COM/v1#org/Model-7B:free", "https://example.com/v1", "org/Model-7B:free"),
        ("HTTPS://example.com:443/v1", "https://example.com/v1", None),
        ("http://localhost:80", "http://localhost", None),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1", None),
        ("https://example.com/v1/chat/completions", "https://example.com/v1", None),
        ("https://example.com/v1#", "https://example.com/v1", None),
    ],
)
def test_an_address_is_brought_into_one_form(text: str, base: str, model: str | None) -> None:
    assert is_address(text)
    assert parse(text) == Endpoint(base, model)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://user:SECRET@host/v1", "user name or a password"),
        ("http://SECRET@host/v1", "user name or a password"),
        ("http://host/v1?key=SECRET", "query"),
        ("http://host/v1?#SECRET", "query"),
        ("http:SECRET", "no host"),
        ("http:///SECRET", "no host"),
        ("http://host:SECRET/v1", "cannot be read"),
        ("http://[SECRET/v1", "cannot be read"),
        ("http://ho st/SECRET", "characters"),
        ("http://host/SECRET\n", "characters"),
        ("http://hоst/SECRET", "characters"),  # a Cyrillic o
        ("http://host\\SECRET", "characters"),
        ("http://host/v1#SECRET\x1b[2J", "characters"),
        ("http://host/v1#" + "SECRET" * 100, "characters"),
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(text)
    assert "SECRET".lower() not in f"{caught.value.message} {caught.value.hint}".lower()


@given(st.text(max_size=40))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        endpoint = parse("http://" + text)
    except UsageError as error:
        assert "\n" not in error.message
    else:
        assert parse(str(endpoint)) == endpoint
        assert "@" not in endpoint.host and "?" not in endpoint.base


@pytest.mark.parametrize("text", ["default", "model.gguf", "httpd.gguf", "./http/model.gguf", "https"])
def test_files_are_no_addresses(text: str) -> None:
    assert not is_address(text)


def test_a_server_s_model_is_named_by_address_and_name() -> None:
    first = parse("http://host/v1#a").sha256()
    assert first == parse("http://host/v1/#a").sha256()
    assert len({first, parse("http://host/v1#b").sha256(), parse("http://other/v1#a").sha256()}) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("http://localhost:1", True), ("http://127.9.9.9", True), ("http://[::1]", True), ("http://10.0.0.1", False)],
)
def test_loopback_is_known(text: str, expected: bool) -> None:
    assert parse(text).is_loopback is expected

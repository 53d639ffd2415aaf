"""API keys: where they come from, to whom they go, and how they stay out of every text.

`AUGTUI_API_KEY` goes to the server that the user names. `OPENAI_API_KEY` goes to api.openai.com over TLS and nowhere
else. Otherwise the system's keyring is asked (service `augtui`, account: the server's host), where `keyring` is
installed.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import quote

from augtui.engines.http.endpoint import Endpoint
from augtui.errors import UsageError

VARIABLE = "AUGTUI_API_KEY"
OPENAI_VARIABLE = "OPENAI_API_KEY"
OPENAI_HOST = "api.openai.com"
SERVICE = "augtui"
MASK = "***"
TELLING_CHARACTERS = 8
"""So many characters of a key in a row betray a part of it."""
CERTAIN_CHARACTERS = 16
"""A key this long is not in a text by chance; servers without keys are given words such as `none`."""


class Key:
    """A secret that no `repr`, traceback or message shows."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        """Keep a key and the name of where it came from; raises UsageError if it cannot be one."""
        value = value.strip()
        if not value.isascii() or not value.isprintable() or " " in value or not value:
            raise UsageError(f"the key in {source} holds characters that no key has", hint="Set it again.")
        self._value: Final = value
        self.source: Final = source

    def __repr__(self) -> str:
        """Return the source only."""
        return f"Key(from {self.source})"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a key belongs in no file."""
        raise TypeError("a key cannot be pickled")

    def header(self) -> dict[str, str]:
        """Return the HTTP header that carries the key (RFC 6750, section 2.1)."""
        return {"Authorization": f"Bearer {self._value}"}

    def redact(self, text: str) -> str:
        """Return the text with the key, and every longer piece of it, masked."""
        for form in dict.fromkeys((quote(self._value, safe=""), self._value)):
            text = _masked(text, form)
        return text

    def is_in(self, text: str) -> bool:
        """Return whether a text holds the whole key, and not by chance."""
        return len(self._value) >= CERTAIN_CHARACTERS and (self._value in text or quote(self._value, safe="") in text)


def find(endpoint: Endpoint) -> Key | None:
    """Return the key for a server, or None; raises UsageError for what cannot be a key, or stands in the address."""
    key = _find(endpoint)
    if key is not None and key.is_in(str(endpoint)):
        raise UsageError(
            "the server's address holds the API key, and would be stored with the run", hint="Leave the key out of it."
        )
    return key


def _find(endpoint: Endpoint) -> Key | None:
    if value := os.environ.get(VARIABLE, "").strip():
        return Key(value, VARIABLE)
    is_openai = endpoint.host == OPENAI_HOST and endpoint.is_encrypted
    if is_openai and (value := os.environ.get(OPENAI_VARIABLE, "").strip()):
        return Key(value, OPENAI_VARIABLE)
    value = _from_keyring(endpoint.host) or ""
    return Key(value, "the keyring") if value.strip() else None


def advice(endpoint: Endpoint, key: Key | None) -> str:
    """Return what to do about a server that wants another key."""
    names = f"{VARIABLE} or {OPENAI_VARIABLE}" if endpoint.host == OPENAI_HOST else VARIABLE
    if key is None:
        return f"No key was sent: set {names} to the server's key."
    return f"The key came from {key.source}: set {names} to one that the server takes."


def _from_keyring(account: str) -> str | None:
    try:
        import keyring
    except ImportError:
        return None
    try:
        found: str | None = keyring.get_password(SERVICE, account)
    except Exception:  # backends raise what they like; without a keyring there is simply no key
        return None
    return found


def _masked(text: str, secret: str) -> str:
    size = min(TELLING_CHARACTERS, len(secret))
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    kept: list[str] = []
    masked_to = -1
    for at, char in enumerate(text):
        if text[at : at + size] in pieces:
            if masked_to < at:
                kept.append(MASK)
            masked_to = at + size
        if at >= masked_to:
            kept.append(char)
    return "".join(kept)

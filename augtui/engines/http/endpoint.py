"""Where a server is and which of its models is meant: `https://host/v1#model`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from augtui.domain.records import digest
from augtui.domain.visible import visible
from augtui.errors import UsageError

ADDRESS = re.compile(r"https?:", re.IGNORECASE)
LONGEST_NAME = 300
EXAMPLE = "An address looks like http://127.0.0.1:8080/v1 or https://host/v1#model-name."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an OpenAI-compatible server, without anything secret in it, and a model's name there."""

    base: str
    """Scheme, host, port and path, without a slash at its end: what `/chat/completions` is appended to."""
    model: str | None = None
    """None is the first model that the server lists."""

    def __str__(self) -> str:
        """Return the address as it is given to `--model`."""
        return self.base if self.model is None else f"{self.base}#{self.model}"

    @property
    def hostname(self) -> str:
        """Return the host without its port."""
        return urlsplit(self.base).hostname or ""

    @property
    def host(self) -> str:
        """Return the host, with its port where that is not the scheme's own."""
        return urlsplit(self.base).netloc

    @property
    def is_encrypted(self) -> bool:
        """Return whether TLS protects what is sent."""
        return self.base.startswith("https:")

    @property
    def is_loopback(self) -> bool:
        """Return whether the server is on this machine."""
        if self.hostname == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.hostname).is_loopback
        except ValueError:
            return False

    def named(self, model: str) -> Endpoint:
        """Return the same server with a model's name."""
        return replace(self, model=model)

    def sha256(self) -> str:
        """Return a digest of address and model name: it names a server's model, and says nothing of its weights."""
        return digest({"server": self.base, "model": self.model})


def is_address(text: str) -> bool:
    """Return whether `--model` means a server."""
    return ADDRESS.match(text) is not None


def parse(text: str) -> Endpoint:
    """Return the endpoint that an address means; raises UsageError, in which no part that may be secret is shown."""
    address, _, model = text.partition("#")
    if not address.isascii() or not address.isprintable() or " " in address or "\\" in address:
        raise UsageError("the server's address holds characters that no address has", hint=EXAMPLE)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError("the server's address cannot be read", hint=EXAMPLE) from None
    if not host or not address.lower().startswith(("http://", "https://")):
        raise UsageError("the server's address names no host", hint=EXAMPLE)
    if "@" in parts.netloc:
        raise UsageError(
            f"the address of {host} holds a user name or a password, which would be stored with the run",
            hint="Leave it out; a key comes from AUGTUI_API_KEY.",
        )
    if "?" in address:
        raise UsageError(
            f"the address of {host} holds a query (?…), which may be a key and would be stored with the run",
            hint="Leave it out; a key comes from AUGTUI_API_KEY.",
        )
    if model and not is_name(model):
        raise UsageError("the model's name after # holds characters that no name has", hint=EXAMPLE)
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        shown = f"{shown}:{port}"
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return Endpoint(f"{parts.scheme}://{shown}{path}", model or None)


def is_name(text: str) -> bool:
    """Return whether a text can be a model's name: printable, nothing hidden in it, of a sane length."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable() and visible(text) == text and text.strip() == text

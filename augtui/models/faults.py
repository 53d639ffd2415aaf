"""What went wrong with a hub, as one line and what to do next; only the download's child process imports this."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
from huggingface_hub import constants, errors

from augtui.models.part import TooLong

LATER = "Run the same command again: it goes on where it stopped."
TOKEN = "Set HF_TOKEN, or run `hf auth login`."


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure: its kind, what a user reads, and whether trying again may help."""

    kind: str
    message: str
    hint: str
    transient: bool = False
    wait_s: float | None = None
    """How long the hub asks us to wait, in seconds."""


class PullError(Exception):
    """A failure that is known already."""

    def __init__(self, fault: Fault) -> None:
        """Keep `fault`."""
        super().__init__(fault.message)
        self.fault = fault


def inconsistent(detail: str) -> PullError:
    """Return the error for an answer that cannot be of the file: a proxy's page, a wrong length."""
    message = f"{host()} does not send the file: {detail}"
    return PullError(Fault("inconsistent", message, f"A proxy may be in the way. {LATER}", transient=True))


def damaged(path: str, kind: str) -> PullError:
    """Return the error for bytes that came and are not the file's."""
    message = f"{path} arrived damaged: its {kind} is not the hub's; nothing of it is kept"
    return PullError(Fault("damaged", message, "Run the same command again to fetch it anew."))


def host() -> str:
    """Return the hub's address without its scheme."""
    return constants.ENDPOINT.split("//", 1)[-1]


def classify(error: BaseException, repo: str, what: str = "", *, kind: str = "gguf") -> Fault:
    """Return the fault that an exception of the hub's client, of its HTTP library or of the system means.

    `kind` is an order's: a data set has other words and another page.
    """
    if isinstance(error, PullError):
        return error.fault
    for cause in _chain(error):
        fault = _classified(cause, repo, what, kind)
        if fault is not None:
            return fault
    return Fault("unexpected", f"{type(error).__name__}: {_one_line(error)}", LATER)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _classified(error: BaseException, repo: str, what: str, kind: str) -> Fault | None:
    if isinstance(error, PullError):
        return error.fault
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Fault("offline", f"{repo} is not in the cache, and offline mode is on", "Leave offline mode to pull it.")
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(error, repo, what, kind)
    if isinstance(error, errors.FileMetadataError):
        message = f"{host()} does not answer like a hub: {_one_line(error)}"
        return Fault("inconsistent", message, "Check HF_ENDPOINT; a proxy or a login page may be in the way.")
    if isinstance(error, TooLong):
        return Fault("inconsistent", f"{host()} sends {error}", f"The hub or a proxy is at fault. {LATER}")
    if isinstance(error, ssl.SSLError):
        hint = "The clock may be wrong, or a proxy be in the way (SSL_CERT_FILE names its certificate)."
        return Fault("tls", f"the connection to {host()} is not secure: {_one_line(error)}", hint)
    if isinstance(error, httpx2.ProxyError):
        return Fault("network", f"the proxy does not let us through: {_one_line(error)}", "Check HTTPS_PROXY.", True)
    if isinstance(error, socket.gaierror):
        return Fault("network", f"no network: {host()} has no address here", f"Check the connection. {LATER}", True)
    if isinstance(error, httpx2.TimeoutException):
        return Fault("network", f"{host()} does not answer", f"Check the connection. {LATER}", True)
    if isinstance(error, httpx2.ConnectError):
        if any(isinstance(cause, ssl.SSLError | socket.gaierror) for cause in _chain(error)):
            return None  # the cause says more
        message = f"{host()} cannot be reached: {_one_line(error)}"
        return Fault("network", message, f"Check the connection. {LATER}", True)
    if isinstance(error, httpx2.TransportError):
        return Fault("network", f"the connection to {host()} broke: {_one_line(error)}", LATER, True)
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return Fault("network", f"{host()} ended the file too early", LATER, True)
    if isinstance(error, ConnectionError | TimeoutError):
        return Fault("network", f"the connection to {host()} broke: {_one_line(error)}", LATER, True)
    if isinstance(error, OSError):
        return _of_disk(error)
    if isinstance(error, ValueError) and "too large to be downloaded" in str(error):
        return Fault("too large", f"{what or repo} is larger than 50 GB, which the hub gives by Xet alone", TOKEN)
    return None


def _of_disk(error: OSError) -> Fault | None:
    path = error.filename or "the cache"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        which = "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
        return Fault("disk", f"{which}: what came is kept", f"Make room. {LATER}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP):
        hint = "Give HF_HOME or HF_HUB_CACHE a folder that you may write to."
        return Fault("disk", f"{path} cannot be written: {error.strerror}", hint)
    if error.errno is not None:
        return Fault("disk", f"{path}: {error.strerror}", "Is the cache's disk well?")
    return None


def _of_status(error: errors.HfHubHTTPError, repo: str, what: str, kind: str) -> Fault:
    response = error.response
    status = response.status_code
    sent = "authorization" in response.request.headers
    noun, folder = ("data set", "datasets/") if kind == "dataset" else ("model", "")
    page = f"{constants.ENDPOINT}/{folder}{repo}"
    if isinstance(error, errors.GatedRepoError):
        then = "and wait until its owners let you in" if sent else f"then: {TOKEN}"
        return Fault("gated", f"{repo} is gated: its owners ask you to accept their terms", f"Do so at {page}, {then}")
    if isinstance(error, errors.RevisionNotFoundError):
        return Fault("missing", f"{repo} has no such revision", f"See {page}/tree/main for its branches.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return Fault("missing", f"{repo} has no file {what}".rstrip(), f"See {page}/tree/main for its files.")
    if isinstance(error, errors.DisabledRepoError):
        return Fault("missing", f"{host()} has disabled access to {repo}", f"See {page}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "Is the name right? If it is private, your token must be allowed to read it." if sent else (
            f"Is the name right? If it is private: {TOKEN}"
        )  # fmt: skip
        return Fault("missing", f"there is no {noun} {repo} at {host()}, or it is private", hint)
    if status in (401, 403) and response.request.url.host != httpx2.URL(constants.ENDPOINT).host:
        # A signed address of the hub's storage lives for a while only; the next try gets a new one.
        return Fault("access", f"{response.request.url.host} does not give {what or repo}", LATER, transient=True)
    if status == 401:
        hint = "HF_TOKEN is wrong or has expired." if sent else TOKEN
        return Fault("access", f"{host()} does not know who you are", hint)
    if status == 403:
        return Fault("access", f"{host()} does not let you have {repo}", "Is your token allowed to read it?")
    if status in (402, 429):
        wait = _wait(response)
        until = f" for {wait:.0f} s" if wait else ""
        hint = f"{TOKEN if not sent else 'Later it will answer again.'} {LATER}"
        message = f"{host()} has had too many requests and asks us to wait{until}"
        return Fault("quota", message, hint, status == 429, wait)
    if status == 416:
        return Fault("inconsistent", f"{host()} does not have as much of {what or repo} as came before", LATER, True)
    if status == 408 or status >= 500:
        return Fault("server", f"{host()} is out of order (HTTP {status})", LATER, True, _wait(response))
    return Fault("server", f"{host()} refuses: HTTP {status} {_one_line(error)}", LATER)


def _wait(response: httpx2.Response) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    limit = response.headers.get("RateLimit", "")
    _, found, seconds = limit.partition("t=")
    return float(seconds) if found and seconds.isdigit() else None


def _one_line(error: BaseException) -> str:
    text = re.sub(r"\?\S+", "?…", " ".join(str(error).split()))  # what follows a ? may be a signature
    return "".join(char for char in text if char.isprintable())[:200] or type(error).__name__

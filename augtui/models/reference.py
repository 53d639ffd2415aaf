"""How a model of a hub is named: `qwen2-1.5b-refine:Q4_K_M`, `hf:OWNER/REPO:Q8_0@main`, or its page's address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from augtui.errors import UsageError
from augtui.models import family
from augtui.models.family import Entry

PREFIXES = ("hf:", "hf://", "hf.co/", "huggingface.co/")
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
"""An owner and a name, as the hub allows them."""
QUANTIZATION = re.compile(r"[A-Za-z0-9][\w.-]{0,199}", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
EXAMPLE = "A model is a name of `augtui ls --available`, or hf:OWNER/REPO, with :Q4_K_M and @REVISION where wanted."


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of a hub, and what of it is meant."""

    repos: tuple[str, ...]
    """Where it may be, the best first: a catalogue's entry can have several."""
    quantization: str | None = None
    """A type (`Q4_K_M`) or a file's name; None is the best that suits the machine."""
    revision: str | None = None
    """A branch, a tag or a commit; None is the main branch."""
    entry: Entry | None = None
    """What the catalogue says of it."""

    @property
    def name(self) -> str:
        """Return the short name: the catalogue's, or the repository's in small letters without its `-GGUF`."""
        if self.entry is not None:
            return self.entry.name
        return re.sub(r"[-_.]gguf$", "", self.repos[0].split("/")[1].lower())

    def __str__(self) -> str:
        """Return what a user can type for it."""
        shown = self.entry.name if self.entry is not None else f"hf:{self.repos[0]}"
        shown += f":{self.quantization}" if self.quantization else ""
        return shown + (f"@{self.revision}" if self.revision else "")


def parse(text: str, *, checkpoint: bool = False) -> Reference:
    """Return what `text` means; raises UsageError for what is neither a catalogue's name nor a repository.

    checkpoint: whether the safetensors are wanted, not GGUF files.
    """
    rest = re.sub(r"^https?://(?=(?:www\.)?(?:hf\.co|huggingface\.co)/)", "", text.strip())
    rest = rest.removeprefix("www.")
    for prefix in sorted(PREFIXES, key=len, reverse=True):
        if rest.lower().startswith(prefix):
            rest = rest[len(prefix) :].strip("/")
            rest = re.sub(r"/(?:tree|blob|resolve)/([^/]+).*$", r"@\1", rest)
            break
    rest, revision = _cut(rest, "@")
    rest, quantization = _cut(rest, ":")
    if revision and ":" in revision:  # written the other way round
        revision, quantization = _cut(revision, ":")
    if quantization is not None and not QUANTIZATION.fullmatch(quantization):
        raise UsageError(f"{quantization!r} is no quantization and no file's name", hint=EXAMPLE)
    if revision is not None and (not REVISION.fullmatch(revision) or ".." in revision):
        raise UsageError(f"{revision!r} is no branch, tag or commit", hint=EXAMPLE)
    entry = family.find(rest)
    if entry is not None:
        repos = (entry.repo,) if checkpoint else (*entry.gguf, entry.repo)
        return Reference(repos, quantization, revision, entry)
    if not REPO.fullmatch(rest) or ".." in rest or "--" in rest:
        raise UsageError(f"there is no model {text!r}", hint=EXAMPLE)
    return Reference((rest,), quantization, revision, family.of_repo(rest))


def looks_like(text: str) -> bool:
    """Return whether a text means a hub's model rather than a path: a known name, or one with a hub's prefix."""
    bare = re.sub(r"^https?://", "", text).lower()
    return bare.startswith(PREFIXES) or family.find(re.split(r"[:@]", text)[0]) is not None


def _cut(text: str, mark: str) -> tuple[str, str | None]:
    head, found, tail = text.partition(mark)
    return (head, tail) if found and tail else (head, None)

"""What `--model` means: the default model in the package, or a GGUF file, and how it is best asked."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from augtui.domain.guard import Strictness
from augtui.domain.tasks import Style
from augtui.errors import ModelError

DEFAULT = "default"
DEFAULT_FILE = "augtui-nano-q8_0.gguf"
GGUF_MAGIC = b"GGUF"
LEAST_GGUF_BYTES = 24
"""A GGUF header: magic, version, tensor count, metadata count (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

AUGMENTER = re.compile(r"augtui|refine|[-_.](?:response-)?exp(?:[-_.]|$)", re.IGNORECASE)
"""File names of models that were trained on the prompts of Tables 9-11 (the paper's Table 3, and our own)."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model file and the settings that suit it; a user's own settings come first."""

    name: str
    path: Path
    style: Style
    guard: Strictness
    temperature: float
    top_p: float = 0.9
    top_k: int = 40
    languages: tuple[str, ...] = ()
    """Languages that the model knows; empty: any."""


def resolve(name: str) -> Model:
    """Return the model that `name` means: `default`, or the path of a GGUF file; raises ModelError."""
    if name == DEFAULT:
        path = Path(str(files("augtui.models.bundled").joinpath(DEFAULT_FILE)))
        _require_gguf(path)
        return Model(DEFAULT, path, "specialised", Strictness.STRICT, temperature=0.3, languages=("en",))
    path = Path(name).expanduser()
    if path.suffix != ".gguf" and not _exists(path):
        raise ModelError(
            f"there is no model {name!r}",
            hint="Give the path of a .gguf file, or leave --model out for the default model.",
        )
    _require_gguf(path)
    style: Style = "specialised" if AUGMENTER.search(path.stem) else "general"
    return Model(path.stem, path.absolute(), style, Strictness.NORMAL, temperature=0.7)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that may not be looked into: opening the file will say so
        return True


def _require_gguf(path: Path) -> None:
    """Refuse what is plainly no GGUF file before a process is started for it; the worker judges the rest."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ModelError(f"{path} is {what}, not a GGUF file")
        size = status.st_size
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such model file") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    if magic != GGUF_MAGIC:
        raise ModelError(f"{path} is not a GGUF file", hint="Models for augtui are .gguf files, as for llama.cpp.")
    if size < LEAST_GGUF_BYTES:
        raise ModelError(f"{path} is cut short ({size} bytes)", hint="Fetch the file again.")

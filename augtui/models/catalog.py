"""What `--model` means: the default model, a pulled one, a file or a server's model, and how it is best asked."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from augtui.domain.guard import Strictness
from augtui.domain.tasks import Style
from augtui.engines.http import endpoint
from augtui.engines.http.endpoint import Endpoint
from augtui.engines.shards import files_of, number_of
from augtui.errors import ModelError
from augtui.models import checksums, family, gguf_metadata, offline, reference, registry
from augtui.models.registry import Pulled

DEFAULT = "default"
DEFAULT_FILE = "augtui-nano-q8_0.gguf"
DEFAULT_RETRIES = 1
"""What a small model got wrong it seldom gets right with another seed, and what it fails on is long."""
DEFAULT_ROOM = 160
"""The default model adds 30 to 120 tokens; an answer that gets longer has lost its way."""
HINTED = "hinted"
GGUF_MAGIC = b"GGUF"
LEAST_GGUF_BYTES = 24
"""A GGUF header: magic, version, tensor count, metadata count (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

AUGMENTER = re.compile(r"augtui|refine|[-_.](?:response-)?exp(?:[-_.]|$)", re.IGNORECASE)
"""File names of models that were trained on the prompts of Tables 9-11 (the paper's Table 3, and our own)."""


Library = Literal["llama", "mlx", "http"]
"""What computes: llama.cpp on a GGUF file, mlx-lm on a model folder, or a server."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model, where it is, and the settings that suit it; a user's own settings come first."""

    name: str
    style: Style
    guard: Strictness
    temperature: float
    top_p: float = 0.9
    top_k: int = 40
    languages: tuple[str, ...] = ()
    """Languages that the model knows; empty: any."""
    tasks: tuple[str, ...] = ()
    """What it was trained for; empty: anything, or nothing is known of it."""
    refine_retries: int = 3
    """New seeds worth trying after a rejected refinement."""
    answer_room: int | None = None
    """Tokens that a refined prompt may have over the original's; None: no such bound (`Job.answer_room`)."""
    is_hinted: bool = False
    """Whether it is asked with the kind of a prompt and with signs for names (`augtui.domain.delexical`)."""
    library: Library = "llama"
    file: Path | None = None
    """Its file or folder; None is a server's model."""
    server: Endpoint | None = None
    """Where it is served, with its name there."""

    @property
    def path(self) -> Path:
        """Return its file or folder; raises ModelError for a server's model, which has none here."""
        if self.file is None:
            raise ModelError(f"{self.location} is a server's model", hint="This needs a model on this machine.")
        return self.file

    @property
    def location(self) -> str:
        """Return its path or address."""
        return str(self.file if self.server is None else self.server)

    @property
    def bytes(self) -> int:
        """Return the size of its file; 0 where there is none."""
        if self.file is None:
            return 0
        files = self.file.glob("*.safetensors") if self.file.is_dir() else files_of(self.file)
        return sum(file.stat().st_size for file in files)

    def sha256(self) -> str:
        """Return the digest that names it in projects: of its weights, or of a server's address and its name there.

        What a server gives under a name may change without a change of the digest: nobody tells.
        """
        return checksums.several(files_of(self.path)) if self.server is None else self.server.sha256()


def resolve(name: str, *, timeout_s: float | None = None) -> Model:
    """Return the model that `name` means.

    `default`, a model that was pulled (`qwen2-1.5b-refine`, `hf:OWNER/REPO:Q8_0`), the path of a GGUF file or an MLX
    folder, or a server's address. A server whose address names no model is asked for its first one, within `timeout_s`
    a try. Raises ModelError, UsageError for an address that is none, and EngineError for a server that cannot be
    reached.
    """
    if name == DEFAULT:
        path = Path(str(files("augtui.models.bundled").joinpath(DEFAULT_FILE)))
        _require_gguf(path)
        return _small(DEFAULT, path)
    pulled = _pulled(name)
    if pulled is not None:
        return pulled
    if endpoint.is_address(name):
        return _served(endpoint.parse(name), timeout_s)
    path = Path(name).expanduser()
    if path.suffix != ".gguf" and not _exists(path):
        raise ModelError(
            f"there is no model {name!r}",
            hint="Give a name of `augtui ls`, a .gguf file or a server's address, or leave --model out.",
        )
    if path.is_dir():
        _require_mlx(path)
        if _is_hinted(path):
            return _small(path.name, path.absolute())
        return Model(path.name, _style(path.name), Strictness.NORMAL, 0.7, library="mlx", file=path.absolute())
    _require_whole(path)
    if _is_hinted(path):
        return _small(path.stem, path.absolute())
    return Model(path.stem, _style(path.stem), Strictness.NORMAL, temperature=0.7, file=path.absolute())


def _small(name: str, path: Path) -> Model:
    """Return the default model, or one that was made as it was (docs/your-own-augmenter.md)."""
    return Model(
        name, "specialised", Strictness.STRICT, temperature=0.3, languages=("en", "zh"), refine_retries=DEFAULT_RETRIES,
        answer_room=DEFAULT_ROOM, is_hinted=True, library="mlx" if path.is_dir() else "llama", file=path,
    )  # fmt: skip


def _is_hinted(path: Path) -> bool:
    """Say whether a model was trained on hinted prompts; its own metadata say so."""
    if not path.is_dir():
        return gguf_metadata.early_text(path, "augtui.prompts") == HINTED
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("augtui_prompts") == HINTED


def _pulled(name: str) -> Model | None:
    """Return the model on this machine that a name or a hub's reference means; None for what is neither.

    Raises ModelError for one that is known and not here.
    """
    if reference.looks_like(name):
        wanted = reference.parse(name)
        names, quantization = (wanted.name, *wanted.repos), wanted.quantization
    elif "/" not in name and not name.endswith(".gguf"):
        names, quantization = (name,), None
    else:
        return None
    for candidate in names:
        found = registry.find(candidate, quantization)
        if found is not None and found.is_here:
            return _of_registry(found)
        if found is not None:
            raise ModelError(f"the files of {found.key} are gone from {found.path.parent}", hint=_pull_it(name))
    if not reference.looks_like(name) or _exists(Path(name)):
        return None
    raise ModelError(f"{name} is not on this machine", hint=_pull_it(name))


def _pull_it(name: str) -> str:
    return f"augtui pull {name} fetches it." + (f" {offline.HINT}" if offline.hub() else "")


def _of_registry(pulled: Pulled) -> Model:
    path = pulled.path
    entry = family.find(pulled.entry) if pulled.entry else family.of_repo(pulled.repo or "")
    if entry is None:
        style, guess = _style(pulled.name), Model(pulled.key, "general", Strictness.NORMAL, 0.7)
        sampling = (guess.temperature, guess.top_p, guess.top_k)
    else:
        style, sampling = entry.style, (entry.temperature, entry.top_p, entry.top_k)
    if pulled.kind == "safetensors":
        _require_mlx(path)
    else:
        _require_whole(path)
    temperature, top_p, top_k = sampling
    return Model(
        pulled.key, style, Strictness.NORMAL, temperature, top_p, top_k, tasks=entry.tasks if entry else (),
        library="mlx" if pulled.kind == "safetensors" else "llama", file=path,
    )  # fmt: skip


def _served(address: Endpoint, timeout_s: float | None) -> Model:
    from augtui.engines.http import credentials, server

    if offline.everywhere() and not address.is_loopback:
        raise ModelError(f"{address.host} is not this machine", hint=f"{offline.HINT} Servers are out of reach in it.")
    key = credentials.find(address)
    if address.model is None:
        address = address.named(server.first_model(address, key, timeout_s or server.TIMEOUT_S).name)
    name = address.model or ""
    # llama.cpp's servers name a model by its path, others by owner and name.
    style = _style(re.split(r"[/\\]", name)[-1])
    # top_k 0 is not sent: it is no part of the protocol, and a server that does not know it may refuse it.
    return Model(name, style, Strictness.NORMAL, temperature=0.7, top_k=0, library="http", server=address)


def _style(name: str) -> Style:
    return "specialised" if AUGMENTER.search(name) else "general"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that may not be looked into: opening the file will say so
        return True


def _require_mlx(folder: Path) -> None:
    """Refuse a folder that is plainly no MLX model before a process is started for it."""
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} is a folder, not a GGUF file, and no MLX model either",
            hint="An MLX model is a folder with config.json, tokenizer.json and model*.safetensors.",
        )


def _require_whole(path: Path) -> None:
    """Refuse what is plainly no GGUF model: not such a file, or a shard of one whose others are not beside it."""
    if number_of(path) != 1:
        raise ModelError(f"{path} is a later part of a split model", hint="Give its first part, …-00001-of-….gguf.")
    for file in files_of(path):
        _require_gguf(file)


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

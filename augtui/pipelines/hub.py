"""Data sets of the Hugging Face Hub: which files of a repository are wanted, and where they are in the Hub's cache."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, Final

from augtui.errors import InputError, ModelError, UsageError
from augtui.models import cache, dataset_files, offline
from augtui.models.download import STALL_S, Event, MissingError, Note, See

PREFIX: Final = "hf:"
CARD: Final = "README.md"
CONVERTED: Final = "refs/convert/parquet"
"""The branch on which the Hub keeps most data sets as Parquet, also those that only a script could load."""

_NAME: Final = re.compile(
    r"hf:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?::(?P<config>[\w.+-]+))?(?:/(?P<rest>[^@]+))?(?:@(?P<revision>[\w./-]+))?"
)
_SUFFIXES: Final = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
"""Files that can be read, the better ones first where a repository has as many of each."""
_PACKED: Final = (".gz", ".xz", ".bz2", ".zst")
_NO_DATA: Final = frozenset(
    {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "config.json"}
)
_SPLIT_WORDS: Final = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev"},
    "test": {"test", "testing", "eval", "evaluation"},
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a name such as `hf:openai/gsm8k:main/train` asks for."""

    repo: str
    config: str | None = None
    split: str | None = None
    file: str | None = None
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a data set on this machine."""

    name: str
    """`hf:OWNER/NAME/FILE@COMMIT`."""
    path: Path
    licence: str | None
    """What the repository's card says."""


class DownloadError(InputError):
    """The Hub has the data set's files, and they did not come."""


def is_hub_name(name: str) -> bool:
    """Say whether a source's name means a data set of the Hub."""
    return name.startswith(PREFIX)


def parse(name: str) -> Wanted:
    """Read `hf:OWNER/NAME[:CONFIG][/SPLIT or /FILE][@REVISION]`. Raises UsageError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"{name!r} is no data set's name", hint="hf:OWNER/NAME, hf:OWNER/NAME:CONFIG/SPLIT")
    rest = match["rest"]
    is_file = rest is not None and _suffix(rest) is not None
    return Wanted(
        match["repo"],
        match["config"],
        None if is_file else rest,
        rest if is_file else None,
        match["revision"] or "main",
    )


def files(
    name: str,
    say: Callable[[str], None] = lambda _: None,
    *,
    see: See = lambda event: None,
    stall_s: float = STALL_S,
) -> list[HubFile]:
    """Return the files of a data set, downloaded unless they are in the cache; `see` hears how far that has come.

    The train split is taken unless another one is named; HF_HOME, HF_ENDPOINT, HF_TOKEN and offline mode count.
    A download without a byte for `stall_s` seconds is ended and begun where it stopped, a few times. Without a network
    what is in the cache is used. Raises InputError: no such data set, no permission, no files; and DownloadError, or
    OutputError where the cache cannot be written: what came stays, and the same call goes on from there.
    """
    from huggingface_hub import HfApi, constants

    wanted = parse(name)
    if constants.HF_HUB_OFFLINE or offline.hub():
        return _from_cache(wanted, None)
    try:
        timeout = float(constants.HF_HUB_ETAG_TIMEOUT)
        info = HfApi().dataset_info(wanted.repo, revision=wanted.revision, timeout=timeout)
    except Exception as error:
        return _after(error, wanted)
    commit = info.sha or ""
    if not cache.COMMIT.fullmatch(commit):
        raise InputError(f"{constants.ENDPOINT} does not answer like a hub: it names no commit of {wanted.repo}")
    names = [sibling.rfilename for sibling in info.siblings or []]
    try:
        card = _card_at(wanted, commit, see, stall_s) if CARD in names else {}
        chosen = _chosen(wanted, names, card)
        if chosen:
            say(f"{wanted.repo}: {', '.join(chosen[:3])}{' …' if len(chosen) > 3 else ''}")
            folder = dataset_files.fetch(
                wanted.repo, chosen, commit=commit, revision=wanted.revision, see=see, stall_s=stall_s
            )
            return _named(wanted, chosen, folder, card)
    except ModelError as error:
        return _instead(error, wanted, say)
    if wanted.revision == CONVERTED:
        raise InputError(f"the data set {wanted.repo} has no data files, nor has the Hub's Parquet copy of it")
    say(f"{wanted.repo} has no files that can be read as they are; taking the Hub's own Parquet copy")
    return _converted(wanted, say, see, stall_s)


def _cached(wanted: Wanted, chosen: Sequence[str], names: Sequence[str], card: Mapping[str, Any]) -> list[HubFile]:
    """Return the chosen files from the cache; raises LocalEntryNotFoundError where one is not there."""
    from huggingface_hub import snapshot_download

    patterns = [glob.escape(file) for file in chosen] + ([CARD] if CARD in names else [])
    folder = Path(
        snapshot_download(
            wanted.repo,
            repo_type="dataset",
            revision=wanted.revision,
            allow_patterns=patterns,
            local_files_only=True,
        )
    )
    return _named(wanted, chosen, folder, card)


def _named(wanted: Wanted, chosen: Sequence[str], folder: Path, card: Mapping[str, Any]) -> list[HubFile]:
    licence = card.get("license")
    told = ", ".join(map(str, licence)) if isinstance(licence, list) else licence
    commit = folder.name[:12]
    return [
        HubFile(f"{PREFIX}{wanted.repo}/{file}@{commit}", folder / file, told if isinstance(told, str) else None)
        for file in chosen
    ]


def _converted(wanted: Wanted, say: Callable[[str], None], see: See, stall_s: float) -> list[HubFile]:
    rest = f"/{wanted.split}" if wanted.split else ""
    config = f":{wanted.config}" if wanted.config else ""
    try:
        return files(f"{PREFIX}{wanted.repo}{config}{rest}@{CONVERTED}", say, see=see, stall_s=stall_s)
    except DownloadError:
        raise
    except InputError:
        raise InputError(
            f"the data set {wanted.repo} has no JSON, CSV, Parquet or text files",
            hint="Its files are listed on its page of the Hub; name one: hf:OWNER/NAME/FILE",
        ) from None


def _after(error: Exception, wanted: Wanted) -> list[HubFile]:
    """Return what the cache has where the network failed. Raises InputError for everything else."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # A failing connection, a missing ETag and a dead proxy all come as LocalEntryNotFoundError, with the reason inside.
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error
    match cause:
        case GatedRepoError():
            raise InputError(
                f"the data set {wanted.repo} is gated", hint="Accept its terms on its page, and set HF_TOKEN."
            ) from None
        case RepositoryNotFoundError():
            raise InputError(
                f"there is no data set {wanted.repo} on the Hub, or it is private",
                hint="Check the name, or set HF_TOKEN.",
            ) from None
        case RevisionNotFoundError():
            raise InputError(f"the data set {wanted.repo} has no revision {wanted.revision}") from None
        case HfHubHTTPError() if cause.response is not None and cause.response.status_code < 500:
            raise InputError(f"the Hub refused {wanted.repo}: {_one_line(cause)}") from None
        case OSError() | HfHubHTTPError():
            return _from_cache(wanted, cause)
        case _ if type(cause).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "requests"):
            return _from_cache(wanted, cause)
        case _:
            raise error


def _from_cache(wanted: Wanted, cause: BaseException | None) -> list[HubFile]:
    """Return the wanted files as an earlier import left them, chosen as they would be from the whole repository."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    why = "offline mode is on" if cause is None else f"the Hub cannot be reached ({_one_line(cause)})"
    try:
        tree = get_cached_repo_tree(wanted.repo, repo_type="dataset", revision=wanted.revision)
        names = [file.path for file in tree]
        card = _cached_card(wanted) if CARD in names else {}
        if chosen := _chosen(wanted, names, card):
            return _cached(wanted, chosen, names, card)
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError):
        pass
    if wanted.revision == "main":
        with suppress(InputError):
            return _from_cache(replace(wanted, revision=CONVERTED), cause)
    raise InputError(
        f"{wanted.repo}{f' {wanted.split}' if wanted.split else ''} is not in the cache, and {why}",
        hint=f"{offline.HINT} " * (cause is None) + "Import it once while connected.",
    )


def _instead(error: ModelError, wanted: Wanted, say: Callable[[str], None]) -> list[HubFile]:
    """Return what an earlier import left, for a download that came to nothing; raises DownloadError."""
    failed = DownloadError(error.message, hint=error.hint)
    if isinstance(error, MissingError):
        raise failed from None
    try:
        found = _from_cache(wanted, error)
    except InputError:
        raise failed from None
    say(f"{error.message}; taking what the cache has")
    return found


def _card_at(wanted: Wanted, commit: str, see: See, stall_s: float) -> dict[str, Any]:
    """Return a card's front matter at a commit, fetched unless it is in the cache."""

    def notes(event: Event) -> None:  # so small a file is not worth more
        if isinstance(event, Note):
            see(event)

    folder = dataset_files.fetch(wanted.repo, [CARD], commit=commit, revision=commit, see=notes, stall_s=stall_s)
    return _front_matter((folder / CARD).read_text(encoding="utf-8", errors="replace"))


def _cached_card(wanted: Wanted) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(wanted.repo, CARD, repo_type="dataset", revision=wanted.revision, local_files_only=True)
    return _front_matter(Path(path).read_text(encoding="utf-8", errors="replace"))


def _front_matter(text: str) -> dict[str, Any]:
    """Return the YAML at the head of a card; {} where there is none, or none that can be read."""
    match = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(?:\n|$)", text[:100_000], re.DOTALL)
    if match is None:
        return {}
    import yaml

    try:
        read = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, dict) else {}


# ------------------------------------------------------------------------------------------ choosing the files


def _chosen(wanted: Wanted, names: Iterable[str], card: Mapping[str, Any]) -> list[str]:
    """Return the files of the wanted configuration and split, in order. Raises InputError where they are not there."""
    readable = sorted(name for name in names if _is_data(name))
    if wanted.file is not None:
        if wanted.file not in names:
            raise InputError(f"the data set {wanted.repo} has no file {wanted.file}", hint=_few(readable))
        return [wanted.file]
    by_split = _of_card(wanted, readable, card)
    if by_split is None:
        by_split = _of_names(wanted, readable)
    if not by_split:
        return []
    if wanted.split is not None:
        split = next((name for name in by_split if wanted.split in {name, *_SPLIT_WORDS.get(name, ())}), None)
        if split is None:
            raise InputError(f"{wanted.repo} has no split {wanted.split!r}", hint="splits: " + ", ".join(by_split))
        return by_split[split]
    return by_split.get("train") or [name for group in by_split.values() for name in group]


def _of_card(wanted: Wanted, readable: Sequence[str], card: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """Return the files by split as the card's `configs` say; None where it has none.

    The format: https://huggingface.co/docs/hub/datasets-manual-configuration.
    """
    entries = card.get("configs")
    configs = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    by_name = {str(entry.get("config_name", "default")): entry for entry in configs if entry.get("data_files")}
    if not by_name:
        return None
    if wanted.config is not None:
        entry = by_name.get(wanted.config)
    else:
        marked = [entry for entry in by_name.values() if entry.get("default")]
        entry = (
            next(iter(marked), None)
            or by_name.get("default")
            or (next(iter(by_name.values())) if len(by_name) == 1 else None)
        )
    if entry is None:
        what = f"no configuration {wanted.config!r}" if wanted.config else "several configurations"
        hint = f"hf:{wanted.repo}:CONFIG with one of: {', '.join(list(by_name)[:20])}"
        raise InputError(f"{wanted.repo} has {what}", hint=hint)
    given = entry["data_files"]
    by_split: dict[str, list[str]] = {}
    for split, patterns in _patterns(given):
        found = [name for pattern in patterns for name in readable if _matches(name, pattern)]
        if found:
            by_split[split] = list(dict.fromkeys(found))
    return by_split


def _patterns(given: Any) -> list[tuple[str, list[str]]]:
    if isinstance(given, str):
        return [("train", [given])]
    if isinstance(given, dict):
        given = [{"split": split, "path": path} for split, path in given.items()]
    if not isinstance(given, list):
        return []
    if all(isinstance(pattern, str) for pattern in given):
        return [("train", given)]
    found = []
    for entry in given:
        if isinstance(entry, dict) and "path" in entry:
            path = entry["path"]
            patterns = [path] if isinstance(path, str) else [str(one) for one in path] if isinstance(path, list) else []
            found.append((str(entry.get("split", "train")), patterns))
    return found


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("./")
    if "**" not in pattern:
        return fnmatch(name, pattern) and name.count("/") == pattern.count("/")
    return fnmatch(name, pattern) or fnmatch(name, pattern.replace("**/", ""))


def _of_names(wanted: Wanted, readable: Sequence[str]) -> dict[str, list[str]]:
    """Return the files by split as their names say: of the configuration if one is named, and of one format."""
    names = list(readable)
    if wanted.config is not None:
        names = [
            name for name in names if wanted.config in PurePosixPath(name).parts[:-1] or _stem(name) == wanted.config
        ]
        if not names:
            raise InputError(f"{wanted.repo} has no configuration {wanted.config!r}", hint=_few(readable))
    if not names:
        return {}
    kinds = Counter(_suffix(name) for name in names)
    kind = max(kinds, key=lambda suffix: (kinds[suffix], -_SUFFIXES.index(suffix or ".txt")))
    by_split: dict[str, list[str]] = {}
    for name in names:
        if _suffix(name) == kind:
            by_split.setdefault(_split_of(name), []).append(name)
    return by_split


def _split_of(name: str) -> str:
    words = set(re.split(r"[^a-z]+", name.lower()))
    return next((split for split, signs in _SPLIT_WORDS.items() if signs & words), "train")


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    named_text = path.stem.lower() in ("readme", "license", "requirements")
    return not hidden and not named_text and path.name not in _NO_DATA and _suffix(name) is not None


def _suffix(name: str) -> str | None:
    lowered = name.lower()
    for packed in _PACKED:
        lowered = lowered.removesuffix(packed)
    suffix = PurePosixPath(lowered).suffix
    return suffix if suffix in _SUFFIXES else None


def _stem(name: str) -> str:
    return PurePosixPath(name).name.split(".", 1)[0]


def _few(names: Sequence[str]) -> str:
    return "files: " + (", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none that can be read")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

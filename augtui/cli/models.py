"""`augtui ls`, `rm`, `verify` and `ps`: the models of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from augtui.cli.transfers import size
from augtui.errors import ExitCode

Json = Annotated[bool, typer.Option("--json", help="JSON, an object a line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of `augtui ls`. Default: all.")]


def ls(
    available: Annotated[
        bool, typer.Option("--available", help="What can be pulled, and whether it fits this machine.")
    ] = False,
    json: Json = False,
) -> None:
    """List the models that are here, or those that can be had."""
    if available:
        _ls_available(json=json)
        return
    from augtui.models import cache, catalog, registry

    bundled = catalog.resolve(catalog.DEFAULT)
    default = {"name": bundled.name, "tasks": "refine, expand", "bytes": bundled.bytes, "verified": "with augtui"}
    _row({**default, "is_here": True, "kind": "gguf", "repo": None}, json=json)
    repos = set()
    for pulled in sorted(registry.load(), key=lambda one: one.key):
        row = {
            "name": pulled.key, "tasks": _tasks(pulled.entry), "bytes": pulled.bytes,
            "verified": pulled.verified_at[:16].replace("T", " "), "is_here": pulled.is_here, "kind": pulled.kind,
            "repo": pulled.repo,
        }  # fmt: skip
        _row(row, json=json)
        repos.add(pulled.repo)
    root = cache.folder()
    for repo in sorted(_unfinished_repos(root)):
        parts = cache.unfinished(root, repo)
        came = sum(part.stat().st_size for part in parts if part.exists())
        if json:
            _print_json({"unfinished": repo, "bytes": came})
        else:
            from augtui.domain.visible import visible

            typer.echo(f"unfinished: {visible(repo)}, {size(came)}: augtui pull goes on with what it began", err=True)


def _unfinished_repos(root: Any) -> set[str]:
    found = set()
    for part in root.glob("models--*/blobs/*.incomplete"):
        found.add(part.parents[1].name.removeprefix("models--").replace("--", "/", 1))
    return found


def _tasks(entry_name: str | None) -> str:
    from augtui.models import family

    entry = family.find(entry_name) if entry_name else None
    if entry is None:
        return ""
    return ", ".join(entry.tasks) or "any"


def _row(row: dict[str, Any], *, json: bool) -> None:
    from augtui.domain.visible import visible

    if json:
        _print_json(row)
        return
    state = row["verified"] if row["is_here"] else "its files are gone"
    typer.echo(f"{visible(row['name']):<36} {size(row['bytes']):>9}  {row['tasks']:<15} {state}")


def _ls_available(*, json: bool) -> None:
    from augtui.engines.machine import free_bytes
    from augtui.models import family, fits, registry

    free = free_bytes()
    here = {pulled.entry for pulled in registry.load() if pulled.is_here}
    if not json:
        typer.echo(f"{size(free)} of memory are free. Sizes are estimates until a hub tells.", err=True)
    for entry in family.FAMILY:
        chosen = fits.best_quantization(entry, free)
        quantization = chosen or "Q2_K"
        file = entry.file_bytes(quantization)
        need = fits.need_bytes(file, entry.cell_bytes, entry.context)
        if json:
            _print_json(
                {
                    "name": entry.name, "tasks": list(entry.tasks), "repo": entry.repo, "gguf": list(entry.gguf),
                    "licence": entry.licence, "parameters": entry.parameters, "fits": chosen is not None,
                    "quantization": chosen, "file_bytes": file, "memory_bytes": need, "pulled": entry.name in here,
                    "note": entry.note,
                }
            )  # fmt: skip
            continue
        verdict = f"{quantization} ~{size(file)}, takes {size(need)}" if chosen else f"too large: takes {size(need)}"
        state = "here" if entry.name in here else ("" if entry.gguf else "quantize here")
        typer.echo(
            f"{entry.name:<22} {', '.join(entry.tasks) or 'any':<7} {entry.parameters:>5.2f}B  {verdict:<34}"
            f" {entry.licence:<13} {state}".rstrip()
        )


def rm(
    name: Annotated[str, typer.Argument(help="A name of `augtui ls`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_files: Annotated[bool, typer.Option("--keep-files", help="Forget the model; its files stay.")] = False,
    json: Json = False,
) -> None:
    """Remove a model. Its files lie in a cache that other programs use, too: what would go is said first."""
    from augtui.domain.visible import visible
    from augtui.engines import running
    from augtui.errors import UsageError
    from augtui.models import registry, removal

    parts = _begun(name)
    if parts:
        freed = sum(part.stat().st_size for part in parts)
        for part in parts:
            typer.echo(visible(f"  {part} ({size(part.stat().st_size)} of an unfinished download)"), err=True)
        _ask(yes=yes)
        for part in parts:
            part.unlink(missing_ok=True)
        if json:
            _print_json({"removed": name, "freed_bytes": freed})
        return
    pulled = _known(name)
    if keep_files:
        registry.remove(pulled.key)
        typer.echo(f"augtui rm: {visible(pulled.key)} is forgotten; its files stay", err=True)
        return
    paths = {pulled.path_of(file) for file in pulled.files} | {pulled.path}
    for engine in running.running():
        if engine.model in paths:
            raise UsageError(
                f"{pulled.key} is at work in process {engine.owner}", hint="End that first (augtui ps lists them)."
            )
    plan = removal.plan(pulled)
    for line in _consequences(plan):
        typer.echo(visible(line), err=True)
    _ask(yes=yes)
    plan.execute()
    if json:
        _print_json({"removed": pulled.key, "freed_bytes": plan.freed_bytes})
    else:
        typer.echo(f"augtui rm: {visible(pulled.key)} removed, {size(plan.freed_bytes)} freed", err=True)


def _ask(*, yes: bool) -> None:
    """Ask whether to remove; raises UsageError where nobody can answer, and ends the command on a no."""
    from augtui.errors import UsageError

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nobody is there to ask", hint="--yes removes it without asking.")
    if not typer.confirm("Remove it?", err=True):
        typer.echo("nothing was removed", err=True)
        raise typer.Exit(ExitCode.FAILED)


def _begun(name: str) -> list[Path]:
    """Return the parts of a model whose download was begun and never ended; none for a model that was pulled."""
    from augtui.errors import UsageError
    from augtui.models import reference, registry, removal

    try:
        wanted = reference.parse(name)
    except UsageError:
        return []
    if any(registry.find(candidate) for candidate in (wanted.name, *wanted.repos)):
        return []
    return [part for repo in wanted.repos for part in removal.unfinished(repo)]


def _consequences(plan: Any) -> list[str]:
    key = plan.pulled.key
    if plan.kept_for:
        return [f"{key} is forgotten; its files stay: {', '.join(plan.kept_for)} is made of them, too"]
    if plan.pulled.repo is None:
        return [f"{key} is forgotten; the file {plan.pulled.path} is yours and stays"]
    lines = [f"From the Hugging Face cache, which other programs use, too, of {plan.pulled.repo}:"]
    for file in plan.files:
        stays = f"; its bytes stay: {', '.join(file.shared_with)} has them, too" if file.shared_with else ""
        lines.append(f"  {file.path} ({size(file.bytes)}){stays}")
    lines += [f"  {part} (an unfinished download)" for part in plan.unfinished]
    if not plan.files:
        lines.append("  no file: they are gone already")
    lines.append(f"That frees {size(plan.freed_bytes)}.")
    return lines


def verify(names: Names = None, json: Json = False, quiet: Quiet = False) -> None:
    """Hash models again and compare them with the sums that they came with. Exit code 1: something is not well."""
    from augtui.models import catalog, registry, verification

    wanted = [name for name in names or () if name != catalog.DEFAULT]
    chosen = [_known(name) for name in wanted] if names else registry.load()
    bad = False
    if not names or catalog.DEFAULT in names:
        bad = _say_checked(verification.verify_default(), json=json, quiet=quiet)
    for pulled in chosen:
        with _Hashing(pulled.key, pulled.bytes, shown=not quiet and not json) as hashing:
            checked = list(verification.verify(pulled, hashing.read))
        for one in checked:
            bad = _say_checked(one, json=json, quiet=quiet) or bad
    if bad:
        raise typer.Exit(ExitCode.FAILED)


def _say_checked(checked: Any, *, json: bool, quiet: bool) -> bool:
    """Print a verdict; returns whether it is a bad one."""
    from augtui.domain.visible import visible

    bad: bool = checked.verdict != "ok"
    if json:
        _print_json(
            {
                "model": checked.model, "path": str(checked.path), "bytes": checked.bytes, "sha256": checked.found,
                "expected": checked.expected, "verdict": checked.verdict,
            }
        )  # fmt: skip
    elif bad or not quiet:
        typer.echo(f"{checked.verdict:<10} {visible(checked.model):<32} {visible(str(checked.path))}")
    if bad and not json:
        again = "Install augtui again." if checked.model == "default" else f"augtui pull {visible(checked.model)}"
        typer.echo(f"           to mend it: {again}", err=True)
    return bad


class _Hashing:
    """Shows how far the hashing of a large model is, on a terminal."""

    def __init__(self, name: str, total: int, *, shown: bool) -> None:
        self._bar: Any = None
        if shown and total > 200e6 and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(name.replace("[", "("), total=total)

    def read(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, advance=count)

    def __enter__(self) -> _Hashing:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def ps(json: Json = False) -> None:
    """List the engines that run now."""
    from augtui.domain.visible import visible
    from augtui.engines import running
    from augtui.models import catalog, registry

    names = {pulled.path: pulled.key for pulled in registry.load()}
    names[catalog.resolve(catalog.DEFAULT).path] = catalog.DEFAULT
    for engine in running.running():
        name = names.get(engine.model, engine.model.stem)
        memory = engine.memory_bytes
        if json:
            _print_json(
                {
                    "name": name, "model": str(engine.model), "library": engine.library, "process": engine.child,
                    "owner": engine.owner, "memory_bytes": memory, "started": engine.started,
                }
            )  # fmt: skip
            continue
        taken = size(memory) if memory is not None else "?"
        typer.echo(
            f"{visible(name):<36} {engine.library:<6} process {engine.child or '-'} of {engine.owner}  {taken:>9}"
            f"  since {engine.started[:16].replace('T', ' ')}"
        )


def _known(name: str) -> Any:
    """Return the pulled model of a name or reference; raises ModelError for one that is not here."""
    from augtui.errors import ModelError
    from augtui.models import reference, registry

    found = registry.find(name)
    if found is None and reference.looks_like(name):
        wanted = reference.parse(name)
        for candidate in (wanted.name, *wanted.repos):
            found = found or registry.find(candidate, wanted.quantization)
    if found is None:
        raise ModelError(f"{name} was not pulled", hint="augtui ls lists the models that are here.")
    return found


def _print_json(value: dict[str, Any]) -> None:
    import json as encoder

    # ASCII only: what a hub says must not reach a terminal as control characters.
    typer.echo(encoder.dumps(value, ensure_ascii=True))

"""`augtui show`: what is known of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="As a JSON object.")]


def show(
    name: Annotated[str, typer.Argument(help="`default`, a name of `augtui ls`, a catalogue's name, or a GGUF file.")],
    template: Annotated[bool, typer.Option("--template", help="Only its chat template.")] = False,
    json: Json = False,
) -> None:
    """Show a model: where it came from, its shape and quantization, how it is asked, its chat template, its sha256."""
    from augtui.domain.visible import visible

    facts = dict(_facts(name))
    if template:
        from augtui.errors import ModelError

        if facts.get("chat_template") is None:
            raise ModelError(f"{name} has no chat template", hint="augtui asks such models as ChatML.")
        typer.echo(visible(str(facts["chat_template"]), newline="\n"))
        return
    card = facts.pop("card", None)
    if json:
        import json as encoder

        typer.echo(encoder.dumps({**facts, "card": card} if card else facts, ensure_ascii=True))
        return
    text = facts.pop("chat_template", None)
    for key, value in facts.items():
        if value not in (None, "", [], {}):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            typer.echo(f"{key.replace('_', ' '):<16} {visible(shown)}")
    if text is not None:
        lines = str(text).splitlines()
        typer.echo(f"{'chat template':<16} {len(lines)} lines, shown by --template")
    if card is not None:
        typer.echo("\n" + visible(card, newline="\n"))


def _facts(name: str) -> Iterator[tuple[str, Any]]:
    from augtui.models import catalog, family, reference, registry

    if name == catalog.DEFAULT:
        yield from _of_default()
        return
    pulled = registry.find(name)
    wanted = reference.parse(name) if reference.looks_like(name) else None
    if pulled is None and wanted is not None:
        for candidate in (wanted.name, *wanted.repos):
            pulled = pulled or registry.find(candidate, wanted.quantization)
    if pulled is not None:
        entry = family.find(pulled.entry) if pulled.entry else None
        yield from _of_pulled(pulled)
        yield from _asked(catalog.resolve(pulled.key)) if pulled.is_here and pulled.kind == "gguf" else ()
        yield from _of_entry(entry) if entry else ()
        yield from _of_file(pulled.path, pulled.bytes) if pulled.is_here and pulled.kind == "gguf" else ()
        return
    if wanted is not None and wanted.entry is not None:
        yield "name", wanted.entry.name
        yield "state", f"not here: augtui pull {wanted.entry.name}"
        yield from _of_entry(wanted.entry)
        return
    model = catalog.resolve(name)
    yield "name", model.name
    yield "path", str(model.path)
    yield "sha256", model.sha256()
    yield from _asked(model)
    if model.library == "llama":
        yield from _of_file(model.path, model.bytes)


def _of_default() -> Iterator[tuple[str, Any]]:
    from importlib.resources import files

    from augtui.models import catalog

    model = catalog.resolve(catalog.DEFAULT)
    yield "name", model.name
    yield "path", str(model.path)
    yield "sha256", model.sha256()
    yield from _asked(model)
    yield from _of_file(model.path, model.bytes)
    yield "card", files("augtui.models.bundled").joinpath("README.md").read_text(encoding="utf-8")


def _of_pulled(pulled: Any) -> Iterator[tuple[str, Any]]:
    yield "name", pulled.key
    yield "state", "here" if pulled.is_here else "its files are gone"
    yield "repository", pulled.repo or "made here"
    yield "revision", f"{pulled.revision} at {pulled.commit}" if pulled.commit else None
    yield "path", str(pulled.path)
    yield "size_bytes", pulled.bytes
    yield "sha256", [f"{file.sha256} {file.path}" for file in pulled.files]
    yield "proven_by", sorted({file.proof for file in pulled.files})
    yield "pulled_at", pulled.pulled_at
    yield "verified_at", pulled.verified_at
    yield "licence", pulled.licence


def _asked(model: Any) -> Iterator[tuple[str, Any]]:
    yield "style", model.style
    yield "sampling", f"temperature {model.temperature:g}, top_p {model.top_p:g}, top_k {model.top_k}"


def _of_entry(entry: Any) -> Iterator[tuple[str, Any]]:
    from augtui.domain.tasks import TASKS
    from augtui.models import fits
    from augtui.models.family import ENDS

    yield "tasks", list(entry.tasks) or ["any: as response model, judge or base"]
    yield "checkpoint", entry.repo
    yield "gguf_from", list(entry.gguf)
    for task in entry.tasks:
        template = TASKS[task].template("specialised")
        system = template.render(instruction="", pairs=[])[0].content
        yield "prompt", f"Table {template.paper_table}"
        yield "system_prompt", system
    yield "ends_with", list(ENDS)
    yield "licence", entry.licence
    quantization = "Q4_K_M"
    need = fits.need_bytes(entry.file_bytes(quantization), entry.cell_bytes, entry.context)
    yield "memory", f"about {need / 1e9:.1f} GB as {quantization}"
    yield "note", entry.note


def _of_file(path: Path, size: int) -> Iterator[tuple[str, Any]]:
    from augtui.engines.gguf_header import HeaderError
    from augtui.errors import ModelError
    from augtui.models import fits, gguf_metadata

    try:
        metadata = gguf_metadata.read(path)
    except HeaderError as error:
        raise ModelError(f"{path}: {error}", hint="The file may be damaged: augtui verify says.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    context = metadata.of_architecture("context_length")
    yield "architecture", metadata.values.get("general.architecture")
    yield "parameters", metadata.parameters
    yield "quantization", metadata.quantization
    yield "tensors", [f"{count} {kind}" for kind, count in metadata.tensors.most_common()]
    yield "context", context
    yield "layers", metadata.of_architecture("block_count")
    yield "embedding", metadata.of_architecture("embedding_length")
    yield "vocabulary", metadata.values.get("tokenizer.ggml.tokens")
    yield "end_token", metadata.values.get("tokenizer.ggml.eos_token_id")
    if isinstance(context, int):
        yield "memory_bytes", fits.need_bytes(size, metadata.cell_bytes, context)
    yield "file_name", metadata.values.get("general.name")
    yield "file_licence", metadata.values.get("general.license")
    yield "chat_template", metadata.values.get("tokenizer.chat_template")

"""Computing an importance matrix from texts or from a project's prompts, as llama.cpp's llama-imatrix does."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augtui.domain.records import Record
from augtui.domain.tasks import TASKS
from quantize.chat import ChatTemplate
from quantize.errors import ConversionError
from quantize.gguf_file import Progress
from quantize.importance import Sums, write_importance
from quantize.native import Model
from quantize.products import LEAST_TOKENS

CHUNK_TOKENS = 512
# llama-imatrix's documentation: more than a few hundred chunks hardly change the result.
MOST_CHUNKS = 400
_FIELDS = ("instruction", "prompt", "text", "question", "query", "content")
_MOST_LINE_BYTES = 16 << 20


def calibrate(
    model_path: Path,
    texts: Path,
    destination: Path,
    *,
    task: str | None = "refine",
    chunks: int = MOST_CHUNKS,
    chunk_tokens: int = CHUNK_TOKENS,
    progress: Progress | None = None,
) -> int:
    """Write the importance matrix of a GGUF model over `texts` to `destination`; returns how many chunks it took.

    A .jsonl file holds prompts, each rendered with the paper's template of `task` and the model's chat template; any
    other file is one plain text. Both are cut into chunks of `chunk_tokens`, the last incomplete one left out.
    Raises `ConversionError` for a model or text that cannot be used.
    """
    sums: dict[str, Sums] = {}

    def watch(name: str, inputs: NDArray[np.float32]) -> None:
        found = sums.get(name) or sums.setdefault(name, Sums(np.zeros(inputs.shape[1])))
        found.squares += np.einsum("ij,ij->j", inputs, inputs)
        found.tokens += inputs.shape[0]

    with Model(model_path, chunk_tokens, watch=watch) as model:
        tokens = _tokens(model, texts, task)
        chunk_tokens = min(chunk_tokens, len(tokens))
        if chunk_tokens < LEAST_TOKENS:
            raise ConversionError(f"{texts} has {len(tokens)} tokens: an importance matrix needs more text")
        count = min(chunks, len(tokens) // chunk_tokens)
        for number in range(count):
            chunk = tokens[number * chunk_tokens : (number + 1) * chunk_tokens]
            if model.begins_with is not None:
                chunk[0] = model.begins_with
            model.logits(chunk)
            if progress:
                progress("importance matrix", number + 1, count)
    write_importance(destination, sums, texts.name, count, chunk_tokens)
    return count


def _tokens(model: Model, path: Path, task: str | None) -> list[int]:
    if path.suffix != ".jsonl":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConversionError(f"{path} cannot be read as text: {error}") from error
        return model.tokenize(text, special=False, begin=True)
    begin, end = model.special_tokens
    template = ChatTemplate(model.metadata("tokenizer.chat_template"), begin, end)
    found: list[int] = []
    for prompt in read_prompts(path):
        messages = [{"role": "user", "content": prompt}]
        if task is not None:
            rendered = TASKS[task].render(Record(prompt), "specialised")
            messages = [{"role": each.role, "content": each.content} for each in rendered]
        found += model.tokenize(template.render(messages))
    return found


def read_prompts(path: Path) -> Iterator[str]:
    """Yield the prompts of a JSON Lines file: strings, or objects with a field such as `instruction` or `prompt`.

    Raises `ConversionError` with the line's number for anything else.
    """
    try:
        lines = path.open("rb")
    except OSError as error:
        raise ConversionError(f"{path} cannot be read: {error.strerror}") from error
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line[:_MOST_LINE_BYTES])
            except (ValueError, RecursionError) as error:
                raise ConversionError(f"{path}, line {number} is not valid JSON: {error}") from error
            if isinstance(value, dict):
                value = next((value[field] for field in _FIELDS if isinstance(value.get(field), str)), None)
            if not isinstance(value, str):
                raise ConversionError(f"{path}, line {number} has no prompt (a field such as {_FIELDS[0]})")
            if value.strip():
                yield value

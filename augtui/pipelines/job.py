"""A job: what is to be done to each record, in every detail that can change the result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from augtui import __version__
from augtui.domain.guard import Strictness
from augtui.domain.language import language
from augtui.domain.records import Record, digest
from augtui.domain.tasks import Style, Task
from augtui.domain.templates import Template
from augtui.engines.base import Sampling

HINTED = "hinted"
"""The variant of a template for models that are asked with hints."""
HINTS = 1
"""Changes when hints are made otherwise, and with them the results."""


@dataclass(frozen=True, slots=True)
class Job:
    """One task with its model, prompt style, sampling, guard and number of tries."""

    task: Task[Any]
    style: Style
    model_name: str
    model_sha256: str
    sampling: Sampling
    seed: int
    guard: Strictness
    retries: int
    """New seeds that are tried after a rejected answer."""
    samples: int = 1
    """Answers wanted for each record."""
    languages: tuple[str, ...] = ()
    """Languages that the model knows (`en`, `zh`); empty: all. Records in another are not given to it."""
    answer_room: int | None = None
    """Tokens that a refined prompt may have over the original's, generously counted, for a model that carries it over
    and adds a little: a longer answer has lost its way, and waiting for its end is futile. None: no such bound.
    `sampling.max_tokens` comes first."""
    similarity: float = 0.7
    """Expanded instructions at least this similar (ROUGE-L F1) to their seed or to one another are rejected."""
    adapter: str | None = None
    """The LoRA adapter that the model answers with, by the name it is loaded under."""
    adapter_sha256: str | None = None
    numerics: tuple[tuple[str, str], ...] = ()
    """What else can change the result in its last bits, and so the text: a quantized cache, the deterministic mode."""
    variant: str = ""
    """A variant of the task's template, such as `bare` headings."""
    options: tuple[tuple[str, Any], ...] = ()
    """Further JSON values by name that the task's step knows and that can change its results."""
    teachers: tuple[tuple[str, Job], ...] = ()
    """Jobs by language (`en`, `zh`, `other`) for records that another model is to work on."""
    coverage: bool = False
    """Whether records in sparse regions of the input get more samples, and come first."""

    @property
    def template(self) -> Template:
        """Return the prompt template that is used."""
        return self.task.template(self.style, self.variant)

    @property
    def is_hinted(self) -> bool:
        """Say whether the model is told a prompt's kind, and gets signs for names (`augtui.domain.delexical`)."""
        return self.variant == HINTED

    @property
    def keeps_language(self) -> bool:
        """Say whether an answer must be in the language of what it was made from."""
        return self.guard is not Strictness.OFF

    def option(self, name: str, default: Any = None) -> Any:
        """Return the value of a further option."""
        return dict(self.options).get(name, default)

    def for_record(self, instruction: str) -> Job:
        """Return the job for a record: this one, or that of the teacher for its language."""
        if not self.teachers:
            return self
        return dict(self.teachers).get(language(instruction).value, self)

    def sampling_for(self, instruction: str) -> Sampling:
        """Return how an answer to this instruction is drawn."""
        if self.answer_room is None or self.sampling.max_tokens is not None:
            return self.sampling
        # A token has two letters at least, where it is not a digit, a mark or a byte of another script.
        letters = sum(char.isalpha() for char in instruction if char.isascii())
        return replace(self.sampling, max_tokens=len(instruction.encode()) - letters // 2 + self.answer_room)

    def config(self) -> dict[str, Any]:
        """Return all that decides the results, as JSON values; `augtui runs show` prints it."""
        sampling = self.sampling
        config: dict[str, Any] = {
            "task": self.task.name,
            "template": self.template.hash,
            "model": self.model_sha256,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repeat_penalty,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop),
            "seed": self.seed,
            "retries": self.retries,
        }
        if self.adapter_sha256 is not None:
            config["adapter"] = self.adapter_sha256
        if self.is_hinted:
            config["hints"] = HINTS
        config.update(self.numerics)
        if self.answer_room is not None:
            config["answer_room"] = self.answer_room
        if self.languages:
            config["languages"] = list(self.languages)
        config.update({name: _plain(getattr(self, name)) for name in self.task.decided_by})
        config.update(self.options)
        return config

    def item_key(self, record: Record | str, sample: int, context: Sequence[str] = ()) -> str:
        """Return the sha256 that names the work on one record (or its id) and sample, whatever run it belongs to.

        `context` are the ids of the records that it is made from besides.
        """
        record_id = record if isinstance(record, str) else record.id
        further = {"context": list(context)} if context else {}
        return digest({**self.config(), "record": record_id, "sample": sample, **further})

    def run_key(self, source_sha256: str, limit: int | None, field: str | None, format: str | None = None) -> str:
        """Return the sha256 that names this job on this input: the same command again is the same run.

        `format` is what the user or the file's name says of the input: the same bytes may be read in several ways.
        """
        read = {"source": source_sha256, "limit": limit, "field": field, "format": format}
        further: dict[str, Any] = {"coverage": True} if self.coverage else {}
        if self.teachers:
            further["teachers"] = {tongue: job.config() for tongue, job in self.teachers}
        return digest({**self.config(), "samples": self.samples, **read, **further})

    def attempt_seed(self, record_id: str, sample: int, attempt: int) -> int:
        """Return the 32-bit sampling seed of one try, the same on every machine and in every order."""
        name = f"{self.seed}:{record_id}:{sample}:{attempt}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")

    def provenance(self) -> Iterator[tuple[str, Any]]:
        """Yield what every result of the job has in common."""
        yield "task", self.task.name
        yield "template", self.template.version
        if self.template.paper_table is not None:
            yield "paper_table", self.template.paper_table
        yield "model", self.model_name
        yield "model_sha256", self.model_sha256
        if self.adapter_sha256 is not None:
            yield "adapter_sha256", self.adapter_sha256
        yield "augtui", __version__


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Strictness) else value

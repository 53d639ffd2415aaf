"""Planning: from an input to the items of a run, in their order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from augtui.domain.language import language
from augtui.domain.records import Quarantined, Record, digest
from augtui.errors import InputError
from augtui.pipelines import collect, coverage, formats
from augtui.pipelines.job import Job
from augtui.pipelines.source import Source
from augtui.store.items import PlannedItem, PlannedParent

Planned = PlannedItem | Quarantined
Given = tuple[Record, str | None]
"""A record of the input and, if the project has it already, its id there."""


class Supply(Protocol):
    """Records that a run works on; they can be read again and again."""

    @property
    def name(self) -> str:
        """Return the input's name."""

    @property
    def sha256(self) -> str:
        """Return the digest that says which input it is."""

    @property
    def limit(self) -> int | None:
        """Return how many records are wanted at most."""

    @property
    def field(self) -> str | None:
        """Return the field that the user says holds the instruction."""

    @property
    def stated_format(self) -> str | None:
        """Return what the user or the name says of the format."""

    def given(self) -> Iterator[Given | Quarantined]:
        """Yield the records in order, and what cannot become one. Raises InputError."""


@dataclass(frozen=True, slots=True)
class Input:
    """What of a source is wanted."""

    source: Source
    field: str | None = None
    format: str | None = None
    limit: int | None = None

    @property
    def name(self) -> str:
        """Return the name that the user gave."""
        return self.source.name

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes."""
        return self.source.sha256

    @property
    def stated_format(self) -> str | None:
        """Return the format that the user gave, or that the name tells."""
        return self.format or formats.named(str(self.source.path))

    def given(self) -> Iterator[Given | Quarantined]:
        """Yield the rows of the file."""
        path = self.source.path
        try:
            for outcome in collect.read(path, field=self.field, format=self.format, limit=self.limit):
                yield outcome if isinstance(outcome, Quarantined) else (outcome, None)
        except InputError as error:
            # A pipe's temporary copy means nothing to the user.
            named = error.message.replace(str(path), self.source.shown)
            raise InputError(named, hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class Stored:
    """Records that the project has already, in a certain order."""

    name: str
    ids: tuple[str, ...]
    fetch: Callable[[tuple[str, ...]], Iterable[Record]]
    """The records of these ids, in their order."""
    limit: int | None = None
    field: str | None = None
    stated_format: str | None = "records"
    samples: tuple[int, ...] | None = None
    """Samples wanted of each record, where they are not the same for all."""

    @property
    def sha256(self) -> str:
        """Return the digest of the ids in their order, and of the samples."""
        counts = {} if self.samples is None else {"samples": list(self.samples)}
        return digest({"records": list(self.ids), **counts})

    def given(self) -> Iterator[Given | Quarantined]:
        """Yield the records with their ids."""
        yield from zip(self.fetch(self.ids), self.ids, strict=True)


def planned(job: Job, supply: Supply) -> Iterator[Planned]:
    """Yield the items of a job on an input, and the rows that are set aside. Raises InputError."""
    if job.option("k") is not None:
        return _from_context(job, supply)
    if job.option("to") is not None:
        return _with_counterparts(job, supply)
    return _by_coverage(job, supply) if job.coverage else _each(job, supply)


def _each(job: Job, supply: Supply) -> Iterator[Planned]:
    """Plan each record's samples, in the order of the input."""
    position = number = 0
    counts = supply.samples if isinstance(supply, Stored) else None
    for outcome in supply.given():
        if isinstance(outcome, Quarantined):
            yield outcome
            continue
        record, known = outcome
        wanted = job.samples if counts is None else counts[number]
        number += 1
        for sample in range(wanted):
            yield _item(job, position, record, known, sample)
            position += 1


def _by_coverage(job: Job, supply: Supply) -> Iterator[Planned]:
    """Plan as many items as without coverage, more of them for records in sparse regions, which come first."""
    given: list[Given] = []
    for outcome in supply.given():
        if isinstance(outcome, Quarantined):
            yield outcome
        else:
            given.append(outcome)
    shares = coverage.shares([record.instruction for record, _ in given], job.samples * len(given), job.seed)
    position = 0
    for number, samples in shares:
        for sample in range(samples):
            yield _item(job, position, *given[number], sample)
            position += 1


def _with_counterparts(job: Job, supply: Supply) -> Iterator[Planned]:
    """Plan each record, with its translation as its context where the input has it: a row of the same id in the other
    of the two languages."""
    languages: dict[str | int, set[str]] = {}
    for outcome in supply.given():
        if not isinstance(outcome, Quarantined) and outcome[0].source_id is not None:
            languages.setdefault(outcome[0].source_id, set()).add(language(outcome[0].instruction).value)
    both = {name for name, found in languages.items() if found >= {"en", "zh"}}
    parallel: dict[tuple[str | int | None, str], PlannedParent] = {}
    if both:
        for outcome in supply.given():
            if not isinstance(outcome, Quarantined) and outcome[0].source_id in both:
                name = (outcome[0].source_id, language(outcome[0].instruction).value)
                parallel.setdefault(name, PlannedParent(*outcome))
    position = 0
    for outcome in supply.given():
        if isinstance(outcome, Quarantined):
            yield outcome
            continue
        record, known = outcome
        other = {"en": "zh", "zh": "en"}.get(language(record.instruction).value, "")
        found = parallel.get((record.source_id, other))
        context = () if found is None else (found,)
        key = job.for_record(record.instruction).item_key(known or record.id, 0, [parent.id for parent in context])
        yield PlannedItem(position, key, record, 0, known, context)
        position += 1


def _from_context(job: Job, supply: Supply) -> Iterator[Planned]:
    """Plan `samples` items in all, each with K records with a response as its context (eq. 3), drawn by the seed.

    The input is read twice, so that only the records that were drawn are ever in memory.
    """
    usable = 0
    for outcome in supply.given():
        if isinstance(outcome, Quarantined):
            yield outcome
        elif _has_response(outcome[0]):
            usable += 1
        elif outcome[0].line is not None:
            yield Quarantined(outcome[0].line, NO_RESPONSE, outcome[0].instruction[:200])
    least, most = job.option("k")
    if usable < most:
        raise InputError(
            f"{supply.name} has {usable} records with a response, and {most} are to be examples at a time",
            hint="Make responses first (augtui respond), or ask for fewer examples with -k.",
        )
    drawn = [_draw(job.seed, number, usable, least, most) for number in range(job.samples)]
    wanted = {place for places in drawn for place in places}
    chosen: dict[int, PlannedParent] = {}
    place = 0
    for outcome in supply.given():
        if isinstance(outcome, Quarantined) or not _has_response(outcome[0]):
            continue
        if place in wanted:
            chosen[place] = PlannedParent(*outcome)
        place += 1
    for number, places in enumerate(drawn):
        context = tuple(chosen[place] for place in places)
        key = job.item_key(context[0].id, number, [parent.id for parent in context])
        yield PlannedItem(number, key, context[0].record, number, context[0].known_id, context)


NO_RESPONSE = "no response"


def _draw(seed: int, number: int, usable: int, least: int, most: int) -> list[int]:
    """Return the places of the context of one item: K between `least` and `most`, no place twice, in random order."""
    name = hashlib.sha256(f"{seed}:context:{number}".encode()).digest()
    # Random's methods may change with the version of Python; `random` itself is pinned for ever.
    draw = random.Random(int.from_bytes(name, "big")).random
    count = least + int(draw() * (most - least + 1))
    places: list[int] = []
    while len(places) < count:
        place = int(draw() * usable)
        if place not in places:
            places.append(place)
    return places


def _has_response(record: Record) -> bool:
    return record.response is not None and bool(record.response.strip())


def _item(job: Job, position: int, record: Record, known: str | None, sample: int) -> PlannedItem:
    key = job.for_record(record.instruction).item_key(known or record.id, sample)
    return PlannedItem(position, key, record, sample, known)

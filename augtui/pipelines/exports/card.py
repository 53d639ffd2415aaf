"""The card of a data set: what is in it, where it came from, what may be done with it, what it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from augtui import __version__
from augtui.pipelines.exports.rows import TrainingRow

SIGN: Final = "<!-- made by augtui export -->"
"""Stands in every card, so that a folder that augtui made can be told from any other."""
_SIZES: Final = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
)  # fmt: skip
_NAMES_LISTED: Final = 30


@dataclass(slots=True)
class Tally:
    """Counts of what the rows of an export are."""

    rows: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    """By the task that made a row, `imported` for the others."""
    sources: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By model name, its sha256, and template with its hash."""
    with_response: int = 0
    with_rejected: int = 0
    edited: int = 0
    characters: int = 0

    def add(self, row: TrainingRow) -> None:
        """Count a row."""
        facts = row.provenance
        self.rows += 1
        self.languages[row.language or "unknown"] += 1
        self.tasks[row.task or "imported"] += 1
        self.with_response += row.response is not None
        self.with_rejected += row.rejected is not None
        self.edited += "edited" in facts or facts.get("kind") == "edited"
        self.characters += len(row.instruction) + len(row.response or "")
        if isinstance(source := facts.get("source"), str):
            self.sources[source] += 1
        if isinstance(model := facts.get("model"), str):
            template = str(facts.get("template") or "")
            mark = str(facts.get("template_hash") or "")[:8]
            named = f"{template}@{mark}" if mark and "@" not in template else template
            self.models[model, str(facts.get("model_sha256") or ""), named] += 1


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says that the rows do not know."""

    title: str = "Training data"
    licence: str | None = None
    """The licence that the user gives the whole."""
    licences: Mapping[str, str] = field(default_factory=dict)
    """The licences of sources, by their names."""
    notes: Sequence[str] = ()
    """Further sentences: what was done to the data (checked, deduplicated, decontaminated against …)."""


def write(facts: CardFacts, tally: Tally, splits: Mapping[str, int], left_out: Mapping[str, int], seed: int) -> str:
    """Return the card: a YAML header as the Hub reads it (https://huggingface.co/docs/hub/datasets-cards), and text."""
    import yaml

    header = yaml.safe_dump(_header(facts, tally, splits), sort_keys=False, allow_unicode=True)
    parts = [f"---\n{header}---\n", SIGN, f"\n# {_plain(facts.title)}\n"]
    parts += _contents(tally, splits, left_out, seed)
    parts += _provenance(facts, tally)
    parts += _licences(facts, tally)
    parts += _limitations(tally)
    return "\n".join(parts) + "\n"


def _header(facts: CardFacts, tally: Tally, splits: Mapping[str, int]) -> dict[str, Any]:
    codes = [code for code, _ in tally.languages.most_common() if code not in ("other", "none", "unknown")]
    tags = ["augtui", "instruction-tuning"] + (["synthetic"] if _is_synthetic(tally) else [])
    tags += ["preference", "dpo"] if tally.with_rejected else []
    header: dict[str, Any] = {
        "pretty_name": _plain(facts.title),
        "license": _licence_ids(facts, tally),
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in _SIZES if tally.rows < most), "n>10M")],
        "tags": tags,
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*.parquet"} for name in splits],
            }
        ],
    }
    return {"language": codes, **header} if codes else header


def _licence_ids(facts: CardFacts, tally: Tally) -> str | list[str]:
    if facts.licence:
        return facts.licence
    known = {facts.licences.get(source) for source in tally.sources} or {None}
    if None in known:
        return "unknown"
    names = sorted(str(name) for name in known)
    return names[0] if len(names) == 1 else names


def _contents(tally: Tally, splits: Mapping[str, int], left_out: Mapping[str, int], seed: int) -> list[str]:
    mean = tally.characters / tally.rows if tally.rows else 0
    lines = [
        f"{tally.rows:,} rows, {tally.with_response:,} with a response"
        + (f", {tally.with_rejected:,} with a rejected one" if tally.with_rejected else "")
        + f"; {mean:,.0f} characters a row on average.\n",
        "## Contents\n",
        _table("split", "rows", splits),
    ]
    if len(splits) > 1:
        lines.append(
            f"\nNo row of one split was made from a row of the other, and no instruction is in both (seed {seed}).\n"
        )
    lines += ["\n" + _table("language", "rows", dict(tally.languages.most_common()))]
    lines += ["\n" + _table("made by", "rows", dict(tally.tasks.most_common()))]
    if left_out:
        lines.append("\n" + _table("left out because of", "rows", left_out))
    lines.append(
        "\nColumns: `id`, `instruction`, `response`, `system` (the system prompt), `history` (earlier pairs of turns),"
        " `rejected` (a worse response), `language`, `task` (what made the row), `family` (rows of one family are made"
        " from one another), `provenance` (JSON: source, run, model, template).\n"
    )
    return lines


def _provenance(facts: CardFacts, tally: Tally) -> list[str]:
    lines = ["## Provenance\n", f"Written by augtui {__version__}.\n"]
    if tally.sources:
        lines += [_table("source", "rows", dict(tally.sources.most_common(_NAMES_LISTED)))]
        if len(tally.sources) > _NAMES_LISTED:
            lines.append(f"\nand {len(tally.sources) - _NAMES_LISTED} more sources.")
    else:
        lines.append("The rows do not say from which files they came.")
    if tally.models:
        lines += ["", "| model | sha256 | prompt template | rows |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(name)} | `{sha[:16]}` | {_cell(template)} | {count:,} |"
            for (name, sha, template), count in tally.models.most_common(_NAMES_LISTED)
        ]
    if tally.edited:
        lines.append(f"\n{tally.edited:,} rows were edited by people.")
    lines += [f"\n{_plain(note)}" for note in facts.notes]
    return [*lines, ""]


def _licences(facts: CardFacts, tally: Tally) -> list[str]:
    lines = ["## Licences\n"]
    if facts.licence:
        lines.append(f"The whole is offered under: {_plain(facts.licence)}.\n")
    for source in list(tally.sources)[:_NAMES_LISTED]:
        lines.append(f"- {_cell(source)}: {_plain(facts.licences.get(source) or 'not stated')}")
    if tally.models:
        lines.append("- The licences and terms of the models above may bind what they wrote, too.")
    if not facts.licence and any(source not in facts.licences for source in tally.sources or {"": 0}):
        lines.append("\nNot every source states a licence: find out before you publish this or train with it.")
    return [*lines, ""]


def _limitations(tally: Tally) -> list[str]:
    lines = ["## Limitations\n"]
    if _is_synthetic(tally):
        made = tally.rows - tally.tasks["imported"]
        lines.append(
            f"- {made:,} rows ({made / tally.rows:.0%}) were written by language models. They may be wrong, biased, or"
            " unsafe in ways that no automatic check finds."
        )
    if tally.tasks["imported"]:
        lines.append("- Imported rows are as their sources had them; their facts were not checked.")
    lines.append("- Languages were told by a program; short texts and texts in several languages are told less well.")
    if not tally.edited:
        lines.append("- No row is known to have been reviewed by a person.")
    return lines


def _is_synthetic(tally: Tally) -> bool:
    return any(task != "imported" for task in tally.tasks)


def _table(left: str, right: str, counts: Mapping[str, int]) -> str:
    rows = [f"| {_cell(name)} | {count:,} |" for name, count in counts.items()]
    return "\n".join([f"| {left} | {right} |", "|---|---|", *rows])


def _cell(text: str) -> str:
    """Return a name for a Markdown table: on one line, and neither a cell's end nor markup."""
    plain = _plain(text)
    return "".join(f"\\{char}" if char in "\\|`*_<>[]" else char for char in plain)


def _plain(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:300]

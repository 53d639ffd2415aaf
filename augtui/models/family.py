"""The catalogue: the paper's models, the plain Qwen models beside them, and what each is good for.

Sources: the paper's Table 3 for the augmenters; the checkpoints' `generation_config.json` for sampling and their
`config.json` for shapes. Sizes of GGUF files are computed from the number of parameters until a hub has told them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from augtui.domain.tasks import Style

ENDS = ("<|im_end|>", "<|endoftext|>")
"""Both end an answer, whatever a checkpoint's generation_config says: Refine-7B's names the second alone."""
BITS_PER_WEIGHT = {
    "Q2_K": 3.2, "Q3_K_M": 4.0, "IQ4_XS": 4.5, "Q4_0": 4.7, "Q4_K_S": 4.7, "Q4_K_M": 5.0, "Q5_K_M": 5.8,
    "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16.0, "BF16": 16.0,
}  # fmt: skip
"""Of whole files, embeddings among them, in models of the Qwen2 family."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be had under a short name, and how it is best asked."""

    name: str
    repo: str
    """Of the checkpoint in safetensors."""
    gguf: tuple[str, ...]
    """Repositories that are known to have it as GGUF, the best first; empty: it is to be quantized here."""
    tasks: tuple[str, ...]
    """What it was trained for (`refine`, `expand`, `pairs`); empty: a general model, for any task, as judge or base."""
    parameters: float
    """In 10^9."""
    layers: int
    key_value_heads: int
    head_size: int
    context: int
    """Longest sequence in tokens."""
    licence: str = "apache-2.0"
    paper_table: int | None = None
    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 20
    note: str = ""

    @property
    def style(self) -> Style:
        """Return how it is asked: with the prompts that it was trained on, or with those for any model."""
        return "specialised" if self.tasks else "general"

    @property
    def cell_bytes(self) -> int:
        """Return the bytes that one token's keys and values take in f16."""
        return 2 * 2 * self.layers * self.key_value_heads * self.head_size

    def file_bytes(self, quantization: str) -> int:
        """Return about how large its GGUF file is; raises KeyError for a type whose size is not known."""
        return int(self.parameters * 1e9 * BITS_PER_WEIGHT[quantization] / 8)


def _augmenter(name: str, repo: str, task: str, size: str, gguf: tuple[str, ...] = (), note: str = "") -> Entry:
    parameters, kv_heads = {"1.5b": (1.54, 2), "7b": (7.62, 4)}[size]
    # Table 3's models have Qwen2's shapes. Their cards set no sampling: a little warmth for refinement.
    return Entry(
        name, f"alibaba-pai/{repo}", gguf, (task,), parameters, 28, kv_heads, 128, 32_768,
        paper_table=3, top_p=0.9, top_k=40, note=note,
    )  # fmt: skip


def _plain(
    generation: str,
    size: str,
    billions: float,
    shape: tuple[int, int, int],
    context: int,
    licence: str = "apache-2.0",
) -> Entry:
    instruct = "" if generation == "Qwen3" else "-Instruct"
    repo = f"Qwen/{generation}-{size.upper()}{instruct}"
    note = "hybrid: asked without its thinking" if generation == "Qwen3" else ""
    return Entry(
        f"{generation.lower()}-{size}", repo, (f"{repo}-GGUF",), (), billions, *shape, context, licence, note=note
    )


QUANTIZE = "no GGUF of it is published: pull the checkpoint and quantize it here"
CARD = "its card asks without Table 9's system prompt: --style card"

FAMILY: tuple[Entry, ...] = (
    _augmenter(
        "qwen2-1.5b-refine", "Qwen2-1.5B-Instruct-Refine", "refine", "1.5b",
        ("mradermacher/Qwen2-1.5B-Instruct-Refine-GGUF",), CARD,
    ),
    _augmenter("qwen2-7b-refine", "Qwen2-7B-Instruct-Refine", "refine", "7b", (), f"{QUANTIZE}; {CARD}"),
    _augmenter(
        "qwen2-1.5b-exp", "Qwen2-1.5B-Instruct-Exp", "expand", "1.5b",
        ("mradermacher/Qwen2-1.5B-Instruct-Exp-GGUF",),
    ),
    _augmenter("qwen2-7b-exp", "Qwen2-7B-Instruct-Exp", "expand", "7b", (), QUANTIZE),
    _augmenter(
        "qwen2-7b-response-exp", "Qwen2-7B-Instruct-Response-Exp", "pairs", "7b", (),
        f"{QUANTIZE}; its card writes Table 11's headings without colons: --style card",
    ),
    _plain("Qwen2", "0.5b", 0.49, (24, 2, 64), 32_768),
    _plain("Qwen2", "1.5b", 1.54, (28, 2, 128), 32_768),
    _plain("Qwen2", "7b", 7.62, (28, 4, 128), 32_768),
    _plain("Qwen2.5", "0.5b", 0.49, (24, 2, 64), 32_768),
    _plain("Qwen2.5", "1.5b", 1.54, (28, 2, 128), 32_768),
    _plain("Qwen2.5", "3b", 3.09, (36, 2, 128), 32_768, "qwen-research"),
    _plain("Qwen2.5", "7b", 7.62, (28, 4, 128), 32_768),
    _plain("Qwen2.5", "14b", 14.77, (48, 8, 128), 32_768),
    _plain("Qwen3", "0.6b", 0.75, (28, 8, 128), 40_960),
    _plain("Qwen3", "1.7b", 2.03, (28, 8, 128), 40_960),
    _plain("Qwen3", "4b", 4.02, (36, 8, 128), 40_960),
    _plain("Qwen3", "8b", 8.19, (36, 8, 128), 40_960),
    _plain("Qwen3", "14b", 14.77, (40, 8, 128), 40_960),
)  # fmt: skip


@cache
def _by_name() -> dict[str, Entry]:
    return {entry.name: entry for entry in FAMILY}


@cache
def _by_repo() -> dict[str, Entry]:
    return {repo.lower(): entry for entry in FAMILY for repo in (entry.repo, *entry.gguf)}


def find(name: str) -> Entry | None:
    """Return the entry of a short name (in any case), or None."""
    return _by_name().get(name.lower())


def of_repo(repo: str) -> Entry | None:
    """Return the entry that a repository belongs to, its checkpoint's or one with its GGUF files, or None."""
    return _by_repo().get(repo.lower())

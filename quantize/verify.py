"""Is a GGUF file the same model as its checkpoint? Tokens, chat template and logits, against Hugging Face's libraries.

transformers and torch are needed for this alone, and are imported here alone.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import is_normalized

import gguf
import numpy as np

from quantize.chat import ChatTemplate
from quantize.checkpoint import open_checkpoint
from quantize.compare import divergence, log_softmax
from quantize.errors import ConversionError, MissingLibrary
from quantize.native import Model

# Exactly stored weights give the checkpoint's predictions up to the rounding of activations; limits are in nats.
MEAN_KL_LIMIT, MAX_KL_LIMIT = 1e-4, 1e-2
EXACT_TYPES = {"ALL_F32", "MOSTLY_F16", "MOSTLY_BF16"}
_TEST_MARK = "\n__ggml_vocab_test__\n"
_CONTEXT_TOKENS = 512
_SHOWN = 5

PROMPTS = (
    "Write a clear, structured guide explaining how to bake bread at home.",
    "Summarise in three sentences why the sky is blue, for a reader of ten years.",
    "def add(first, second):\n    return first + second\n\nAdd type hints and a docstring to this function.",
    "A train leaves at 9:40 and arrives at 13:05. How long does it take?",
    "请把下面的指令改写得更清楚、更具体：写一篇关于春天的短文。",
    "用简单的语言解释什么是机器学习，并举两个生活中的例子。",
)
CONVERSATIONS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Hello!"),),
    (("system", "You are a poet."), ("user", "Two lines on rain, please.")),
    (("user", "1 + 1?"), ("assistant", "2"), ("user", "And\n\nagain?  ")),
    (("system", "请用中文回答。"), ("user", "<b>你好</b> {{ name }} {% raw %}")),
)


@dataclass
class Report:
    """What was compared and what differs; the first few differences in words."""

    texts: int = 0
    different_tokens: int = 0
    not_normalized: int = 0
    """Differing texts that are not in Unicode's form NFC, to which Hugging Face's tokenizer brings them first and
    llama.cpp does not."""
    vectors: int = 0
    different_vectors: int = 0
    conversations: int = 0
    different_conversations: int = 0
    positions: int = 0
    mean_kl: float | None = None
    max_kl: float | None = None
    same_top: float | None = None
    file_type: str = ""
    differences: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether tokens and chats are the same, and logits within the limits where weights are stored exactly."""
        same = self.different_tokens == self.not_normalized and not self.different_vectors
        return same and not self.different_conversations and self.logits_agree

    @property
    def logits_agree(self) -> bool:
        """Whether the logits are near enough; always so for quantized files, whose distance `compare` measures."""
        if self.mean_kl is None or self.max_kl is None or self.file_type not in EXACT_TYPES:
            return True
        return self.mean_kl <= MEAN_KL_LIMIT and self.max_kl <= MAX_KL_LIMIT

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self) | {"passed": self.passed}

    def differs(self, what: str) -> None:
        """Note a difference."""
        if len(self.differences) < _SHOWN:
            self.differences.append(what)


def verify(
    folder: Path,
    path: Path,
    *,
    vectors: Path | None = None,
    texts: Sequence[Path] = (),
    prompts: Sequence[str] = PROMPTS,
    logits: bool = True,
) -> Report:
    """Compare the GGUF file at `path` with the checkpoint in `folder`.

    `vectors` is one of llama.cpp's vocabulary test files (.inp, with its .out beside it); `texts` are tokenized line by
    line. Raises `ConversionError` if either model cannot be loaded, `MissingLibrary` without transformers.
    """
    open_checkpoint(folder)  # no pickles, no code of its own
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingLibrary(f"verify needs transformers: pip install 'augtui[train]' ({error})") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ConversionError(f"transformers cannot load the tokenizer of {folder}: {error}") from error
    report = Report()
    with Model(path, _CONTEXT_TOKENS, exact=True) as model:
        report.file_type = gguf.LlamaFileType(int(model.metadata("general.file_type") or 0)).name
        _compare_tokens(report, tokenizer, model, [*prompts, *_lines(texts)])
        if vectors:
            _compare_vectors(report, tokenizer, model, vectors)
        template = _compare_chats(report, tokenizer, model)
        if logits:
            chats = [template.render([{"role": "user", "content": prompt}]) for prompt in prompts]
            _compare_logits(report, folder, model, [model.tokenize(chat)[:_CONTEXT_TOKENS] for chat in chats])
    return report


def _lines(paths: Sequence[Path]) -> list[str]:
    try:
        return [line for path in paths for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{error}: texts are files in UTF-8") from error


def _expected(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _compare_tokens(report: Report, tokenizer: Any, model: Model, texts: Sequence[str]) -> None:
    for text in texts:
        report.texts += 1
        expected, found = _expected(tokenizer, text), model.tokenize(text)
        if expected != found:
            report.different_tokens += 1
            if not is_normalized("NFC", text):
                report.not_normalized += 1
            else:
                report.differs(f"tokens of {text[:80]!r}: {expected[:12]} there, {found[:12]} here")


def _compare_vectors(report: Report, tokenizer: Any, model: Model, path: Path) -> None:
    """llama.cpp's own test of a vocabulary: texts between marks, and the tokens of each on a line."""
    try:
        inputs = path.read_bytes().decode().split(_TEST_MARK)[:-1]
        outputs = path.with_suffix(".out").read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path} and its .out cannot be read as test vectors: {error}") from error
    if len(inputs) != len(outputs) or not inputs:
        raise ConversionError(f"{path} has {len(inputs)} texts, but its .out has {len(outputs)} lines")
    for text, line in zip(inputs, outputs, strict=True):
        report.vectors += 1
        wanted, found = [int(number) for number in line.split()], model.tokenize(text, special=False)
        # Hugging Face's tokenizer always reads <|im_start|> and its like as the tokens they name.
        if found != wanted or (_expected(tokenizer, text) != wanted and is_normalized("NFC", text)):
            report.different_vectors += 1
            report.differs(f"tokens of the test text {text[:80]!r}: {wanted[:12]} wanted, {found[:12]} here")


def _compare_chats(report: Report, tokenizer: Any, model: Model) -> ChatTemplate:
    template = ChatTemplate(model.metadata("tokenizer.chat_template"), *model.special_tokens)
    if not tokenizer.chat_template:
        return template
    for conversation in CONVERSATIONS:
        report.conversations += 1
        messages = [{"role": role, "content": content} for role, content in conversation]
        expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        found = template.render(messages)
        if expected != found:
            report.different_conversations += 1
            report.differs(f"chat {conversation[0][1]!r}: {expected[:80]!r} there, {found[:80]!r} here")
    return template


def _compare_logits(report: Report, folder: Path, model: Model, chats: Sequence[list[int]]) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise MissingLibrary(f"comparing logits needs torch: pip install 'augtui[train]' ({error})") from error
    reference = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, use_safetensors=True
    ).eval()
    distances, same = [], []
    for chat in chats:
        with torch.inference_mode():
            expected = log_softmax(reference(torch.tensor([chat])).logits[0].numpy())
        found = log_softmax(model.logits(chat))
        distances.append(divergence(expected, found))
        same.append(expected.argmax(axis=1) == found.argmax(axis=1))
    all_distances = np.concatenate(distances)
    report.positions = all_distances.size
    report.mean_kl, report.max_kl = float(all_distances.mean()), float(all_distances.max())
    report.same_top = float(np.concatenate(same).mean())

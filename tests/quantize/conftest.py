"""Small Qwen2 checkpoints (random weights, a byte-level BPE of a few lines), and a look at them through llama.cpp."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TRAINING_TEXT = [
    "The quick brown fox jumps over the lazy dog, and it's 12,345 times faster than the others' dogs.",
    "def add(first, second):\n    return first + second\n\n\nprint(add(1, 2))\n",
    "请把下面的指令改写得更清楚、更具体。你好，世界！",
    "Write a clear, structured guide explaining how to bake bread at home.",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

MakeCheckpoint = Callable[..., Path]
Probe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def bpe_tokenizer() -> Callable[..., Any]:
    """Wraps a BPE model as Qwen2's tokenizer: its pre-tokenizer, its special tokens, and one that is not special.

    `pre` is the name of another pre-tokenizer that llama.cpp knows; `begin` a token that begins every text.
    """
    transformers = pytest.importorskip("transformers")
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, processors

    from quantize.vocabulary import PRE_TOKENIZERS

    patterns = {name: pattern for pattern, name in PRE_TOKENIZERS.items()}

    def wrap(
        model: Any,
        train: Callable[[Any], None] = lambda tokenizer: None,
        *,
        pre: str = "qwen2",
        begin: str | None = None,
    ) -> Any:
        tokenizer = Tokenizer(model)
        split = pre_tokenizers.Split(Regex(patterns[pre]), "isolated")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        train(tokenizer)
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
        tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
        if begin:
            tokenizer.post_processor = processors.TemplateProcessing(
                single=f"{begin} $A",
                pair=f"{begin} $A {begin}:1 $B:1",
                special_tokens=[(begin, tokenizer.token_to_id(begin))],
            )
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token=begin,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
            chat_template=CHAT_TEMPLATE,
            clean_up_tokenization_spaces=False,
        )

    return wrap


@pytest.fixture(scope="session")
def small_tokenizer(bpe_tokenizer: Callable[..., Any]) -> Any:
    """A tokenizer of some 480 tokens trained on `TRAINING_TEXT`."""
    from tokenizers import models, pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    return bpe_tokenizer(models.BPE(), lambda tokenizer: tokenizer.train_from_iterator(TRAINING_TEXT * 20, trainer))


def random_model(
    vocabulary_size: int,
    *,
    architecture: str = "Qwen2",
    tied: bool = True,
    hidden: int = 64,
    layers: int = 3,
    **more: Any,
) -> Any:
    """A model with random weights large enough that a wrong tensor shows in the logits; biases and norms vary too."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(7)
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=vocabulary_size,
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rms_norm_eps=1e-6,
        tie_word_embeddings=tied,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **({"rope_theta": 1e6} | more),
    )
    model = getattr(transformers, f"{architecture}ForCausalLM")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: Any) -> MakeCheckpoint:
    """Makes a checkpoint folder; options are those of `random_model`, `type` of the weights and `max_shard_size`."""
    torch = pytest.importorskip("torch")

    def make(
        *,
        type: str = "float32",
        max_shard_size: str = "5GB",
        tokenizer: Any = small_tokenizer,
        size: int = 512,
        **options: Any,
    ) -> Path:
        folder = tmp_path_factory.mktemp("checkpoint") / "small"
        # The model has more tokens than the tokenizer, as Qwen2 has.
        model = random_model(size, **options).to(getattr(torch, type))
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tied_checkpoint(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint()


@pytest.fixture(scope="session")
def probe() -> Probe:
    """Loads a GGUF file with llama.cpp in its own process: tokens of `texts`, logits after each token of `prompt`."""
    pytest.importorskip("llama_cpp")

    def run(
        path: Path,
        texts: list[str] = [],  # noqa: B006
        prompt: list[int] = [],  # noqa: B006
        adapter: Path | None = None,
    ) -> dict[str, Any]:
        script = Path(__file__).with_name("probe.py")
        done = subprocess.run(
            [sys.executable, script, path, *([adapter] if adapter else [])],
            input=json.dumps({"texts": texts, "prompt": prompt}),
            capture_output=True,
            text=True,
            env=os.environ | {"GGML_NO_BACKTRACE": "1", "OMP_NUM_THREADS": "1"},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


@pytest.fixture(scope="session")
def llama3_tokenizer(bpe_tokenizer: Callable[..., Any]) -> Any:
    """A tokenizer of Llama 3's kind: numbers in groups of three digits, words that are tokens not merged, a bos."""
    from tokenizers import models, pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)

    def train(tokenizer: Any) -> None:
        tokenizer.train_from_iterator([*TRAINING_TEXT, "123 456 12345 7890"] * 20, trainer)

    return bpe_tokenizer(models.BPE(ignore_merges=True), train, pre="llama-bpe", begin="<|endoftext|>")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What converts and compares goes offline for its process: here, for the time of a test."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

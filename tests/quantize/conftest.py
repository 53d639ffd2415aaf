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
def bpe_tokenizer() -> Callable[[Any], Any]:
    """Wraps a BPE model as Qwen2's tokenizer: its pre-tokenizer, its special tokens, and one that is not special."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, processors

    from quantize.vocabulary import PRE_TOKENIZERS

    pattern = next(pattern for pattern, name in PRE_TOKENIZERS.items() if name == "qwen2")

    def wrap(model: Any, train: Callable[[Any], None] = lambda tokenizer: None) -> Any:
        tokenizer = Tokenizer(model)
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        train(tokenizer)
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
        tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
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


def random_model(vocabulary_size: int, *, tied: bool = True, hidden: int = 64, layers: int = 3) -> Any:
    """A Qwen2 with random weights large enough that a wrong tensor shows in the logits; biases and norms vary too."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(7)
    config = transformers.Qwen2Config(
        vocab_size=vocabulary_size,
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rope_theta=1e6,
        rms_norm_eps=1e-6,
        tie_word_embeddings=tied,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = transformers.Qwen2ForCausalLM(config)
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

    def run(path: Path, texts: list[str] = [], prompt: list[int] = []) -> dict[str, Any]:  # noqa: B006
        script = Path(__file__).with_name("probe.py")
        done = subprocess.run(
            [sys.executable, script, path],
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

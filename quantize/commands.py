"""The commands of `python -m quantize`: their options, progress and results."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from augtui.domain.tasks import TASKS
from augtui.domain.visible import visible
from quantize import adapter as adapters
from quantize import mlx
from quantize.calibrate import CHUNK_TOKENS, MOST_CHUNKS, calibrate
from quantize.convert import DIRECT, convert
from quantize.errors import ConversionError
from quantize.gguf_file import Progress
from quantize.importance import Importance, read_importance
from quantize.quantize import file_type, file_types, quantize_gguf
from quantize.whole_file import scratch_path

NO_TASK = "none"


def run(arguments: list[str]) -> int:
    """Run the command that the first argument names, or the conversion; returns the exit code."""
    name = arguments[0] if arguments else ""
    parser = argparse.ArgumentParser(
        prog=f"{program()} {name}".strip() if name in COMMANDS else program(), allow_abbrev=False
    )
    if name in COMMANDS:
        add, do = COMMANDS[name]
        arguments = arguments[1:]
    else:
        add, do = _add_convert, _convert
    add(parser)
    options = parser.parse_args(arguments)
    return do(options)


def program() -> str:
    """What the user typed to come here."""
    import os

    return os.environ.get("AUGTUI_QUANTIZE_PROGRAM", "python -m quantize")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.description = "Convert a Hugging Face checkpoint (safetensors), or a full-precision GGUF file, to GGUF."
    parser.epilog = (
        f"Types: {', '.join(file_types())}. For MLX: {', '.join([*mlx.FLOATS, *mlx.BITS])}. "
        f"Other commands: {', '.join(COMMANDS)}, each with --help."
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder, or an F32, F16 or BF16 GGUF file")
    _add_output(parser, "OUT.gguf", "the file to write (with --format mlx: the folder)")
    parser.add_argument("-t", "--type", help="how weights are stored (default: Q8_0; with --format mlx: Q4)")
    parser.add_argument("--format", choices=("gguf", "mlx"), default="gguf", help="default: %(default)s")
    parser.add_argument("--name", help="the model's name in the file")
    parser.add_argument("--merge", type=Path, metavar="ADAPTER", help="add a PEFT LoRA adapter to the weights first")
    parser.add_argument("--requantize", action="store_true", help="allow a GGUF file that is quantized already")
    weighing = parser.add_mutually_exclusive_group()
    weighing.add_argument("--imatrix", type=Path, metavar="FILE", help="importance matrix, as imatrix makes it")
    weighing.add_argument("--calibrate", type=Path, metavar="FILE", help="compute the importance matrix from this text")
    _add_calibration(parser)
    _add_quiet(parser)


def _add_output(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar=metavar, help=help)


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def _add_calibration(parser: argparse.ArgumentParser) -> None:
    tasks = [*TASKS, NO_TASK]
    help = "how prompts of a .jsonl file are put to the model: the paper's template, or as they are (default: refine)"
    parser.add_argument("--task", choices=tasks, default="refine", help=help)
    help = f"most chunks of {CHUNK_TOKENS} tokens to compute (default: {MOST_CHUNKS})"
    parser.add_argument("--chunks", type=_positive, default=MOST_CHUNKS, help=help)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _convert(options: argparse.Namespace) -> int:
    progress = None if options.quiet else progress_shown()
    output: Path = options.output
    _require_folder(output)
    if options.format == "mlx":
        if options.merge or options.imatrix or options.calibrate or options.checkpoint.is_file():
            raise ConversionError("--format mlx takes a checkpoint folder, and neither --merge nor importance matrices")
        mlx.convert_mlx(options.checkpoint, output, options.type or "Q4")
        _say(options, f"{output} (MLX)")
        return 0
    kind = (options.type or "Q8_0").upper()
    file_type(kind)
    importance = _importance(options, kind, progress)
    if options.checkpoint.is_file():
        if options.merge or options.name:
            raise ConversionError("--merge and --name are for checkpoints: this is a GGUF file")
        if callable(importance):
            importance = importance(options.checkpoint)
        fallbacks = quantize_gguf(
            options.checkpoint, output, kind, progress=progress, importance=importance, requantize=options.requantize
        )
    else:
        fallbacks = convert(
            options.checkpoint, output, kind, options.name, progress, merge=options.merge, importance=importance
        )
    if fallbacks:
        print(
            f"note: {fallbacks} tensors are stored in another type: their rows do not fill {kind} blocks",
            file=sys.stderr,
        )
    _say(options, f"{output} ({output.stat().st_size / 1e6:.1f} MB)")
    return 0


def _importance(
    options: argparse.Namespace, kind: str, progress: Progress | None
) -> Importance | Callable[[Path], Importance] | None:
    """The importance matrix that the options ask for: from a file, or to be computed with the exact weights."""
    if (options.imatrix or options.calibrate) and kind in DIRECT:
        raise ConversionError(
            f"an importance matrix changes nothing for {kind}: leave it out, or choose a smaller type"
        )
    if options.imatrix:
        return read_importance(options.imatrix)
    if not options.calibrate:
        return None
    texts, task = _texts(options)

    def compute(model: Path) -> Importance:
        with scratch_path(options.output.with_name(f"{options.output.name}.imatrix")) as matrix:
            calibrate(model, texts, matrix, task=task, chunks=options.chunks, progress=progress)
            found = read_importance(matrix)
        return Importance(found.columns, f"computed from {texts.name}", found.dataset, found.chunks)

    return compute


def _texts(options: argparse.Namespace) -> tuple[Path, str | None]:
    texts: Path = options.calibrate
    if not texts.is_file():
        raise ConversionError(f"{texts}: no such file")
    return texts, None if options.task == NO_TASK else options.task


def _add_adapter(parser: argparse.ArgumentParser) -> None:
    parser.description = "Convert a PEFT LoRA adapter (safetensors) to a GGUF adapter."
    parser.add_argument("adapter", type=Path, help="adapter folder: adapter_config.json, adapter_model.safetensors")
    parser.add_argument("--base", type=Path, required=True, metavar="CHECKPOINT", help="the checkpoint it belongs to")
    _add_output(parser, "OUT.gguf", "the file to write")
    parser.add_argument("-t", "--type", default="F32", help=f"{', '.join(adapters.TYPES)} (default: %(default)s)")
    parser.add_argument("--name", help="the adapter's name in the file")
    _add_quiet(parser)


def _adapter(options: argparse.Namespace) -> int:
    _require_folder(options.output)
    count = adapters.convert_adapter(options.adapter, options.base, options.output, options.type, options.name)
    _say(options, f"{options.output} ({options.output.stat().st_size / 1e6:.1f} MB, {count} weights adapted)")
    return 0


def _add_imatrix(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compute an importance matrix: how much each column of each weight matters for a text."
    parser.add_argument("model", type=Path, help="a GGUF model, best in full precision")
    parser.add_argument("calibrate", type=Path, metavar="TEXT", help="prompts (.jsonl), or a plain text")
    _add_output(parser, "OUT.gguf", "the file to write, which --imatrix and llama-quantize take")
    _add_calibration(parser)
    _add_quiet(parser)


def _imatrix(options: argparse.Namespace) -> int:
    _require_folder(options.output)
    texts, task = _texts(options)
    progress = None if options.quiet else progress_shown()
    count = calibrate(options.model, texts, options.output, task=task, chunks=options.chunks, progress=progress)
    _say(options, f"{options.output} ({count} chunks)")
    return 0


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.description = "Perplexity of GGUF models over a text, and their distance (KL) from the first one."
    parser.add_argument("models", type=Path, nargs="+", help="GGUF files; the first is what the others are measured by")
    parser.add_argument("--file", "-f", type=Path, required=True, metavar="TEXT", help="a plain text in UTF-8")
    parser.add_argument("--chunks", type=_positive, help="most chunks to compute (default: the whole text)")
    parser.add_argument("--context", type=_positive, default=CHUNK_TOKENS, help="tokens a chunk (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a model")
    _add_quiet(parser)


def _compare(options: argparse.Namespace) -> int:
    from quantize.compare import compare

    progress = None if options.quiet else progress_shown()
    found = compare(
        options.models, options.file, chunks=options.chunks, chunk_tokens=options.context, progress=progress
    )
    if options.json:
        for each in found:
            print(json.dumps(each.as_json()))
        return 0
    print(
        f"{'model':<32} {'MB':>8} {'bits':>5} {'perplexity':>20} {'mean KL':>18} {'99%':>8} {'max':>8} {'same top':>8}"
    )
    for each in found:
        own = f"{each.perplexity:.4f} ± {each.perplexity_error:.4f}"
        distance = ""
        if each.mean_kl is not None:
            kl = f"{each.mean_kl:.6f} ± {each.mean_kl_error:.6f}"
            distance = f"{kl:>18} {each.p99_kl:>8.4f} {each.max_kl:>8.4f} {each.same_top:>8.2%}"
        name = visible(Path(each.path).name)
        print(f"{name:<32} {each.bytes / 1e6:>8.1f} {each.bits_per_weight:>5.2f} {own:>20} {distance}".rstrip())
    return 0


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compare a GGUF file with its checkpoint: tokens, chat template and logits. Exit 1: they differ."
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder")
    parser.add_argument("gguf", type=Path, help="the GGUF file made of it")
    parser.add_argument("--vectors", type=Path, metavar="X.inp", help="llama.cpp's test vectors; X.out lies beside it")
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="texts to tokenize line by line")
    parser.add_argument("--prompts", type=Path, help="prompts (.jsonl) for the logits (default: six of our own)")
    parser.add_argument("--no-logits", action="store_true", help="tokens and template only: needs no torch")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    _add_quiet(parser)


def _verify(options: argparse.Namespace) -> int:
    from quantize.calibrate import read_prompts
    from quantize.verify import PROMPTS, verify

    report = verify(
        options.checkpoint,
        options.gguf,
        vectors=options.vectors,
        texts=options.text,
        prompts=list(read_prompts(options.prompts)) if options.prompts else PROMPTS,
        logits=not options.no_logits,
    )
    if options.json:
        print(json.dumps(report.as_json()))
        return 0 if report.passed else 1
    figures = asdict(report)
    print(f"tokens: {report.different_tokens} of {report.texts} texts differ ({report.not_normalized} are not NFC)")
    if report.vectors:
        print(f"test vectors: {report.different_vectors} of {report.vectors} differ")
    print(f"chat template: {report.different_conversations} of {report.conversations} conversations differ")
    if report.mean_kl is not None:
        print("logits: KL mean {mean_kl:.3g}, max {max_kl:.3g} nats over {positions} tokens, same top {same_top:.2%}"
              .format(**figures))  # fmt: skip
    for difference in report.differences:
        print(f"  {visible(difference)}")
    print("the same model" if report.passed else "NOT the same model")
    return 0 if report.passed else 1


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    "adapter": (_add_adapter, _adapter),
    "imatrix": (_add_imatrix, _imatrix),
    "compare": (_add_compare, _compare),
    "verify": (_add_verify, _verify),
}


def _require_folder(output: Path) -> None:
    if not output.parent.is_dir():
        raise ConversionError(f"{output.parent}: no such folder")


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        print(visible(text), file=sys.stderr)


def progress_shown() -> Progress:
    """Progress on standard error: one changing line on a terminal, a line every tenth elsewhere."""
    terminal, shown, whole = sys.stderr.isatty(), -1, -1

    def show(name: str, done: int, total: int) -> None:
        nonlocal shown, whole
        if total != whole:  # another stage
            shown, whole = -1, total
        percent = 100 * done // max(total, 1)
        if percent == shown or not (terminal or percent // 10 != shown // 10):
            return
        shown = percent
        line = f"{percent:3d}% {visible(name)}"
        print(
            f"\r{line:<60}" if terminal else line,
            end="" if terminal and percent < 100 else "\n",
            file=sys.stderr,
            flush=True,
        )

    return show

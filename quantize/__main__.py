"""Command line: python -m quantize CHECKPOINT -o OUT.gguf --type Q4_K_M."""

import argparse
import os
import signal
import sys
from pathlib import Path

from quantize.convert import convert
from quantize.errors import ConversionError
from quantize.gguf_file import Progress
from quantize.quantize import file_types, quantize_gguf

INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quantize",
        description="Convert a Hugging Face checkpoint (safetensors), or a full-precision GGUF file, to a GGUF file.",
        epilog=f"Types: {', '.join(file_types())}.",
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder, or an F32, F16 or BF16 GGUF file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.gguf", help="the file to write")
    parser.add_argument("-t", "--type", default="Q8_0", help="how weights are stored (default: %(default)s)")
    parser.add_argument("--name", help="the model's name in the file")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return parser


def _progress() -> Progress:
    """Progress on standard error: one changing line on a terminal, a line every tenth elsewhere."""
    terminal, shown = sys.stderr.isatty(), -1

    def show(name: str, done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // max(total, 1)
        if percent == shown or not (terminal or percent // 10 != shown // 10):
            return
        shown = percent
        line = f"{percent:3d}% {name}"
        print(
            f"\r{line:<60}" if terminal else line,
            end="" if terminal and percent < 100 else "\n",
            file=sys.stderr,
            flush=True,
        )

    return show


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 bad input, 1 the disk failed, 130 interrupted."""
    options = _parser().parse_args(arguments)
    progress = None if options.quiet else _progress()
    try:
        if not options.output.parent.is_dir():
            raise ConversionError(f"{options.output.parent}: no such folder")
        if options.checkpoint.is_file():
            fallbacks = quantize_gguf(options.checkpoint, options.output, options.type, progress=progress)
        else:
            fallbacks = convert(options.checkpoint, options.output, options.type, options.name, progress)
    except ConversionError as error:
        return _fail(str(error), 2)
    except (OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    if fallbacks:
        print(
            f"note: {fallbacks} tensors are stored in another type: their rows do not fill {options.type} blocks",
            file=sys.stderr,
        )
    if not options.quiet:
        print(f"{options.output} ({options.output.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    # A request to end is an interruption, so that the unfinished file is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = main()
    sys.stderr.flush()
    if code == INTERRUPTED:
        # llama.cpp may still be at work in its thread, which cannot be stopped or waited for.
        os._exit(code)
    sys.exit(code)

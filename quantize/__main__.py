"""Command line: python -m quantize CHECKPOINT -o OUT.gguf --type Q4_K_M, and adapter, imatrix, compare, verify."""

import os
import signal
import sys

INTERRUPTED = 130
MISSING = 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 done, 1 the disk failed or a check found differences, 2 bad input, 3 a library is missing, 130 interrupted.
    """
    try:
        from quantize.commands import run
    except ImportError as error:
        return fail(f"{error}: pip install 'augtui[quantize]'", MISSING)
    from quantize.errors import ConversionError, MissingLibrary

    try:
        return run(sys.argv[1:] if arguments is None else arguments)
    except MissingLibrary as error:
        return fail(str(error), MISSING)
    except ConversionError as error:
        return fail(str(error), 2)
    except (OSError, MemoryError) as error:
        return fail(str(error) or type(error).__name__, 1)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)


def fail(message: str, code: int) -> int:
    """Say on one line what went wrong, nothing in it that a terminal would obey, and return the exit code."""
    from augtui.domain.visible import visible

    print(f"error: {visible(' '.join(message.split()))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    # A request to end is an interruption, so that the unfinished file is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if code == INTERRUPTED:
        # llama.cpp may still be at work in its thread, which cannot be stopped or waited for.
        os._exit(code)
    sys.exit(code)

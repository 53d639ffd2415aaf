"""Checkpoint -> a folder for MLX, through mlx-lm's converter (https://github.com/ml-explore/mlx-lm)."""

import os
import secrets
import shutil
from contextlib import redirect_stdout, suppress
from pathlib import Path

from quantize.checkpoint import open_checkpoint
from quantize.errors import ConversionError, MissingLibrary

# How weights are stored: a floating type, or so many bits in groups of 64 that share a scale and an offset.
FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
BITS = {"Q2": 2, "Q3": 3, "Q4": 4, "Q5": 5, "Q6": 6, "Q8": 8}
GROUP = 64


def convert_mlx(folder: Path, destination: Path, type_name: str = "Q4") -> None:
    """Convert the checkpoint in `folder` to an MLX folder, whole or not at all; an existing one is not replaced.

    Raises `ConversionError` for a checkpoint or type that cannot be converted, `MissingLibrary` without mlx-lm.
    """
    kind = type_name.upper()
    if kind not in FLOATS | BITS:
        raise ConversionError(f"unknown type {type_name!r} for MLX: choose one of {', '.join([*FLOATS, *BITS])}")
    if destination.exists():
        raise ConversionError(f"{destination} exists: name a new folder")
    open_checkpoint(folder)  # no pickles, no code of its own, nothing damaged
    # mlx-lm and transformers would ask the hub about files that a local folder lacks.
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from mlx_lm.convert import convert
    except ImportError as error:
        raise MissingLibrary(f"MLX folders are made by mlx-lm: pip install 'augtui[mlx]' ({error})") from error
    partial = destination.parent / f".{destination.name}.{secrets.token_hex(4)}.part"
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            convert(
                str(folder.absolute()),
                str(partial),
                quantize=kind in BITS,
                q_bits=BITS.get(kind),
                q_group_size=GROUP if kind in BITS else None,
                dtype=FLOATS.get(kind),
            )
        for file in partial.glob("*.py"):  # mlx-lm copies them along
            file.unlink()
        partial.rename(destination)
    except (ConversionError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ConversionError(f"mlx-lm cannot convert {folder}: {type(error).__name__}: {error}") from error
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(partial)

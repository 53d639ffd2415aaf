"""How errors leave augtui: in one or two lines that say what to do, never as a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from augtui.errors import AugtuiError, ExitCode


def guarded(work: Callable[[], object]) -> None:
    """Do what was asked for; an error that a user can mend is one or two lines, never a traceback."""
    try:
        work()
    except AugtuiError as error:
        if os.environ.get("AUGTUI_DEBUG"):
            raise
        from augtui.domain.visible import visible

        print(f"augtui: {visible(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"        {visible(error.hint)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("AUGTUI_DEBUG"):
            raise
        from augtui.domain.visible import visible

        print(f"augtui: unexpected {type(error).__name__}: {visible(str(error))}", file=sys.stderr)
        print("        That is a fault of augtui; AUGTUI_DEBUG=1 shows where. Nothing saved is lost.", file=sys.stderr)
        sys.exit(ExitCode.FAILED)

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.tui.session import session


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.slow
def test_from_the_first_run_over_a_death_to_an_exported_file(tmp_path: Path) -> None:
    target = session(tmp_path)
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert rows

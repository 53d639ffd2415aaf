"""A project for each test of the pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from augtui.store.projects import Project, open_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(tmp_path / "p.db") as project:
        yield project

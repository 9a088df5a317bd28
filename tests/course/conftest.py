"""A small course in place of the real one, and what a folder holds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def notebook() -> Callable[..., str]:
    """``notebook(text, needs=["slurm"])``: a notebook of one cell, as its file holds it."""

    def made(text: str, **metadata: object) -> str:
        cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
        return json.dumps({"cells": cells, "metadata": {"hpclab": metadata}, "nbformat": 4})

    return made


@pytest.fixture
def small_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notebook: Callable[..., str]) -> Path:
    """A course of two notebooks and one job script."""
    top = tmp_path / "course"
    (top / "notebooks").mkdir(parents=True)
    (top / "slurm" / "jobs").mkdir(parents=True)
    (top / "notebooks" / "00_look.ipynb").write_text(notebook("# Look\nAround."))
    (top / "notebooks" / "01_run.ipynb").write_text(notebook("# Run it", needs=["slurm"]))
    (top / "slurm" / "jobs" / "hello.sh").write_text("#!/bin/bash\nhostname\n")
    monkeypatch.setattr("hpclab.course.finder.root", lambda: top)
    monkeypatch.setattr("hpclab.course.layout.root", lambda: top)
    return top


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, object]]:
    """Everything below a folder: a file's content and mode, None for a folder."""

    def seen(top: Path) -> dict[str, object]:
        return {
            path.relative_to(top).as_posix(): (path.read_bytes(), path.stat().st_mode)
            if path.is_file()
            else None
            for path in sorted(top.rglob("*"))
        }

    return seen


@pytest.fixture(scope="session")
def packed() -> Callable[..., Path]:
    """``packed(path, ("name", "content"), ...)``: a zip of these entries."""

    def made(path: Path, *entries: tuple[str | zipfile.ZipInfo, str]) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, content in entries:
                bundle.writestr(name, content)
        return path

    return made

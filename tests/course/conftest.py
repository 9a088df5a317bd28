"""A small course in place of the real one, and what a folder holds."""

import json
import zipfile

import pytest


@pytest.fixture
def notebook():
    """``notebook(text, needs=["slurm"])``: a notebook of one cell, as its file holds it."""

    def made(text, **metadata):
        cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
        return json.dumps({"cells": cells, "metadata": {"hpclab": metadata}, "nbformat": 4})

    return made


@pytest.fixture
def small_course(tmp_path, monkeypatch, notebook):
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
def tree():
    """Everything below a folder: a file's content and mode, None for a folder."""

    def seen(top):
        return {
            path.relative_to(top).as_posix(): (path.read_bytes(), path.stat().st_mode)
            if path.is_file()
            else None
            for path in sorted(top.rglob("*"))
        }

    return seen


@pytest.fixture(scope="session")
def packed():
    """``packed(path, ("name", "content"), ...)``: a zip of these entries."""

    def made(path, *entries):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, content in entries:
                bundle.writestr(name, content)
        return path

    return made

"""A small course in place of the real one."""

import json

import pytest


def notebook(text, **metadata):
    """A notebook of one cell, as its file holds it."""
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
    return json.dumps({"cells": cells, "metadata": {"hpclab": metadata}, "nbformat": 4})


@pytest.fixture
def small_course(tmp_path, monkeypatch):
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

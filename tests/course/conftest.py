"""A small course in place of the real one."""

import json

import pytest


def notebook(text, *code, **metadata):
    """A notebook of a text and cells of code, as its file holds it: nbformat takes seconds to import."""
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
    for number, source in enumerate(code):
        cell = {"cell_type": "code", "id": f"c{number}", "metadata": {}, "source": source}
        cells.append(cell | {"outputs": [], "execution_count": None})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "hpclab": metadata}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5})


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

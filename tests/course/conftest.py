"""A small course in place of the real one."""

import json

import pytest


def notebook(text, *code, **metadata):
    """A notebook of a text and cells of code, as its file holds it: nbformat takes seconds to import."""
    cells: list[dict] = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells += [empty | {"id": f"c{number}", "source": source} for number, source in enumerate(code)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "hpclab": metadata}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5})


def only_course(top, home="", **lessons):
    """In `top` a course of lessons of these cells, which take 30 minutes; where others see `top` as `home`, a
    Python with that on its PYTHONPATH knows no other course."""
    (top / "notebooks").mkdir()
    for name, cells in lessons.items():
        (top / "notebooks" / f"{name}.ipynb").write_text(notebook("# A lesson\nAbout 30 minutes.", *cells))
    (top / "sitecustomize.py").write_text(
        f"import pathlib, hpclab.course.layout as l\nl.root = lambda: pathlib.Path({str(home or top)!r})\n"
    )


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """A course of two notebooks and one job script."""
    top = tmp_path / "course"
    (top / "notebooks").mkdir(parents=True)
    (top / "slurm" / "jobs").mkdir(parents=True)
    (top / "notebooks" / "00_look.ipynb").write_text(notebook("# Look\nAround."))
    (top / "notebooks" / "01_run.ipynb").write_text(notebook("# Run it", needs=["slurm"]))
    (top / "slurm" / "jobs" / "hello.sh").write_text("#!/bin/bash\nhostname\n")
    monkeypatch.setattr("hpclab.course.layout.root", lambda: top)
    return top

"""What every notebook of the course keeps to: its bytes, its size, its opening, its exercises' answers."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
_SPEC = importlib.util.spec_from_file_location("canonical", Path(__file__).with_name("canonical.py"))
canonical = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(canonical)

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def statements(source):
    """Lines of code: neither blank nor only a comment."""
    return [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_there_are_lessons_and_their_names_say_what_is_done():
    assert {path.stem[:2] for path in NOTEBOOKS} >= {"00", "01", "02", "04", "05"}
    assert all(re.fullmatch(r"\d\d_[a-z]+(_[a-z]+)+", path.stem) for path in NOTEBOOKS)


@every
def test_bytes_are_canonical(path):
    text = path.read_text(encoding="utf-8")
    assert text == canonical.canonical(json.loads(text)), "make format mends it"


@every
def test_it_is_small_enough_to_be_read(path):
    code = cells(path, "code")
    assert len(code) <= 25
    assert max(len(source.splitlines()) for source in code) <= 25
    assert sum(len(statements(source)) for source in code) <= 115  # about a hundred


@every
def test_only_compared_cells_keep_their_output(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and "nbval-check-output" not in cell["metadata"].get("tags", []):
            assert not cell["outputs"]


@every
def test_the_opening_says_what_is_ahead_and_the_first_cell_imports(path):
    opening = cells(path, "markdown")[0]
    assert opening.startswith("# ")
    for heading in ("What you'll do", "What you'll learn", "What you need"):
        assert heading in opening
    assert re.search(r"\d+ minutes", opening)
    assert re.match(r"(import|from) ", cells(path, "code")[0])


@every
def test_every_exercise_has_its_answers(path):
    asked = set(re.findall(r"\blesson_\d\d\.([A-Z][A-Z0-9_]*)\.check\(", "\n".join(cells(path, "code"))))
    assert asked
    answers = (ROOT / "tests" / "exercises" / "answers" / f"lesson_{path.stem[:2]}.py").read_text()
    for name in asked:
        assert answers.count(f'"{name}": ') >= 2  # in RIGHT and in WRONG


def test_canonical_bytes_lose_outputs_counts_and_tool_metadata():
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "id": "a",
                "metadata": {"collapsed": True, "trusted": True},
                "execution_count": 7,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": ["7"]}],
                "source": "print(7)   \n\n",
            }
        ],
        "metadata": {"kernelspec": {"name": "mine"}, "hpclab": {"needs": []}, "widgets": {"big": 1}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    kept = json.loads(canonical.canonical(notebook))
    assert kept["cells"][0] == {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
        "source": ["print(7)"],
    }
    assert kept["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in kept["metadata"]
    assert kept["metadata"]["hpclab"] == {"needs": []}
    notebook["cells"][0]["metadata"]["tags"] = ["nbval-check-output"]
    assert json.loads(canonical.canonical(notebook))["cells"][0]["outputs"]

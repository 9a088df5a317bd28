"""What every lesson keeps to before it is run: bytes, size, opening, links, exercises."""

import ast
import builtins
import importlib
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from hpclab import course
from hpclab.course import layout
from hpclab.exercises import Exercise
from tests.lessons import canonical

ROOT = Path(__file__).resolve().parents[2]
every = pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.name)


def cells(lesson, kind):
    notebook = json.loads(lesson.path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def names(source):
    """The names that a cell binds, and those that it needs of others, without the lines for IPython."""
    plain = re.sub(r"^(\s*)(\w+ = )?[!%].*$", r"\1\2None", source, flags=re.MULTILINE)
    tree = list(ast.walk(ast.parse(plain)))
    bound = {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in tree if isinstance(node, ast.FunctionDef)}
    bound |= {node.arg for node in tree if isinstance(node, ast.arg)}
    bound |= {(node.asname or node.name).split(".")[0] for node in tree if isinstance(node, ast.alias)}
    used = {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return bound, used - bound - set(dir(builtins))


@every
def test_bytes_are_canonical(lesson):
    text = lesson.path.read_text(encoding="utf-8")
    assert re.fullmatch(r"\d\d_[a-z]+(_[a-z]+)+", lesson.name)
    assert set(lesson.needs) <= {"slurm", "gpu", "cores"}
    assert text == canonical.canonical(json.loads(text)), "make format mends it"


@every
def test_it_is_small_enough_to_be_read(lesson):
    code = [source.splitlines() for source in cells(lesson, "code")]
    assert len(code) <= 25
    assert max(map(len, code)) <= 25
    statements = [line for source in code for line in source if not re.match(r"\s*([#@]|$)", line)]
    assert len(statements) <= 130  # about a hundred, before they were cut to what a narrow window shows
    assert max(len(line) for source in code for line in source) <= 80


@every
def test_the_opening_says_what_is_ahead_and_how_long_it_takes(lesson):
    opening = cells(lesson, "markdown")[0]
    assert opening.startswith("# ")
    for heading in ("What you'll do", "What you'll learn", "What you need"):
        assert heading in opening
    said = (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")
    # Alone, learners need about 30 minutes for lesson 00, 45 for 01, 75 each for 02 ...
    (sentence,) = re.findall(r"Alone, learners need [^.]+", said)
    parts = [re.findall(r"\d+", part) for part in re.split(r"\bfor\b", sentence)]
    minutes = {number: before[-1] for before, after in pairwise(parts) for number in after}
    assert re.findall(r"(\d+) minutes", opening) == [minutes[lesson.number]]


@every
def test_links_lead_to_what_is_laid_out_beside_it(lesson):
    text = re.sub(r"`[^`]*`", "", "\n".join(cells(lesson, "markdown")))
    links = [link.split("#") for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert {file for file, *_ in links} <= layout.originals().keys() | {""}
    words = re.findall(r"^## (.+)$", (ROOT / "notebooks" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    anchors = {word.replace(" ", "-") for word in words}
    assert {anchor for file, *anchor in links if file == "glossary.md" for anchor in anchor} <= anchors


@every
def test_it_has_a_scored_challenge_and_ends_with_a_script_to_take_home(lesson):
    source = "\n".join(cells(lesson, "code"))
    assert "### Challenge" in "\n".join(cells(lesson, "markdown"))
    assert f'show_script("{lesson.number}")' in source
    (script,) = (ROOT / "slurm" / "jobs" / "plain").glob(f"{lesson.number}_*")
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 80
    assert "hpclab" not in text


@every
def test_exercises_need_the_first_cell_and_no_other(lesson):
    imports, *rest = cells(lesson, "code")
    assert re.match(r"(import|from) ", imports)
    there, _ = names(imports)
    asking = [source for source in rest if ".check(" in source]
    for source in asking:
        assert names(source)[1] <= there, source
    module = importlib.import_module(f"hpclab.exercises.lesson_{lesson.number}")
    asked = set(re.findall(r"\blesson_\d\d\.([A-Z][A-Z0-9_]*)\.check\(", "\n".join(asking)))
    assert asked == {name for name, value in vars(module).items() if isinstance(value, Exercise)}


def test_canonical_bytes_lose_outputs_counts_and_tool_metadata():
    output = {"output_type": "stream", "name": "stdout", "text": ["7"]}
    cell = {"cell_type": "code", "id": "a", "outputs": [output], "source": "print(7)   \n\n"}
    cell |= {"metadata": {"collapsed": True, "trusted": True}, "execution_count": 7}
    metadata = {"kernelspec": {"name": "mine"}, "hpclab": {"needs": []}, "widgets": {"big": 1}}
    kept = json.loads(canonical.canonical({"cells": [cell], "metadata": metadata}))
    bare = {"execution_count": None, "metadata": {}, "outputs": [], "source": ["print(7)"]}
    assert kept["cells"] == [{"cell_type": "code", "id": "a"} | bare]
    assert kept["metadata"]["kernelspec"]["name"] == "python3"
    assert kept["metadata"].keys() == {"kernelspec", "language_info", "hpclab"}
    cell["metadata"]["tags"] = ["nbval-check-output"]
    assert json.loads(canonical.canonical({"cells": [cell], "metadata": {}}))["cells"][0]["outputs"]

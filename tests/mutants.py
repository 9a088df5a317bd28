"""Random slips put into the code one at a time, and whether a test goes red: `make mutants`.

    make mutants ARGS='--count 200 --seed 13'

A slip is another number, comparison, operator, condition or loop in a file of `PARTS`, made by cosmic-ray in
a copy of the tree. The files of tests that run its line, as coverage.py saw them, are tried, the nearest
first. A slip that none of them sees is printed as a diff. The same seed brings the same slips back.
"""

import argparse
import ast
import difflib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import coverage
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.number_replacer import NumberReplacer
from parso.python.tree import Number

TREE = Path(__file__).parents[1]
PARTS = [
    "models/*.py", "schedules/*.py", "kernels/tracer/*.py", "exercises/**/*.py", "corpus/*.py",
    "experiments/*.py", "figures/*.py", "cluster/request.py", "cluster/roster.py",
    "cluster/turns.py", "cluster/maps/tasks.py", "cluster/gang/diagnosis.py", "cluster/slurm/records.py",
]  # fmt: skip
INK = "WrongNumber|BinaryOperator|UnaryOperator"  # left alone in figures, where a pixel more is no slip
FAR = "NoOp|Exception|RemoveDecorator|AddNot|NumberReplacer|Bit|Shift|_Is|Operator_Is"  # no plausible slips
FLAGS = r"\b(strict|repr|frozen|slots)=$"  # what comes before a truth value that decides no result
ROOMS = {*(part.partition("/")[0] for part in PARTS), "course", "parallel", "validation", "widgets"}
SLOW = "not slurm and not browser and not soak"
QUICK = f"not slow and {SLOW}"
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
LONGEST = 300.0  # seconds of one run of tests: a slip may make a loop endless


class WrongNumber(NumberReplacer):
    """One more or one less of a count; of any other number half, or twice as much."""

    def mutate(self, node, index):
        value = ast.literal_eval(node.value)
        if value == 0 or (isinstance(value, int) and value < 20):
            value += (1, -1)[index]
        else:
            value = value * 2 if index == 0 else type(value)(value / 2)
        return Number(f" {value!r}", node.start_pos)


class Mutant(NamedTuple):
    """An operator of cosmic-ray at the `occurrence`th place where it applies."""

    file: str
    line: int
    operator: type
    occurrence: int


def operators(file: Path) -> list[type]:
    """What may be changed in `file`."""
    found = [plugins.get_operator(name) for name in plugins.operator_names() if not re.search(FAR, name)]
    found = [WrongNumber, *(operator for operator in found if not operator.arguments())]
    return [one for one in found if file.parent.name != "figures" or not re.search(INK, one.__name__)]


def places(file: Path) -> dict[tuple[int, int], list[Mutant]]:
    """What can be changed at each place of a file."""
    nodes, lines = list(ast_nodes(get_ast(file.read_text()))), file.read_text().splitlines()
    found: dict[tuple[int, int], list[Mutant]] = {}
    for operator in operators(file):
        spots = [start for node in nodes for start, _ in operator().mutation_positions(node)]
        for occurrence, spot in enumerate(spots):
            here = str(file.relative_to(TREE)), spot[0]
            if not re.search(FLAGS, lines[spot[0] - 1][: spot[1]]):
                found.setdefault(spot, []).append(Mutant(*here, operator, occurrence))
    return found


def chosen(count: int, seed: int, only: str) -> list[Mutant]:
    """So many slips, at places that are all as likely; `only` stands in their files' names."""
    files = sorted(file for part in PARTS for file in TREE.glob(f"hpclab/{part}") if only in str(file))
    spots = [mutants for file in files for _, mutants in sorted(places(file).items())]
    draw = random.Random(seed)
    return [draw.choice(mutants) for mutants in draw.sample(spots, min(count, len(spots)))]


def inside_functions(file: Path) -> set[int]:
    """The lines of `file` that run when something is called, and not when it is imported."""
    functions = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, FUNCTION))
    return {
        line for one in functions for part in one.body for line in range(part.lineno, part.end_lineno + 1)
    }


def suites(mutant: Mutant, seen: Mapping[tuple[str, int], set[str]]) -> list[list[str]]:
    """Words for pytest, the likeliest to see a slip first: the files of tests that run its line, as `seen`;
    where that is not known (what is imported, compiled or run in another process), those of its room."""
    room = Path("tests", *Path(mutant.file).parts[1:-1])
    while not (TREE / room).is_dir() or room == Path("tests"):
        room = room.parent if room != Path("tests") else Path("tests", "faults")
    named = [*map(str, (TREE / "tests").rglob(f"test_{Path(mutant.file).stem}.py"))]
    named = [str(Path(one).relative_to(TREE)) for one in named]
    called = mutant.line in inside_functions(TREE / mutant.file)
    if called and (files := seen.get((mutant.file, mutant.line))):
        near = sorted(files, key=lambda name: (name not in named, not name.startswith(str(room)), name))
        return [["-m", QUICK, *near], ["-m", f"slow and {SLOW}", *near]]
    return [*([["-m", QUICK, *named]] if named else []), ["-m", QUICK, str(room)], ["-m", QUICK, "tests"],
            ["-m", SLOW, str(room)]]  # fmt: skip


def pytest_runtest_logstart(nodeid: str) -> None:
    """As a plugin of pytest: what runs from now on is seen by this file of tests."""
    if measured := coverage.Coverage.current():
        measured.switch_context(nodeid.partition("::")[0])


def seen_by_tests(copies: list[Path]) -> dict[tuple[str, int], set[str]]:
    """By file and line of the package the files of tests in ROOMS that run it; some minutes."""
    files = [
        str(path.relative_to(TREE)) for room in ROOMS for path in (TREE / "tests" / room).rglob("test_*.py")
    ]

    def run(number: int) -> str:
        words = ["-m", SLOW, "-p", "tests.mutants", *sorted(files)[number :: len(copies)]]
        return red(copies[number], words, "coverage", "run", "--source=hpclab", "-m")

    with ThreadPoolExecutor(len(copies)) as threads:
        if failed := "".join(threads.map(run, range(len(copies)))):
            raise SystemExit(f"{failed}\nTests are red without a slip: mend them first.")
    found = defaultdict[tuple[str, int], set[str]](set)
    for copy in copies:
        data = coverage.CoverageData(str(copy / ".coverage"))
        data.read()
        for name in data.measured_files():
            for line, contexts in data.contexts_by_lineno(name).items():
                found[str(Path(name).relative_to(copy)), line].update(filter(None, contexts))
    return found


def red(copy: Path, words: list[str], *under: str) -> str:
    """The last lines of tests that fail, "" where none does; pytest is run `under` another program."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", *under, "pytest", "-x", "-q", "-p", "no:cacheprovider", *words]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            process.wait(1800 if under else LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        return said.read()[-2000:] if process.returncode not in (0, 5) else ""  # 5: no test has that mark


def survives(copy: Path, mutant: Mutant, seen: Mapping[tuple[str, int], set[str]]) -> str:
    """The change as a diff if no test sees it, else nothing."""
    original, file = TREE / mutant.file, copy / mutant.file
    before = original.read_text()
    after = mutate_code(before, mutant.operator(), mutant.occurrence)
    file.write_text(after)
    try:
        if not any(red(copy, words) for words in suites(mutant, seen)):
            return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    finally:
        shutil.copy2(original, file)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser("make mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many slips (200)")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", default="", help="of files with this in their path")
    parser.add_argument("--jobs", type=int, default=2, help="tried at the same time (2)")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, too
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=TREE, text=True).split("\0")
    mutants = chosen(options.count, options.seed, options.only)
    with tempfile.TemporaryDirectory(prefix="hpclab-mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            for name in filter(None, tracked):
                place = Path(folder, str(number), name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TREE / name, place)
            copies.put(Path(folder, str(number)))

        def tried(mutant: Mutant) -> str:
            copy = copies.get()
            try:
                return survives(copy, mutant, seen)
            finally:
                copies.put(copy)

        seen, left = seen_by_tests([Path(folder, str(number)) for number in range(options.jobs)]), 0
        with ThreadPoolExecutor(options.jobs) as threads:
            for done, (mutant, diff) in enumerate(zip(mutants, threads.map(tried, mutants), strict=True), 1):
                left += bool(diff)
                word = "SURVIVED" if diff else "killed"
                said = f"{done}/{len(mutants)} {word} {mutant.file}:{mutant.line} {mutant.operator.__name__}"
                print(said, *diff.splitlines()[3:], sep="\n    ", flush=True)
    killed = len(mutants) - left
    print(f"{killed} of {len(mutants)} killed ({killed / len(mutants):.0%}), seed {options.seed}")


if __name__ == "__main__":
    main()

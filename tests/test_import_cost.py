"""`import hpclab` is cheap: a classroom imports it in the same minute, from one file server."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numba", "dask", "distributed", "matplotlib", "ipywidgets", "pandas", "numpy")


def test_import_hpclab_loads_nothing_heavy():
    code = f"import sys, hpclab; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize(
    "room",
    ["cluster", "corpus", "course", "exercises", "experiments", "figures", "machine", "models", "widgets"],
)
def test_no_room_loads_anything_heavy_at_its_door(room: str):
    code = f"import sys, hpclab.{room}; print([n for n in {HEAVY[:6]} if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def seconds_to_import(name: str) -> float:
    """As a fresh interpreter's own clock sees it, so that starting the interpreter is not in it."""
    code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code], text=True))


def test_import_hpclab_costs_less_than_one_and_a_half_times_import_numpy():
    """A ratio within one run, turn about, minima of each: another program's load falls on both."""
    ours, theirs = [], []
    for _ in range(7):
        ours.append(seconds_to_import("hpclab"))
        theirs.append(seconds_to_import("numpy"))
    assert min(ours) < 1.5 * min(theirs), f"hpclab {min(ours):.3f} s, numpy {min(theirs):.3f} s"

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

"""`import hpclab` is cheap: a classroom imports it in the same minute, from one file server."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numba", "dask", "distributed", "matplotlib", "ipywidgets", "pandas", "numpy")


@pytest.mark.parametrize(
    "room",
    ["", ".cluster", ".corpus", ".course", ".exercises", ".experiments", ".figures", ".machine", ".models",
     ".widgets"],
)  # fmt: skip
def test_nothing_heavy_is_loaded_at_the_door(room):
    heavy = HEAVY[:6] if room else HEAVY
    code = f"import sys, hpclab{room}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

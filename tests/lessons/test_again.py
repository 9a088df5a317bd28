"""Every cell of every lesson can be interrupted, run twice, and in another order, in the course's own kernel.

All cells run from the first to the last, and one that takes a while is interrupted and then run again; then
all of them once more from the last to the first. `make test` does so with the shortest lessons."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpclab import course
from tests.cli.test_kernel import CourseKernel

QUICK = ("03",)
LONG = 0.7  # seconds after which a cell is interrupted
LESSONS = [
    pytest.param(lesson, id=lesson.name, marks=[] if lesson.number in QUICK else pytest.mark.soak)
    for lesson in course.lessons()
]
pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_interrupted_run_twice_and_from_the_last_to_the_first(lesson):
    cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
    code = {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}
    base = Path(tempfile.mkdtemp(prefix="hag-", dir="/tmp"))
    own = {"HPCLAB_STATE_DIR": str(base / "state"), "IPYTHONDIR": str(base / "ipython")}
    kernel = CourseKernel(base, course.lay_out(base / "course").path, **own)
    faults = []
    try:
        for name, source in code.items():
            said = kernel.run(source, interrupt=LONG)
            if said and ("KeyboardInterrupt: interrupted" not in said or f"{os.sep}hpclab{os.sep}" in said):
                faults.append(f"{name}, interrupted: {said}")
            if said and (said := kernel.run(source)):
                faults.append(f"{name}, after its interrupt: {said}")
        for name, source in reversed(code.items()):
            if said := kernel.run(source):
                faults.append(f"{name}, once more: {said}")
    finally:
        kernel.end()
        down = [sys.executable, "-m", "hpclab.cli", "slurm", "down"]
        subprocess.run(down, env=os.environ | own, stdout=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(base, ignore_errors=True)
    assert not faults, "\n\n".join(faults)

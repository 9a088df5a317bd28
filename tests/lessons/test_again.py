"""Every cell of every lesson can be interrupted, run twice, and in another order, in the course's own kernel.

All cells run from the first to the last, and one that takes a while is interrupted and then run again; then
all of them once more from the last to the first. `make test` does so with the shortest lessons.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from hpclab import course
from hpclab.cli.kernel import Kernels

QUICK = ("03",)
LONG = 0.7  # seconds after which a cell is interrupted
LESSONS = [
    pytest.param(lesson, id=lesson.name, marks=[] if lesson.number in QUICK else pytest.mark.soak)
    for lesson in course.lessons()
]
pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(900)]


class Kernel:
    """The course's kernel in `folder`, with a state of its own below `base`."""

    def __init__(self, base, folder):
        socket = str(base / "kernel.json")
        self.manager = KernelManager(
            kernel_name="python3", kernel_spec_manager=Kernels(), transport="ipc", connection_file=socket
        )
        places = {"HPCLAB_STATE_DIR": str(base / "state"), "IPYTHONDIR": str(base / "ipython")}
        self.manager.start_kernel(cwd=str(folder), env=os.environ | places)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code, interrupt=0.0):
        """The error that it shows, without colours; "" for none. Where `interrupt` is not 0, it is
        interrupted after so many seconds, if it takes that long."""
        shown, stop = [], threading.Timer(interrupt or 1e6, self.manager.interrupt_kernel)
        stop.daemon = True

        def hook(message):
            if message["msg_type"] == "error":
                shown.extend(message["content"]["traceback"])

        stop.start()
        try:
            self.client.execute_interactive(code, timeout=240, output_hook=hook, store_history=False)
        finally:
            stop.cancel()
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(shown))

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@pytest.mark.parametrize("lesson", LESSONS)
def test_interrupted_run_twice_and_from_the_last_to_the_first(lesson):
    cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
    code = {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}
    base = Path(tempfile.mkdtemp(prefix="hag-", dir="/tmp"))
    kernel = Kernel(base, course.lay_out(base / "course").folder)
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
        own = os.environ | {"HPCLAB_STATE_DIR": str(base / "state")}
        subprocess.run(down, env=own, stdout=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(base, ignore_errors=True)
    assert not faults, "\n\n".join(faults)

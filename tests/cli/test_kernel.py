"""What the course's kernel shows where something is refused, interrupted or wrong: a line of the cell, a
sentence, and none of our code."""

import os
import re
import threading

import pytest
from jupyter_client.manager import KernelManager

from hpclab.cli.kernel import Kernels

pytestmark = pytest.mark.slow
INTERRUPTED = "KeyboardInterrupt: interrupted: run the cell again"
HALF_IMPORTED = "KeyboardInterrupt: interrupted in an import"
WAITS = "import threading\nthreading.Timer(1.0, lambda: print('now')).start()\n"
SWALLOWS = "try:\n    threading.Event().wait()\nexcept KeyboardInterrupt:\n    {}['x']"
COMPILES = f"""
import time, numba
from numba.core import base
def load(self, refresh=base.BaseContext.refresh):
    base.BaseContext.refresh = refresh
    time.sleep(3)
    refresh(self)
base.BaseContext.refresh = load
{WAITS}numba.njit(lambda: 1)()
threading.Event().wait()
"""


class CourseKernel:
    """The course's kernel in `folder`; its socket is in `base`."""

    def __init__(self, base, folder, **environment):
        socket = str(base / "kernel.json")
        self.manager = KernelManager(
            kernel_name="python3", kernel_spec_manager=Kernels(), transport="ipc", connection_file=socket
        )
        self.manager.start_kernel(cwd=str(folder), env=os.environ | environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code, interrupt=1e6):
        """The text of the error that it shows, or ""; interrupted where it prints "now", or takes so long."""
        shown, stop = [], threading.Timer(interrupt, self.manager.interrupt_kernel)
        stop.daemon = True

        def hook(message):
            if message["msg_type"] == "error":
                shown.extend(message["content"]["traceback"])
            elif message["content"].get("text", "").strip() == "now":
                threading.Thread(target=self.manager.interrupt_kernel).start()

        stop.start()
        try:
            # An error of one cell must not have the kernel pass over the next, as Run All wants it.
            self.client.execute_interactive(
                code, timeout=240, output_hook=hook, store_history=False, stop_on_error=False
            )
        finally:
            stop.cancel()
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(shown))

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("k")
    (place / "slow.py").write_text("import time\ntime.sleep(4)\ndone = True")
    (place / "endless.py").write_text("import time\ntime.sleep(60)")
    kernel = CourseKernel(place, place)
    kernel.run("from hpclab.cluster import Pool\npool = Pool(1, backend='local')")
    yield kernel.run
    kernel.run("pool.close()")
    kernel.end()


CASES = {
    "refused": ("pool.scale(-1)", "----> 1 pool.scale(-1)", "ValueError: nodes must be a whole number from"),
    "a map": (WAITS + "import time; pool.map(time.sleep, [60])", "3 import time", INTERRUPTED),
    "waiting": (WAITS + "threading.Event().wait()", "3 threading.Event", INTERRUPTED),
    "import": (WAITS + "import slow\nthreading.Event().wait()", "4 threading", INTERRUPTED),
    "compiling": (COMPILES, "11 threading", INTERRUPTED),
    "endless": (WAITS + "import endless", "3 import endless", HALF_IMPORTED),
    "swallowed": (WAITS + SWALLOWS, "4     threading", INTERRUPTED),
    "a task": ("def bad(x):\n    return 1 / x\npool.map(bad, [0])", "----> 3 pool.map", "the task of item 0"),
    "a rank": ("def bad():\n    return 1 / 0\npool.run(bad)", "----> 3 pool.run", "RankError: Rank 0 raised"),
    "not yet run": ("missing + 1", "----> 1 missing", "'missing' is not defined. If it comes from a cell a"),
}
ENDLESS = {"endless": pytest.mark.soak}  # twenty seconds


@pytest.mark.parametrize(("code", "line", "sentence"), [
    pytest.param(*case, id=name, marks=ENDLESS.get(name, ())) for name, case in CASES.items()
])  # fmt: skip
def test_a_line_and_a_sentence_and_the_next_cell_works(run, code, line, sentence):
    said = run(code)
    assert line in said
    assert sentence in said
    assert not re.search("hpclab.cluster", said), said
    assert run("assert pool.map(abs, [-1]) == [1]") == ""
    assert "slow" not in code or run("import slow; assert slow.done") == ""


def test_what_is_wrong_in_other_code_is_shown_whole(run):
    assert run("def f():\n    return {}['a']\nf()").count("---->") == 2
    assert "json/decoder.py" in run("import json\njson.loads('{')")
    said = run("from hpclab import units\nunits.checks = None\nunits.parse_bytes([])")
    assert "units.py" in said, "a fault of the course's own is no refusal"
    assert "SyntaxError" in run("x = = 1")


def test_an_interrupt_after_a_cells_code_loses_no_reply(run):
    assert run(WAITS + "get_ipython().kernel._execute_sleep = 3") == ""
    assert run("get_ipython().kernel._execute_sleep = 0.0") == ""

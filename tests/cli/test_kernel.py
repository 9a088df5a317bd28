"""What the course's kernel shows where something is refused, interrupted or wrong: a line of the cell, a
sentence, and none of our code."""

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


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """``run(code)``: the text of the error that it shows, or ""; interrupted once it prints "now"."""
    socket = tmp_path_factory.mktemp("k") / "kernel.json"
    manager = KernelManager(
        kernel_name="python3", kernel_spec_manager=Kernels(), transport="ipc", connection_file=str(socket)
    )
    (socket.parent / "slow.py").write_text("import time\ntime.sleep(4)\ndone = True")
    (socket.parent / "endless.py").write_text("import time\ntime.sleep(60)")
    manager.start_kernel(cwd=str(socket.parent))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def run(code):
        shown = []

        def hook(message):
            if message["msg_type"] == "error":
                shown.extend(message["content"]["traceback"])
            elif "now" in message["content"].get("text", ""):
                threading.Thread(target=manager.interrupt_kernel).start()

        client.execute_interactive(code, timeout=90, output_hook=hook)
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(shown))

    run("from hpclab.cluster import Pool\npool = Pool(1, backend='local')")
    yield run
    run("pool.close()")
    client.stop_channels()
    manager.shutdown_kernel()


CASES = {
    "refused": (
        "pool.scale(-1)",
        "----> 1 pool.scale(-1)",
        "ValueError: nodes must be a whole number from 0",
    ),
    "a map": (WAITS + "import time; pool.map(time.sleep, [60])", "3 import time", INTERRUPTED),
    "waiting": (WAITS + "threading.Event().wait()", "3 threading.Event", INTERRUPTED),
    "import": (WAITS + "import slow\nthreading.Event().wait()", "4 threading", INTERRUPTED),
    "endless": (WAITS + "import endless", "3 import endless", HALF_IMPORTED),
    "swallowed": (WAITS + SWALLOWS, "4     threading", INTERRUPTED),
    "a task": ("def bad(x):\n    return 1 / x\npool.map(bad, [0])", "----> 3 pool.map", "the task of item 0"),
    "a rank": (
        "def bad():\n    return 1 / 0\npool.run(bad)",
        "----> 3 pool.run",
        "RankError: Rank 0 raised Zero",
    ),
    "not yet run": (
        "missing + 1",
        "----> 1 missing",
        "'missing' is not defined. If it comes from a cell above",
    ),
}


ENDLESS = {"endless": pytest.mark.soak}  # twenty seconds


@pytest.mark.parametrize(
    ("code", "line", "sentence"),
    [pytest.param(*case, id=name, marks=ENDLESS.get(name, ())) for name, case in CASES.items()],
)
def test_a_line_and_a_sentence_and_the_next_cell_works(run, code, line, sentence):
    said = run(code)
    assert line in said
    assert sentence in said
    assert "File " not in said.partition("RankError")[0], said
    assert run("assert pool.map(abs, [-1]) == [1]") == ""
    assert "slow" not in code or run("import slow; assert slow.done") == ""


def test_what_is_wrong_in_other_code_is_shown_whole(run):
    assert run("def f():\n    return {}['a']\nf()").count("---->") == 2
    assert "json/decoder.py" in run("import json\njson.loads('{')")
    said = run("from hpclab import units\nunits.checks = None\nunits.parse_bytes([])")
    assert "units.py" in said, "a fault of the course's own is no refusal"
    assert "SyntaxError" in run("x = = 1")

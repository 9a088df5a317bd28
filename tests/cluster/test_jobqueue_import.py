"""dask-jobqueue takes SIGINT for itself when imported; our import of it leaves signals alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import signal, threading
failed = []
threading.excepthook = failed.append
thread = threading.Thread(target=lambda: __import__("hpclab.cluster.backends.batch"))
thread.start() if {in_thread} else thread.run()
if {in_thread}:
    thread.join()
assert not failed, failed
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGINT)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
"""


@pytest.mark.parametrize("in_thread", [False, True])
def test_signals_stay_as_they_were(in_thread: bool) -> None:
    words = [sys.executable, "-c", PROGRAM.format(in_thread=in_thread)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

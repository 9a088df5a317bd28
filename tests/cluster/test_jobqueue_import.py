"""dask-jobqueue takes SIGINT for itself when imported; our import of it leaves signals alone."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import signal, threading
failed = []
threading.excepthook = failed.append
thread = threading.Thread(target=lambda: __import__("hpclab.cluster.backends.batch"))
thread.start()
thread.join()
assert not failed, failed
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGINT)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
"""


def test_signals_stay_as_they_were_also_in_a_thread_where_nobody_may_touch_them() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

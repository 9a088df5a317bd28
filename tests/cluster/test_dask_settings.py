"""What is set for other Dask clusters does not reach a pool of this machine; signals stay as they were."""

import os
import subprocess
import sys
from pathlib import Path

import dask
import pytest

import hpclab
from hpclab.cluster.backends import command

HARMFUL = {
    "distributed.scheduler.idle-timeout": "500ms",
    "distributed.scheduler.preload": ["no.such.module"],
    "distributed.scheduler.worker-ttl": "500ms",
    "distributed.worker.preload": ["no.such.module"],
    "distributed.worker.memory.pause": 0.01,
    "distributed.worker.lifetime.duration": "500ms",
    "distributed.comm.default-scheme": "ucx",
}


def test_a_sites_scheduler_keeps_what_is_set(tmp_path: Path):
    name = "distributed.scheduler.worker-ttl"
    with dask.config.set({name: "7s"}):
        with command.scheduler_settings(tmp_path):
            assert dask.config.get(name) != "7s"
        with command.scheduler_settings(tmp_path, site=True):
            assert dask.config.get(name) == "7s"


@pytest.mark.slow
def test_a_pool_works_whatever_is_set(tmp_path: Path):
    import yaml

    theirs: dict = {}
    for name, value in HARMFUL.items():
        dask.config.set({name: value}, config=theirs)
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(theirs | {"temporary-directory": "/nonexistent"}))
    program = """if True:
        import time
        from hpclab.cluster import Pool
        with Pool(nodes=2, backend="local") as pool:
            time.sleep(1.5)
            print(pool.map(lambda x: x * x, [1, 2, 3]))"""
    environment = {"DASK_CONFIG": str(tmp_path), "DASK_DISTRIBUTED__WORKER__PRELOAD": "no.such"}
    environment["PYTHONPATH"] = str(Path(hpclab.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=os.environ | environment, capture_output=True, text=True,
        timeout=250,
    )  # fmt: skip
    assert done.stdout == "[1, 4, 9]\n", done.stderr


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

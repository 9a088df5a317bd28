"""Fault 22: somebody sets the clock while a pool works; no duration notices."""

import json
import os
import subprocess
import sys

import pytest

JUMPING = """
import os, time
real = time.time

def jumped():
    with open(os.environ["HPCLAB_TEST_JUMP"]) as file:
        return real() + float(file.read())

time.time, time.time_ns = jumped, lambda: int(jumped() * 1e9)
"""
PROGRAM = """
import json, os, sys, threading, time
from hpclab.cluster import Pool

def jump(seconds):
    place = os.environ["HPCLAB_TEST_JUMP"]
    with open(place + ".new", "w") as file:
        file.write(str(seconds))
    os.replace(place + ".new", place)

def task(number):
    begin = time.time()
    time.sleep(0.3)
    return time.time() - begin

def set_to_and_fro():
    while not over.wait(0.005):
        jump(7200)
        jump(-7200)

over = threading.Event()
with Pool(1, backend=sys.argv[1]) as pool:
    for after, seconds in ((0.5, 7200), (1.2, -7200)):
        threading.Timer(after, jump, [seconds]).start()
    seen = pool.map(task, range(6))
    walls = [task.wall for task in pool.tasks]
    setting = threading.Thread(target=set_to_and_fro)
    setting.start()
    quick = pool.map(abs, range(200))  # each of its messages may meet a jump
    over.set()
    setting.join()
    jump(7200)
    pool.scale(2)
    jump(-7200)
    ages = [worker.joined - worker.started for worker in pool.workers()]
    pool.map(abs, range(4))
    pool.run(abs, -1)
    spans = [event.duration for event in pool.trace.events]
print(json.dumps([max(map(abs, seen)), quick, walls, ages, spans]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["local", pytest.param("slurm", marks=[pytest.mark.slurm, pytest.mark.soak])], indirect=True
)
def test_a_clock_that_jumps_changes_no_duration(backend, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    (tmp_path / "jump").write_text("0")
    own = {"PYTHONPATH": str(tmp_path), "HPCLAB_TEST_JUMP": str(tmp_path / "jump")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend], env=os.environ | own, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    jumped, quick, walls, ages, spans = json.loads(done.stdout)
    assert jumped > 3600  # the clock did jump under the tasks
    assert quick == list(range(200))
    assert len(ages) == 2
    assert min(walls) > 0.25
    assert min(ages) > 0
    assert min(spans) >= 0
    assert max(walls + ages + spans) < 3000

"""A learner's function may do anything; the notebook lives on and nothing is earned (fault 19)."""

import os
import subprocess
import sys

import numpy
import psutil
import pytest

from hpclab.exercises import Exercise, Verdict, limits
from hpclab.exercises.limits import Stopped


def in_a_cell(source: str, name: str = "answer"):
    """The function `name` as a notebook cell would define it: a module that no other process can import."""
    namespace: dict = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace[name]


def call(function, *arguments, **limit):
    return limits.call_each(function, [arguments], **limit)[0]


def test_values_come_back():
    answer = in_a_cell("import numpy\nSCALE = 3\ndef answer(n): return {'n': SCALE * n, 'a': numpy.ones(2)}")
    value = call(answer, 2)
    assert value["n"] == 6
    assert value["a"].tolist() == [1, 1]
    assert limits.call_each(in_a_cell("def answer(a, b): return a + b"), [(1, 2), (3, 4)]) == [3, 7]
    assert call(numpy.float64, 2) == 2.0
    assert call(in_a_cell("class K:\n  x = 7\ndef answer(): return K().x")) == 7


@pytest.mark.slow
@pytest.mark.parametrize(("source", "said"), [
    ("def answer():\n while True: pass", "did not finish within 1 s"),
    ("def answer():\n import time; time.sleep(99)", "did not finish within 1 s"),
    ("def answer():\n import os\n while True: os.fork()", "cannot start processes"),
    ("def answer():\n import subprocess; subprocess.run(['sleep', '99'])", "cannot start processes"),
    ("def answer():\n while True: print('x' * 999)", "printed over"),
    ("def answer():\n return 1 / 0", "ZeroDivisionError in line 2: division by zero"),
    ("def answer():\n import sys; sys.exit(0)", "called exit"),
    ("def answer():\n import os; os._exit(0)", "ended its process"),
    ("def answer():\n x = []\n while True: x.append(bytearray(2**24))", "memory"),
    ("def answer(): return answer()", "calls itself without end"),
    ("def answer(): return 'x' * 2**25", "returned more than"),
    ("def answer(): return lambda: 1", "not plain data"),
    ("class Yes:\n def __eq__(self, other): return True\ndef answer(): return Yes()", "plain data"),
    ("def answer():\n open('big', 'wb').write(b'x' * 2**26)", "OSError"),
    ("def answer():\n from hpclab.exercises import lesson_01", "cannot use hpclab.exercises"),
    ("import os\nclass F:\n def __reduce__(self): return os.mkdir, ('forged',)\ndef answer(): return F()",
     "plain data"),
    ("from hpclab.exercises import lesson_05 as l\ndef answer(): return l.TIMES", "called by itself"),
    ("def answer():\n raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("import threading\nx = threading.Lock()\ndef answer(): return x", "cannot leave the notebook"),
])  # fmt: skip
def test_faults_end_in_one_sentence_and_leave_nothing(source, said, tmp_path, monkeypatch):
    monkeypatch.setattr(limits.tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if "did not finish" in said:  # of the seconds in which it computes or waits, not of the clock
        monkeypatch.setattr(limits, "_PATIENCE", 100)
    before = set(psutil.Process().children())
    with pytest.raises(Stopped, match=said):  # a busy machine may take a second to find 1 GiB
        call(in_a_cell(source), seconds=30 if said == "memory" else 1)
    assert set(psutil.Process().children()) <= before, "a child process was left behind"
    assert list(tmp_path.iterdir()) == [], "a file was, or what came back was more than data"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs to share a core on purpose")
def test_a_busy_core_takes_nothing_of_an_answers_time():
    core = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", busy], start_new_session=True) for _ in range(4)]
    source = f"""
def answer():
    import os, time
    os.sched_setaffinity(0, [{core}])
    begin, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.5:
        pass
    return time.monotonic() - begin
"""
    try:
        assert call(in_a_cell(source), seconds=1) > 1
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_what_an_answer_patches_stays_in_its_process():
    source = "def answer():\n import builtins\n builtins.abs = lambda x: 0\n return 1.0"
    exercise = Exercise("99", "n", lambda f: Verdict(abs(float(call(f)) - 2.0) < 0.1, "two"))
    assert not exercise.check(in_a_cell(source)).passed
    assert abs(-3) == 3

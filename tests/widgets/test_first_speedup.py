"""The first picture without a browser: what runs is a stand-in for processes."""

from types import SimpleNamespace

import pytest

from hpclab import quality
from hpclab.exercises import asked
from hpclab.experiments.measure_speedup import ProcessSweep
from hpclab.models.scaling import Amdahl
from hpclab.widgets import first_speedup
from tests.models.makespans import makespans, of_law

pytestmark = pytest.mark.slow


class Pool(SimpleNamespace):
    """Has as many nodes as the last point wants, and no process."""

    def workers(self):
        return [SimpleNamespace(pid=4711 + rank) for rank in range(self.nodes)]

    def close(self):
        self.closed = True


class Sweep(ProcessSweep):
    def measure(self, where, *, progress=None, found=bool):
        (where.nodes,) = self.processes
        progress(f"{where.nodes} processes", 1, 2)
        found(makespans(of_law(Amdahl(0.2), self.processes), "measured", "processes", work="print"))


@pytest.fixture
def first(monkeypatch):
    monkeypatch.setattr(first_speedup, "Pool", Pool)
    return first_speedup.FirstSpeedup(Sweep(print, [1]), asked.four_processes())


def test_the_mark_follows_the_slider_and_the_button_commits_to_it(first):
    first.guess.value = 2.5
    assert "you: 2.5× at 4" in first.moving.value
    assert first.commit.description == "I say 2.5×: run it"
    first.commit.click()
    assert first._runner.wait(60)
    assert first.prediction.value == 2.5
    assert "you said 2.5, it is 2.5 × (measured)" in first.note.value
    assert "4 processes are 2.5× as fast as one" in first.shown.get_title("left")
    assert "4711, 4712, 4713, 4714 have ended" in first._processes.value
    assert first._runner.pool.closed


def test_without_a_prediction_it_runs_all_the_same_and_a_busy_machine_gets_no_verdict(first, monkeypatch):
    first.skip.click()
    assert first._runner.wait(60)
    assert "No prediction. Speedup with 4 processes: 2.5 × (measured)." in first.note.value
    assert "you:" not in first.moving.value
    monkeypatch.setattr(quality, "doubt", lambda *_: "busy: tasks got 40 % of a core; run again")
    first.commit.click()
    assert first._runner.wait(60)
    assert "In doubt: busy" in first.note.value
    assert "Busy: tasks got 40 %" in first.shown.get_title("left")


def test_processes_that_cannot_start_are_a_sentence(first, monkeypatch):
    monkeypatch.setattr(first_speedup, "Pool", lambda **_: 1 / 0)
    first.commit.click()
    assert "ZeroDivisionError" in first.note.value
    assert not first.commit.disabled

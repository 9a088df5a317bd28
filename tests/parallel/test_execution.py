"""Schedules executed on real ranks: right answers, and the bytes that the formulas say."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from hpclab import schedules
from hpclab.parallel.execution import Execution, TorchTransport, plan

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}")


class OneRank:
    """A transport that keeps what it is given and delivers `arriving`, in order."""

    def __init__(self, rank, size, arriving=()):
        self.rank, self.size, self.sent = rank, size, 0
        self.arriving, self.log = list(arriving), []

    def exchange(self, sends, receives):
        self.log += [(peer, part.copy()) for peer, part in sends.items()]
        for part in receives.values():
            part[:] = self.arriving.pop(0)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [7, pytest.param(17, marks=pytest.mark.soak)])
def test_every_algorithm_on_up_to_so_many_gloo_ranks(ranks):
    program = [sys.executable, str(HERE / "gloo_ranks.py"), str(ranks)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(MPIEXEC is None, reason="needs the mpich wheel")
def test_every_algorithm_on_1_to_5_mpi_ranks():
    words = [MPIEXEC, "-n", "5", sys.executable, "-m", "mpi4py", HERE / "mpi_ranks.py"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pieces_for_one_rank_travel_as_one_message():
    schedule = schedules.collective("all_to_all", "bruck", 8, 80)
    transport = OneRank(3, 8, [numpy.zeros(40)] * 3)
    Execution(schedule, transport)(schedules.place(schedule, 3, numpy.arange(80.0)))
    assert [(peer, len(part)) for peer, part in transport.log] == [(4, 40), (5, 40), (7, 40)]


def test_what_is_sent_is_read_before_what_arrives_is_written():
    """A rank that sends and receives the same stretch in one step sends what it had."""
    row = numpy.array([(0, 0, 1, 0, 0, 4, False), (0, 1, 0, 0, 0, 4, False)], schedules.MESSAGE)
    schedule = schedules.Schedule("all_reduce", "swap", 2, 4, 4, row)
    assert plan(schedule, 0)[0].direct == set()
    transport, buffer = OneRank(0, 2, [numpy.full(4, 7.0)]), numpy.ones(4)
    Execution(schedule, transport)(buffer)
    assert (transport.log[0][1] == 1).all()
    assert (buffer == 7).all()


def test_a_ring_receives_straight_into_its_place_once_sums_are_done():
    steps = plan(schedules.collective("all_reduce", "ring", 4, 40), 1)
    assert [step.direct for step in steps] == [set()] * 3 + [{0}] * 3
    assert all(list(step.sends) == [2] for step in steps)


def test_a_schedule_for_others_and_a_buffer_of_another_size_are_refused():
    schedule = schedules.collective("all_gather", "ring", 3, 9)
    with pytest.raises(ValueError, match="for 3 ranks, and 2 are here"):
        Execution(schedule, OneRank(0, 2))
    for buffer in (numpy.zeros(8), numpy.zeros((9, 1))):
        with pytest.raises(ValueError, match="must have 9 elements"):
            Execution(schedule, OneRank(0, 3))(buffer)


@pytest.mark.slow  # three seconds, in which torch is imported
def test_outside_of_a_gang_the_way_into_one_is_said():
    with pytest.raises(RuntimeError, match=r"pool.run"):
        TorchTransport()

"""Who is to blame, from what each rank is known to have done: collectives begun, messages sent, awaited."""

import queue
import time
from types import SimpleNamespace

import pytest

from hpclab.cluster.gang import diagnosis
from hpclab.cluster.gang.diagnosis import RankState
from hpclab.cluster.gang.gangs import Gangs
from hpclab.cluster.gang.rank import ProgressReporter
from hpclab.cluster.watch import Activity

NETWORK = {"type": "RuntimeError", "message": "Connection closed by peer", "network": True, "traceback": "",
           "exception": b""}  # fmt: skip
OWN = {"type": "KeyError", "message": "'layer 7'", "network": False, "traceback": "in forward"}


def deadlock(ranks):
    return "".join(sentence for rank, sentence in diagnosis.stall_reports(ranks, 60.0) if rank < 0)


def begun(*collectives):
    return [RankState(rank, collectives=count) for rank, count in enumerate(collectives)]


def talked(*messages, collectives=None):
    """A state for each rank from its {peer: (sent, received)}."""
    ranks = [RankState(rank) for rank in range(len(messages))]
    for state, told, count in zip(ranks, messages, collectives or [0] * len(ranks), strict=True):
        awaits = next(iter(told), -1)
        state.note("begun", [count, [(peer, *counts) for peer, counts in told.items()], bool(told), awaits])
    return ranks


@pytest.mark.parametrize(
    ("collectives", "told", "guilty", "words"),
    [
        ([5, 5, 5], {0: ("error", NETWORK), 2: ("exit", -9)}, 2, "SIGKILL"),  # a death before its echo
        ([5, 5], {0: ("error", NETWORK), 1: ("error", OWN)}, 1, "layer 7"),  # so is an exception of its own
        ([6, 5, 6], {0: ("error", NETWORK)}, 1, "rank 0: 6, rank 1: 5, rank 2: 6"),
        ([-1, 4], {1: ("error", NETWORK)}, 0, "collective 1,"),  # the first is not the zeroth
        ([6, 6], {1: ("error", NETWORK)}, 1, "Connection closed"),  # nobody in particular
        ([6, 6], {0: ("error", NETWORK), 1: ("stopped", ["process"])}, 1, "its process is suspended"),
    ],
)
def test_the_best_explanation_counts(collectives, told, guilty, words):
    ranks = begun(*collectives)
    for rank, (word, what) in told.items():
        ranks[rank].note(word, [what])
    error = diagnosis.diagnose(ranks, 5.0)
    assert error.rank == guilty
    assert words in str(error)


def test_an_end_after_the_value_is_no_failure_nor_is_a_pause():
    state = RankState(0)
    state.note("value", [{"wall": 1.0}])
    state.note("exit", [-9])
    state.note("stopped", [["agent", "process"]])
    state.note("stopped", [["process"]])
    assert not diagnosis.has_failed(state, 5.0)
    assert diagnosis.has_failed(state, 0.0)
    state.note("stopped", [[]])
    assert not diagnosis.has_failed(state, 0.0)


@pytest.mark.parametrize(("waited", "named"), [(0.5, []), (600.0, [1])])
@pytest.mark.parametrize("ranks", [begun(6, 5), talked({1: (0, 1)}, {})], ids=["collective", "message"])
def test_slow_is_named_after_a_while(ranks, waited, named):
    ranks[0].changed = time.monotonic() - waited
    assert [rank for rank, _ in diagnosis.stall_reports(ranks, 60.0)] == named


@pytest.mark.parametrize(
    ("messages", "collectives", "culprit", "words"),
    [
        # 3 waits for 2, 2 for 1, 1 for 0, and 0 is somewhere else.
        ([{}, {0: (0, 1)}, {1: (0, 1)}, {2: (0, 1)}], None, 0, "Rank 0 has not sent message 1 to rank 1"),
        ([{1: (1, 0)}, {2: (1, 0)}, {0: (1, 0)}], None, None, "rank 0 for rank 1 for rank 2 for rank 0"),
        ([{1: (4, 2)}, {0: (2, 4)}], (1, 0), None, "Rank 1 has not begun collective 1"),  # none is missing
        # A rank that skipped the messages and waits in the next collective; one whom a third keeps in it.
        ([{1: (0, 1)}, {}, {1: (0, 1)}], (1, 2, 1), 1, "Rank 1 has not sent message 1"),
        ([{1: (0, 1)}, {}, {}], (2, 2, 1), None, "Rank 2 has not begun collective 2"),
    ],
)
def test_waiting_is_followed_to_its_beginning(messages, collectives, culprit, words):
    ranks = talked(*messages, collectives=collectives)
    found = diagnosis.awaited_rank(ranks)
    assert (found and found[0]) == culprit
    assert words in str(diagnosis.diagnose(ranks, 5.0))


def test_messages_left_behind_accuse_nobody():
    ranks = talked({1: (1, 0)}, {}, collectives=(2, 1))
    ranks[0].note("begun", [2, [(1, 1, 0)], False, -1])  # rank 0 has begun a collective since
    assert diagnosis.awaited_rank(ranks) is None
    assert diagnosis.diagnose(ranks, 5.0).rank == 1


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{1: (0, 1)}, {0: (0, 1)}], "Rank 0 waits for rank 1 to send; rank 1 waits for rank 0 to send."),
        ([{1: (1, 0)}, {2: (1, 0)}, {0: (1, 0)}], "rank 2 waits for rank 0 to receive"),
        ([{(rank + 1) % 6: (1, 0)} for rank in range(6)], "and so on, 6 ranks in a circle"),
        ([{1: (1, 0)}, {0: (0, 1)}], ""),  # a large message on its way
    ],
)
def test_a_circle_that_does_not_move_is_told(messages, words):
    ranks = talked(*messages)
    assert deadlock(ranks) == ""  # not yet
    for state in ranks:
        state.changed -= 6
    assert words in (said := deadlock(ranks))
    assert bool(words) == bool(said)
    ranks[0].awaits = -1  # it has sent, nobody has received, and meanwhile it computes
    assert deadlock(ranks) == ""


@pytest.mark.parametrize("ranks", [begun(6, 5), talked({1: (0, 1)}, {})], ids=["collective", "message"])
def test_one_that_returned_while_others_wait_for_it_is_told(ranks):
    ranks[0].changed -= 6
    ranks[1].note("value", [{"wall": 1.0}])
    assert deadlock(ranks).startswith("Rank 1 has returned without ")
    assert str(error := diagnosis.diagnose(ranks, 5.0)).startswith("Rank 1 returned without ")
    assert error.rank == 1


def test_a_message_for_which_torch_has_no_work_is_counted():
    reporter = ProgressReporter(0)
    send = reporter._counted("send", lambda *_: None)
    assert send(None, [], 1) is None  # the default group is None here
    assert reporter.messages == {1: (1, 0)}


def test_what_ranks_print_after_their_gang_has_failed_is_passed_over(capsys):
    gangs = Gangs.__new__(Gangs)
    gangs.events, gangs.used, gangs.ready, gangs.ended = queue.Queue(), {"at": 7}, {}, {}
    gangs.states, gangs.ending, gangs.activity = {"at": RankState(0)}, None, Activity()
    gangs.loop = SimpleNamespace(start=lambda asking: None, answers=lambda *_, **__: None)
    gangs._wait_ready = lambda addresses: gangs._take_events()
    gangs.events.put(("at", "print", 7, "in time"))
    gangs._take_events()
    gangs.events.put(("at", "print", 7, "too late"))
    gangs._end(["at"], wait=True)
    assert capsys.readouterr().out == "[rank 0] in time\n"

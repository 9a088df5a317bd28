"""Which nodes are replaced, when, and when that ends; what a first failure waits for. Without real nodes."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpclab.cluster import nodes as nodes_module
from hpclab.cluster import repairs
from hpclab.cluster.errors import Cancelled, JoinError, NodeLost, PoolError, RankError
from hpclab.cluster.gang.diagnosis import RankState
from hpclab.cluster.gang.gangs import Gangs
from hpclab.cluster.nodes import Nodes
from hpclab.cluster.repairs import PAUSED, SUSPENDED, TRIES, Repairs
from hpclab.cluster.roster import Roster
from hpclab.cluster.watch import Activity

LIMIT = 60.0  # seconds in which a node joins


@pytest.fixture
def pool(monkeypatch):
    """Repairs of two nodes, of which those in `here` have joined; `wait(seconds)` repairs that much later."""
    clock, here, suspended, paused, replaced = [1000.0], ["a", "b"], [], [], []
    monkeypatch.setattr(repairs, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(repairs, "cut_logs", lambda _: None)
    roster = Roster()
    roster.want(["a", "b"], clock[0])
    roster.here = lambda: [name for name in roster.names if name in here]
    roster.missing = lambda: [name for name in roster.names if name not in here]
    roster.is_suspended = lambda name: name in suspended
    roster.is_stuck = lambda name: name in suspended + paused
    roster.memory = lambda name: 2**30
    roster.worker = lambda name: SimpleNamespace(pid=7, here=False, address=name)

    def replace(names):
        for name in names:
            roster.replace(name, f"{name}'")
            roster.submitted[f"{name}'"] = clock[0]
        replaced.extend(names)
        return [f"{name}'" for name in names]

    nodes = SimpleNamespace(
        roster=roster, replace=replace, refused={}, ended=lambda *_: {},
        why=lambda *_: "Nobody knows why.", request=SimpleNamespace(join_timeout=LIMIT),
        activity=SimpleNamespace(check_cancelled=lambda: None),
        backend=SimpleNamespace(single=False, directory=Path()),
    )  # fmt: skip
    found = Repairs(nodes)

    def wait(seconds, times=1):
        for _ in range(times):
            clock[0] += seconds
            found.repair()

    return SimpleNamespace(here=here, suspended=suspended, paused=paused, replaced=replaced, wait=wait)


def test_a_node_that_does_not_join_is_asked_for_again_after_its_limit_and_not_without_end(pool):
    pool.here.remove("a")
    pool.wait(LIMIT - 1)
    assert pool.replaced == []
    pool.wait(LIMIT + 1, times=TRIES + 2)
    assert pool.replaced == ["a", "a'"]  # and is given up for the third; the other node goes on
    pool.here.remove("b")
    pool.wait(LIMIT)
    with pytest.raises(JoinError, match=r"No node is left.*Nobody knows why"):
        pool.wait(LIMIT + 1, times=TRIES)


def test_a_suspended_node_is_told_of_and_given_up_after_its_limit(pool):
    pool.suspended.append("a")
    with pytest.warns(NodeLost, match="Node 0 .* is stopped .* given up after 20 s"):
        pool.wait(1.0, times=int(SUSPENDED))  # of what passes at once one second counts
    pool.wait(0.0)
    assert pool.replaced == []
    with pytest.warns(NodeLost, match="Node 0 .* was lost: it was stopped for 21 s"):
        pool.wait(1.0)
    assert pool.replaced == ["a"]


def test_a_node_out_of_memory_is_replaced_unless_every_node_is(pool):
    pool.paused.append("a")
    pool.wait(1.0, times=int(PAUSED))
    assert pool.replaced == []
    with pytest.warns(NodeLost, match="Node 0 .* its memory was used up for 6 s"):
        pool.wait(1.0)
    assert pool.replaced == ["a"]
    pool.here.append("a'")
    pool.paused += ["a'", "b"]
    pool.wait(1.0, times=int(PAUSED))
    with pytest.raises(PoolError, match=r"most of its 1 GiB of memory.*Pool\(memory"):
        pool.wait(1.0)


def test_a_death_that_arrives_after_its_echo_is_blamed():
    gangs = Gangs.__new__(Gangs)
    states = gangs.states = {"a": RankState(0), "b": RankState(1)}
    gangs.roster = SimpleNamespace(addresses=lambda _: {"x": "a", "y": "b"}, is_suspended=lambda _: False)
    gangs.activity = Activity()
    gangs._take_events = time.sleep
    states["a"].error = {"type": "RuntimeError", "message": "closed", "network": True, "traceback": ""}
    threading.Timer(0.15, states["b"].note, ("exit", [-9])).start()
    with pytest.raises(RankError, match="SIGKILL") as raised:
        gangs._watch(["x", "y"], 5.0)
    assert raised.value.rank == 1


def test_nodes_that_end_one_after_the_other_are_told_of_together():
    nodes, ended = Nodes.__new__(Nodes), ["a"]
    nodes.roster, nodes.request = Roster(), SimpleNamespace(join_timeout=60.0)
    nodes.roster.want("abc")
    nodes.activity = Activity()
    nodes.ended, nodes.why = lambda *_: dict.fromkeys(ended, "gone"), lambda *_: "All of one cause."
    threading.Timer(0.3, ended.append, "b").start()
    with pytest.raises(JoinError, match=r"^2 of 3 nodes ended before they joined. All of one cause"):
        nodes.wait_for_all(None)


def test_new_nodes_are_asked_for_though_a_cancel_comes_while_the_old_ones_leave(monkeypatch):
    nodes, applied = Nodes.__new__(Nodes), []
    monkeypatch.setattr(nodes_module, "refuse_lost_places", lambda _: None)
    nodes.activity, nodes.roster = Activity(), Roster()
    nodes.name, nodes._numbers, nodes.backend = (
        "p",
        iter(range(9)),
        SimpleNamespace(single=False, directory=None),
    )
    nodes.roster.want("ab")
    nodes.roster.addresses = lambda names: dict.fromkeys(names, "at")
    nodes.loop = SimpleNamespace(run=lambda expelling: (expelling.close(), nodes.activity.check_cancelled()))
    nodes._apply = lambda: applied.append(list(nodes.roster.names))
    with nodes.activity.one_thing("a map"):
        nodes.activity.cancel()
        assert nodes.replace(["b"]) == ["p-0"]
        assert applied == [["a", "p-0"]]
        with pytest.raises(Cancelled):
            nodes.activity.check_cancelled()


def test_what_cleans_up_within_a_clean_up_leaves_the_outer_one_as_it_is():
    activity = Activity()
    with activity.one_thing("a map"):
        activity.cancel()
        with activity.cleaning_up():
            with activity.cleaning_up():
                pass
            activity.check_cancelled()
        with pytest.raises(Cancelled):
            activity.check_cancelled()

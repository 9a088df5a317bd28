"""After a first failure a pool waits a moment for what explains it better, or ends for the same reason."""

import threading
import time
from types import SimpleNamespace

import pytest

from hpclab.cluster.errors import JoinError, RankError
from hpclab.cluster.gang.diagnosis import RankState
from hpclab.cluster.gang.gangs import Gangs
from hpclab.cluster.nodes import Nodes
from hpclab.cluster.roster import Roster


def test_a_death_that_arrives_after_its_echo_is_blamed():
    gangs = Gangs.__new__(Gangs)
    states = gangs.states = {"a": RankState(0), "b": RankState(1)}
    gangs.roster = SimpleNamespace(addresses=lambda _: {"x": "a", "y": "b"}, suspended=lambda _: False)
    gangs.check_cancelled = lambda: None
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
    nodes.activity = SimpleNamespace(check_cancelled=lambda: None)
    nodes.ended, nodes.why = lambda *_: dict.fromkeys(ended, "gone"), lambda *_: "All of one cause."
    threading.Timer(0.3, ended.append, "b").start()
    with pytest.raises(JoinError, match=r"^2 of 3 nodes ended before they joined. All of one cause"):
        nodes.wait_for_all(None)

"""What stands for a pool and an experiment where the widget itself is the matter."""

import math
import threading
from dataclasses import dataclass, field

import pytest

from hpclab.cluster.errors import Cancelled
from hpclab.experiments.scale_out import ScaleOut
from hpclab.models.storage import Store
from hpclab.results import Result, select


class Pool:
    backend, nodes = "local", 0

    def __init__(self):
        self.stop = threading.Event()

    def cancel(self):
        self.stop.set()

    def workers(self):
        return []

    def scale(self, nodes):
        raise AssertionError("only the experiment scales the pool")

    map = scale


@dataclass
class Experiment:
    """Measures at once, or, once `hold` is cleared, when it is set again or the pool is cancelled."""

    nodes: tuple = (1, 2, 3, 4)
    calls: list = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    errors: dict = field(default_factory=dict)  # by node count
    store: Store | None = None
    fit = ScaleOut(corpus_bytes=2**20).fit

    def mine(self, results):
        return select(results, store=str(self.store or ""))

    def knee(self):
        return math.inf if self.store is None else 2.5

    def measure(self, where, *, progress=None, found=None):
        (nodes,) = self.nodes
        self.calls.append(nodes)
        progress("starting nodes", 0, nodes)
        if nodes in self.errors:
            raise self.errors[nodes]
        while not self.hold.is_set():
            if where.stop.wait(0.01):
                raise Cancelled("map was cancelled")
        found(run(nodes))
        progress("tokenising", 1, 1)
        return run(nodes)


def put(widget, **values):
    """Set controls by name, one after another, as a learner does."""
    for name, value in values.items():
        widget.controls[name].value = value


def run(nodes):
    """One repeat's Results in the shape of ScaleOut's: a makespan and bars that sum to nodes × makespan."""
    seconds = 1 + 9 / nodes
    parameters = {"nodes": nodes, "chunk_bytes": 256 * 2**10, "corpus_bytes": 2**20, "store": ""}
    where = {"shared": True, "cores": 4}
    parts = {"compute": 9.0, "worker start": 0.6 * nodes, "idle": nodes * seconds - 9 - 0.6 * nodes}
    more = {"parameters": parameters, "environment": where}
    return [
        Result("t", "makespan", seconds, "measured", **more),
        Result("t", "makespan", seconds, "emulated", condition="a core for each node", **more),
        *(Result("t", "rank-seconds", v, "measured", component=name, **more) for name, v in parts.items()),
    ]


@pytest.fixture
def experiment():
    made = Experiment()
    made.hold.set()
    return made

"""Tasks that end the node they run on: named where they always do, tried again where they only waited."""

from __future__ import annotations

import os
import signal
import time

import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import NodeKilled, NodeLost

pytestmark = pytest.mark.slow


def test_a_task_that_always_kills_its_worker_is_named(backend):
    def fatal(number):
        if number == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return number

    with Pool(2, backend=backend) as pool:
        with pytest.warns(NodeLost), pytest.raises(NodeKilled, match="item 13") as raised:
            pool.map(fatal, range(20))
        assert raised.value.item == 13
        assert pool.map(fatal, range(10)) == list(range(10))


def test_a_task_that_only_waited_on_lost_nodes_is_tried_again(tmp_path):
    def fatal_once(place):
        path, number = place
        try:
            os.close(os.open(f"{path}/{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)

    # The last waits while each of the others ends the node.
    with Pool(1, backend="local") as pool, pytest.warns(NodeLost):
        assert pool.map(fatal_once, [(str(tmp_path), n) for n in range(6)]) == list(range(6))

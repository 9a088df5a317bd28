"""Who has joined, as Dask's scheduler tells the roster; and whose clock is asked."""

import time
from types import SimpleNamespace

import pytest

from hpclab.cluster.roster import Roster

ADDRESS = "tls://10.0.0.2:1234"
SAYS = {"host": "c1", "pid": 1, "age": 1.0, "job_id": "1", "where": ("another boot", "x")}


class Scheduler:
    """A scheduler to which one worker has come; `late` seconds lie between its clock's reading and that."""

    def __init__(self, name, extra, late=0.5):
        said = {"hpclab": extra | {"clock": time.monotonic() - 100 - late}} if extra else {}
        self.workers, self.left = {ADDRESS: SimpleNamespace(name=name, extra=said)}, []
        self.loop = SimpleNamespace(add_callback=lambda leave, worker, **_: leave(worker))
        self.remove_worker = self.left.append


@pytest.mark.parametrize("extra", [SAYS, {}])
def test_a_worker_that_is_not_wanted_is_sent_away_even_one_that_says_nothing(extra):
    scheduler, roster = Scheduler("stray", extra), Roster()
    roster.want(["n"])
    roster.add_worker(scheduler, ADDRESS)
    assert scheduler.left == [ADDRESS]
    assert roster.here() == []


def test_a_node_that_joins_again_at_its_address_is_asked_the_time_again():
    asked, roster = [], Roster()
    roster.want(["n"])
    loop = SimpleNamespace(ask=lambda at, *_, **__: asked.append(at) or {at[0]: time.monotonic() - 100})
    for times in (1, 2):
        roster.add_worker(Scheduler("n", SAYS), ADDRESS)
        assert roster.offsets["n"] == pytest.approx(100.5, abs=0.2)
        for _ in range(2):  # the second time it is known
            roster.compare_clocks(loop)
        assert len(asked) == times * 7
        assert roster.offsets["n"] == pytest.approx(100.0, abs=0.2)
        roster.remove_worker(None, ADDRESS)

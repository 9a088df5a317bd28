"""Clients that read from an emulated store at once: what is read, from where, and what is said of it."""

import multiprocessing

import pytest

from hpclab.experiments.striped_reads import StripedReads
from hpclab.models.storage import Reading, Server, Store
from hpclab.results import Origin, select
from hpclab.storage.striped import StripedStore, condition
from tests.conftest import until

STORE = Store((Server(50e6), Server(40e6)), metadata=1000, link=100e6)


def test_every_client_reads_its_own_files_from_where_the_model_has_them(monkeypatch):
    served, close = [], StripedStore.close
    monkeypatch.setattr(StripedStore, "close", lambda self: (served.append(self.statistics()), close(self)))
    spec = StripedReads(STORE, Reading(clients=2, files=3, size=3 * 4096, stripes=2, stripe_size=4096), 2)
    found = spec.measure()
    ((*servers, metadata),) = served
    assert metadata["operations"] == 2 * 6
    assert [one["operations"] for one in servers] == [2 * 6, 2 * 6]
    assert [one["bytes"] for one in servers] == [2 * 3 * 3 * 4096] * 2  # each file has two stripes on one
    assert not multiprocessing.active_children()
    times, rates = select(found, "time"), select(found, "bandwidth")
    assert [one.repeat for one in times] == [one.repeat for one in rates] == [0, 1]
    assert [one.value for one in rates] == pytest.approx([6 * 3 * 4096 / one.value for one in times])
    assert {one.origin for one in found} == {Origin.EMULATED}
    assert {one.condition for one in found} == {condition(STORE)}


def test_a_client_that_fails_ends_it_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr("hpclab.experiments.striped_reads._read", _fail)
    with pytest.raises(OSError, match="no such luck"):
        StripedReads(STORE, Reading(clients=2, files=1, size=1)).measure()
    until(lambda: not multiprocessing.active_children(), "the clients have ended")


def _fail(*order):
    raise OSError("no such luck")

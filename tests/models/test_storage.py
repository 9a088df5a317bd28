"""The storage model against cases worked by hand: which bound, and what meeting on a server costs."""

import math

import pytest

from hpclab.models.storage import Reading, Server, Store, predict
from hpclab.models.storage_presets import preset

FOUR = (Server(100e6),) * 4
SLOW = (*FOUR[:3], Server(25e6))
FEW = (Server(100e6, operations=2),) * 4
STRIPED = Reading(2, 16, 1e8, stripes=4, stripe_size=25_000_000)


@pytest.mark.parametrize(("bound", "seconds", "store", "reading"), [
    # 8 · 15 · 100 MB over 4 · 100 MB/s; with 15 files the clients begin on different servers
    ("servers", 30, Store(FOUR), Reading(8, 15, 1e8)),
    ("servers", 17, Store(FOUR), Reading(4, 17, 1e8)),  # each client on a server of its own
    ("servers", 16, Store(FOUR), Reading(1, 16, 1e8)),  # one reader, one server at a time
    ("servers", 4, Store(FOUR), Reading(1, 16, 1e8, streams=4)),
    ("servers", 8, Store(FOUR), STRIPED),
    ("servers", 1e4, Store((Server(1e9),) * 100), Reading(1000, 10_000, 1e8)),  # too many to be run
    ("clients' links", 32, Store(FOUR, link=50e6), STRIPED),
    ("a slow server", 32, Store(SLOW), STRIPED),
    ("a slow server", 12 + 4 * 4, Store(SLOW), Reading(1, 16, 1e8)),  # 4 files at a quarter
    ("metadata", 32, Store(FOUR, metadata=1), Reading(2, 16, 0)),
    ("metadata", 5, Store(FOUR, metadata=1), Reading(4, 1, 1e8)),  # the last open, and its file
    ("latency", 32, Store(FOUR, latency=2), Reading(8, 16, 0)),
    ("latency", 3 * 3600, Store((Server(1e15),), latency=3600), Reading(2, 3, 1)),  # however short beside
    # its own turn: an open, the latency and one server's 100 MB/s
    ("latency", 16 * (0.5 + 3 + 1), Store(FOUR, metadata=2, latency=3), Reading(1, 16, 1e8)),
    ("server operations", 4, Store(FEW), Reading(4, 8, 1, streams=8)),
], ids=str)  # fmt: skip
def test_hand_worked(bound, seconds, store, reading):
    found = predict(store, reading)
    assert found.bound == bound
    assert found.seconds == pytest.approx(seconds, rel=0.02)
    assert found.bandwidth == pytest.approx(reading.clients * reading.files * reading.size / found.seconds)
    assert found.files_per_second == pytest.approx(reading.clients * reading.files / found.seconds)


def test_clients_that_begin_on_one_server_go_round_in_a_crowd_unless_files_are_small():
    crowd, small = (predict(Store(FOUR), Reading(4, 16, size)) for size in (1e8, 1e3))
    assert crowd.seconds > 3 * 16  # four clients on one server, then the next
    assert small.seconds < 1.3 * 16 * 1e-5  # each is served whole, and who is ahead stays ahead


def test_stripes_are_dealt_out_in_turn_and_none_is_lost():
    assert Reading(size=250, stripes=2, stripe_size=100).parts(4) == [150, 100]
    assert Reading(size=90, stripes=4, stripe_size=100).parts(4) == [90]
    for size in (0, 1, 99, 100, 101, 12_345):
        assert sum(Reading(size=size, stripes=3, stripe_size=100).parts(8)) == size
    assert len(Reading(size=1e9, stripes=8).parts(2)) == 2
    assert predict(Store(FOUR), Reading()).bandwidth == 0


@pytest.mark.parametrize("bad", [-1, math.nan, 1e30, "two", None, ...], ids=str)
def test_what_is_no_number_is_refused_in_a_sentence(bad, refused):
    for call in (
        Server, lambda n: Server(1, n if n != 1e30 else 0), lambda n: Store(FOUR, latency=n),
        lambda n: Store(FOUR, link=n if n != 1e30 else 0), Store, Reading, lambda n: Reading(files=n),
        lambda n: Reading(size=n), lambda n: Reading(stripes=n), lambda n: Reading(stripe_size=n),
        lambda n: Reading(streams=n), lambda n: Store((Server(1), n)), lambda n: predict(n, Reading()),
        lambda n: predict(Store(FOUR), n), lambda n: Store(()),
    ):  # fmt: skip
        refused(lambda call=call: call(bad))


def test_presets_are_their_catalogue_and_a_local_drive_has_no_network():
    lustre = preset("lustre", servers=2, drive="nvme-pcie5", drives=1, network="ethernet-100g")
    assert lustre.servers == (Server(0.65 * 14e9, 3.3e6),) * 2
    assert (lustre.link, lustre.metadata, lustre.latency) == (12.5e9, 13200, pytest.approx(2.3e-3))
    assert preset("nvme").link == math.inf
    assert len(preset("nfs", servers=9).servers) == 1
    assert preset("lustre", writing=True).servers[0].operations == math.inf
    with pytest.raises(ValueError, match=r"nvme, nfs, lustre, beegfs, gpfs, daos, not 'tape'\."):
        preset("tape")
    with pytest.raises(ValueError, match="nvme-pcie5"):
        preset("daos", drive="floppy")

"""Pools of one user take turns: who is first, who gives way, and that twelve at once come to it."""

import itertools
import os
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from hpclab.cluster import Pool, turns, watch
from hpclab.cluster.errors import JoinError, NodeLost
from hpclab.cluster.host import private
from hpclab.cluster.notes import Dashboard, Notes, newest_dashboard


@pytest.fixture
def notes(monkeypatch, tmp_path):
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(tmp_path)[:60])
    monkeypatch.setattr(private, "LONGEST", 200)
    places = zip("abc", range(4711, 4714), strict=True)
    return [Notes(f"hpclab-{letter}", "local", Dashboard(port, "secret")) for letter, port in places]


def test_notes_are_seen_by_the_others_unless_broken_or_left_and_withdrawn(notes):
    a, b, _ = notes
    b.update(nodes=2)
    assert {(note.pool, note.nodes) for note in a.others()} == {("hpclab-b", 2), ("hpclab-c", 0)}
    # The last is by a process that is gone.
    left = b.path.read_text().replace(f'"started": {b.own.started}', '"started": 1')
    for text in ("", "{", '{"pool": 1}', "[]", left):
        b.path.write_text(text)
        assert [note.pool for note in a.others()] == ["hpclab-c"]
    assert not b.path.exists()
    elsewhere = Notes("hpclab-d", "site", Dashboard(4714, "secret"))
    assert elsewhere.others() == []
    for note in (*notes, elsewhere):
        note.withdraw()
    assert not a.folder.exists()


def test_a_note_is_for_its_owner_alone_and_the_newest_leads_to_the_dashboard(notes):
    *_, c = notes
    assert stat.S_IMODE(c.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(c.folder.stat().st_mode) == 0o700
    assert newest_dashboard() == Dashboard(4713, "secret")
    assert "secret" not in f"{newest_dashboard()}{c.own!r}"
    for note in notes:
        note.withdraw()
    assert newest_dashboard() is None


def test_the_one_that_is_idle_for_longest_gives_way_to_one_that_has_waited(notes):
    a, b, c = notes
    now = time.monotonic()
    a.update(nodes=1, idle_since=now - 2 * turns.IDLE)
    b.update(nodes=1, idle_since=now - 3 * turns.IDLE)
    assert not turns.gives_way(b)  # nobody waits
    c.update(wants=1, waits_since=now + 600)
    assert not turns.gives_way(b)  # not for long
    c.update(waits_since=now - 2 * turns.WAITS)
    assert turns.gives_way(b)
    assert not turns.gives_way(a)
    b.update(idle_since=None)  # it works again
    assert turns.gives_way(a)
    a.update(idle_since=now + 600)
    assert not turns.gives_way(a)


def test_who_holds_the_nodes_is_said_by_notebook(notes, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/learner/hpclab/05_scale_out.ipynb")
    held = Notes("hpclab-d", "local", Dashboard(4714, "secret"))
    held.update(nodes=3, idle_since=None)
    notes[0].update(nodes=1, idle_since=time.monotonic() - 7)
    said = turns.holders(notes[1])
    assert said.startswith("4 nodes are held by other pools of yours: ")
    assert f"3 by 05_scale_out.ipynb (process {os.getpid()}, at work)" in said
    assert f"1 by pool hpclab-a (process {os.getpid()}, idle for 7 s)" in said


def test_who_waits_says_for_whom_after_some_seconds_and_not_before(notes, monkeypatch, capsys):
    now = itertools.count(10)  # a second more at each look
    a, b, _ = notes
    a.update(nodes=4)
    b.update(wants=2, waits_since=0.0)
    waiting = turns.Turns.__new__(turns.Turns)
    waiting.notes, waiting.one_asks, waiting._fits = b, True, lambda need: False
    waiting.nodes = SimpleNamespace(request=SimpleNamespace(join_timeout=0.5), activity=watch.Activity())
    asked, others = [], b.others
    monkeypatch.setattr(b, "others", lambda: asked.append(capsys.readouterr().out) or others())
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with pytest.raises(JoinError, match=r"2 nodes were not free within 0\.5 s"):
        waiting._wait(2)
    assert asked[:4] == [""] * 4
    assert sum("Waiting for 2 nodes" in text for text in asked) == 1


def test_a_pool_that_has_asked_wants_no_more_and_says_how_many_nodes_it_has(notes):
    asking = turns.Turns.__new__(turns.Turns)
    asking.notes, here = notes[1], ["node1", "node2"]
    asking.nodes = SimpleNamespace(roster=SimpleNamespace(here=lambda: here))
    notes[1].update(wants=2)
    with asking.taken(0):
        pass
    assert {(note.pool, note.wants, note.nodes) for note in notes[0].others()} == {
        ("hpclab-b", 0, 2), ("hpclab-c", 0, 0)
    }  # fmt: skip


@pytest.mark.slurm
@pytest.mark.slow
def test_an_idle_pool_gives_way_to_a_pool_and_to_a_job_and_asks_again(client, monkeypatch, tmp_path):
    for name, seconds in (("IDLE", 0.5), ("WAITS", 0.2), ("QUEUE", 0.5)):
        monkeypatch.setattr(turns, name, seconds)
    (script := tmp_path / "job.sh").write_text("#!/bin/sh\nsleep 2\n")
    with Pool(4, backend="slurm") as first:
        assert first.map(abs, [-1]) == [1]
        with Pool(2, backend="slurm") as second:
            assert second.nodes == 2
            assert first.nodes == 0
        with pytest.warns(NodeLost, match="given to another pool or job of yours"):
            assert first.map(abs, [-2]) == [2]
        assert first.nodes == 4
        job = client.submit(script, "--output=/dev/null")
        assert client.wait(job, 60).state == "COMPLETED"
        assert first.nodes == 0


PROGRAM = """
import time
from hpclab.cluster import Pool
with Pool(2, backend="slurm") as pool:
    print(pool.map(abs, range(-3, 1)))
    time.sleep(10)
    print(pool.map(abs, range(-3, 1)))
"""


@pytest.mark.slurm
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_twelve_pools_of_two_on_four_nodes(local_slurm):
    pools = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
        for _ in range(12)
    ]
    said = [pool.communicate(timeout=500)[0] for pool in pools]
    assert [text.count("[3, 2, 1, 0]") for text in said] == [2] * 12
    assert "pools" not in os.listdir(os.environ["HPCLAB_STATE_DIR"])

"""The wall: what a learner shows is there without a name; what strangers lay there harms nobody."""

import json
import os
import stat

import pytest

from hpclab import quality
from hpclab.classroom import wall_folder as wall
from hpclab.models.scaling import Amdahl
from hpclab.results import Origin
from tests.conftest import until
from tests.models.makespans import makespans, of_law


@pytest.fixture
def points():
    runs = makespans(of_law(Amdahl(0.1), (1, 2, 4), 3, spread=0.02), "measured", "nodes")
    return wall.points([*runs, *makespans(of_law(Amdahl(0.1), (1, 2, 4), 3), "emulated", "nodes")])


def lay(folder, content, name=0):
    path = folder / f"points-05-{name:032x}.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (name, name))
    return path


def line(**changes):
    point = {"along": "nodes", "count": 4, "speedup": 3.0, "origin": "measured", "doubt": False}
    return json.dumps(point | changes)


def test_points_are_shown_without_a_name_and_taken_back(tmp_path, points, monkeypatch):
    wall.share(tmp_path, "05", points)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert {name for row in rows for name in row} == {"along", "count", "speedup", "origin", "doubt"}
    assert (len(rows), any(row["doubt"] for row in rows)) == (6, False)
    wall.share(tmp_path, "05", points)
    wall.share(tmp_path, "01", points)
    assert len(before := sorted(tmp_path.iterdir())) == 2  # the later one in place of the first
    (learner,), _ = wall.read(tmp_path)
    assert sorted((p.parameters["nodes"], p.origin) for p in learner)[-1] == (4, Origin.MEASURED)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            wall.share(tmp_path, "05", points)
    assert sorted(tmp_path.iterdir()) == before  # no draft
    wall.take_back(tmp_path, "01")
    assert (wall.read(tmp_path, "01"), len(wall.mine(tmp_path, "05"))) == (([], 0), 1)
    wall.take_back(tmp_path, "05")
    assert list(tmp_path.iterdir()) == []


def test_a_doubt_travels_with_what_was_measured(monkeypatch):
    monkeypatch.setattr(quality, "doubt", lambda results: "busy; run again")
    runs = [*makespans(of_law(Amdahl(0.1), (1, 2), 2), "measured", "nodes")]
    assert {(p["origin"], p["doubt"]) for p in wall.points(runs)} == {("measured", True)}
    disturbed = makespans({1: [90.0], 2: [1.0], 4: [9.0]}, "measured", "nodes")
    assert [point["count"] for point in wall.points(disturbed)] == [1, 4]


HOSTILE = {
    "nothing": "", "no JSON": "{", "no text": b"\xff\xfe", "a list": "[1]", "a nest": "[" * 9000,
    "a large number": '{"count": ' + "9" * 9000 + "}", "NaN": line().replace("3.0", "NaN"),
    "too fast": line(speedup=400), "text": line(speedup="3"), "a half": line(count=1.5),
    "a law": line(origin="published"), "a list for an origin": line(origin=["measured"]),
    "along": line(along="__class__"), "no doubt": line(doubt=1), "more": line(user="ada"),
    "less": json.dumps({"along": "nodes"}), "too large": line() + " " * 2**20,
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_bad_file_is_counted_and_passed_over(tmp_path, content):
    lay(tmp_path, content)
    assert wall.read(tmp_path) == ([], 1)
    lay(tmp_path, line(), 1)
    assert len(wall.read(tmp_path)[0]) == 1


def test_links_pipes_and_folders_are_no_points(tmp_path):
    path = tmp_path / f"points-05-{'0' * 32}.jsonl"
    lay(tmp_path, line()).rename(tmp_path / "points-other.jsonl")  # not named so: nobody's points
    makes = (path.symlink_to, "points-other.jsonl"), (os.mkfifo, path), (os.mkdir, path)
    for make, where in makes:
        make(where)
        assert wall.read(tmp_path) == ([], 1)
        path.rename(tmp_path / make.__name__)
    assert wall.read(tmp_path) == ([], 0)


def test_one_owner_counts_once_and_the_latest_counts(tmp_path, monkeypatch):
    for number in range(100):
        lay(tmp_path, "\n".join([line(speedup=1 + number / 100)] * 9), number)
    (learner,), _ = wall.read(tmp_path)
    assert [point.value for point in learner] == [1.99]
    if os.geteuid() == 0:
        for number in range(99):
            os.chown(tmp_path / f"points-05-{number:032x}.jsonl", 1000 + number % 3, 1000)
        assert sorted(one[0].value for one in wall.read(tmp_path)[0]) == [1.96, 1.97, 1.98, 1.99]
    changed_hands = wall._by_owner(tmp_path, "05")
    monkeypatch.setattr(wall, "_by_owner", lambda *_: {owner + 9: of for owner, of in changed_hands.items()})
    assert wall.read(tmp_path) == ([], len(changed_hands))


@pytest.mark.slurm
def test_the_queue_is_counted_and_nobody_is_named(client):
    assert client.load("--partition=main") == (0, 0)
    script, quiet = "#!/bin/sh\nsleep 60\n", "--output=/dev/null"
    client.submit(script, "--nodes=2", quiet)
    client.submit(script, "--array=1-3", "--begin=now+1hour", quiet)
    until(lambda: client.load("--partition=main") == (2, 3), "two nodes run and three jobs wait")
    assert client.load("--partition=debug") == (0, 0)

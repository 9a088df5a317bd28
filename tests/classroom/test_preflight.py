"""What a node tells, and who may ask: strangers get no word, and what comes back is read with care."""

import json
import socket
import time

import pytest

from hpclab.classroom import node_job, node_probe


def test_only_who_knows_the_token_is_told_the_time():
    door = node_probe.Listener("127.0.0.1", "the token")
    where = list(door.socket.getsockname())
    try:
        by, unsure = node_probe.ahead(where, "the token")
        assert abs(by) <= unsure + 0.1
        with pytest.raises(OSError, match="somebody else answers"):
            node_probe.ahead(where, "another")
        with socket.create_connection(where) as stranger:
            stranger.sendall(b"x" * 100 + b"\n")
            assert stranger.makefile("rb").read(100) == b""
    finally:
        door.close()
    door.join(10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, 1)


def test_of_what_a_node_tells_only_what_has_its_shape_is_read(tmp_path):
    good = {"host": "c1", "wrong": {"home": "no\x1b[31m", "python": 3}, "ahead": [0.5, 0.1]}
    texts = [json.dumps(good) + "\n", json.dumps(good), "[]\n", '{"wrong": 3}\n', "{" * 70000 + "\n",
             json.dumps(good | {"ahead": "soon"}) + "\n"]  # fmt: skip
    for rank, text in enumerate(texts):
        (tmp_path / f"{rank}.json").write_text(text)
    first, last = node_job._read(tmp_path, 9)
    assert first == good | {"rank": 0, "wrong": {"home": "no?[31m", "python": "3"}}
    assert (last["rank"], "ahead" in last) == (5, False)


def test_a_clock_that_is_ahead_is_measured(monkeypatch):
    door = node_probe.Listener("127.0.0.1", "t")
    now = time.time
    monkeypatch.setattr(node_probe.json, "dumps", lambda _: str(now() + 30))
    try:
        by, unsure = node_probe.ahead(list(door.socket.getsockname()), "t")
    finally:
        door.close()
    assert abs(by - 30) <= unsure + 0.1


def test_folders_that_were_made_go_and_others_stay(tmp_path):
    made = node_probe.folder(str(tmp_path / "a" / "b"))
    (tmp_path / "a" / "mine").touch()
    node_probe.remove(made)
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "mine"]
    assert node_probe.folder(str(tmp_path)) == []


def test_an_interface_that_is_not_here_is_told_with_those_that_are():
    assert node_probe.address("lo") == "127.0.0.1"
    with pytest.raises(OSError, match="no interface nothing0 with an IPv4 address, but "):
        node_probe.address("nothing0")

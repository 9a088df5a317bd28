"""What both ends of a job of `hpclab doctor --site` do: strangers get no word, and files are gone again."""

import re
import socket
import time
from types import SimpleNamespace

import pytest

from hpclab.classroom import node_job, node_probe, preflight, settings


def test_only_who_knows_the_token_is_told_the_time(monkeypatch):
    with node_probe.Listener("127.0.0.1", "the token") as door:
        where = list(door.server_address)
        by, unsure = node_probe.clock_offset(where, "the token")
        assert abs(by) <= unsure + 0.1
        with pytest.raises(OSError, match="somebody else answers"):
            node_probe.clock_offset(where, "another")
        with socket.create_connection(where) as stranger:
            stranger.sendall(b"x" * 100 + b"\n")
            assert stranger.makefile("rb").read(100) == b""
        monkeypatch.setattr(node_probe.json, "dumps", lambda _: str(time.time() + 30))
        by, unsure = node_probe.clock_offset(where, "the token")
        assert abs(by - 30) <= unsure + 0.1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, 1)


@pytest.mark.parametrize(("setting", "said"), [
    ({"local": "$NOWHERE/x"}, "NOWHERE: unbound"),
    ({"local": "/proc/a/b"}, "mktemp.*No such file"),
    ({"wall": "/proc"}, "its mode is 555, not 1777"),
    ({"modules": ("a/1",)}, "^a/1: "),
    ({"python": "true; false"}, "exit status 1"),
    ({"local": "~/a/b", "wall": "$HOME"}, ""),
])  # fmt: skip
def test_a_setting_that_fails_is_told_in_a_line_and_no_file_stays(setting, said, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tmp_path.chmod(0o1777)
    texts = node_job.NodeJobs(settings.Site(**setting), None, [], print).here.asked["shell"]
    told = node_probe.Probe("c1", {})
    for key in setting:
        told.attempt(key, node_probe.run_shell, texts[key])
    assert all(bool(said) == bool(one) and re.search(said, one) for one in told.wrong.values()), told.wrong
    assert not list(tmp_path.iterdir())
    assert node_probe.printable_line("no\x1b[31m\n way" + "y" * 999) == "no?[31m way" + "y" * 289


def test_a_partition_has_the_nodes_that_run_jobs(monkeypatch):
    states = ("idle", "mixed", "allocated", "completing", "planned", "down*", "drained", "draining",
              "reserved", "maint", "unknown", "powered_down")  # fmt: skip
    told = "".join(f"main*|up|1|{state}\n" for state in states) + "gone|drain|3|idle\n"
    monkeypatch.setattr(preflight.slurm_commands, "run", lambda *_: told)
    slurm = SimpleNamespace(refusal=lambda *_: "", environment={}, longest=lambda _: 600.0)
    queue = preflight.Queue(settings.Site(time=600.0), slurm)
    assert queue.partitions == {"main": ("up", 5), "": ("up", 5), "gone": ("drain", 3)}
    assert (queue.nodes, queue.wrong) == (2, {})
    queue = preflight.Queue(settings.Site(partition="gone", time=601.0), slurm)
    assert (queue.nodes, queue.wrong) == (0, {"partition": "it is drain"})


def test_an_interface_that_is_not_here_is_told_with_those_that_are():
    assert node_probe.ipv4_address("lo") == "127.0.0.1"
    with pytest.raises(OSError, match="no interface nothing0 with an IPv4 address, but "):
        node_probe.ipv4_address("nothing0")

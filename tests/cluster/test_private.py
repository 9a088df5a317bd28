"""Faults 11, 12 and 13: directories that strangers made first, links, odd paths, and ports wanted by all."""

import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpclab.cluster.backends.command import private_directory
from hpclab.cluster.host import ports, private
from hpclab.cluster.host.ports import ReservedPorts


@pytest.mark.parametrize(
    ("named", "why"),
    [
        *((f"{{}}/{name}", "has characters other than") for name in ("a b", "é", "a\nb", "a'b", "a;b")),
        ("{}/../x", "has .. in it"), ("{}/" + "a" * 70, "is longer than"), ("state", "does not begin with /"),
    ],
)  # fmt: skip
def test_a_named_path_that_no_daemon_can_use_is_refused_and_none_taken_instead(
    place: Path, named: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HPCLAB_STATE_DIR", named.format(place))
    with pytest.raises(OSError, match=rf"its path {why}.*HPCLAB_STATE_DIR to a directory of your own"):
        private.home()
    assert not list(place.iterdir())


def test_a_sites_pool_has_a_place_in_a_home_of_any_name_or_the_way_out_is_told(place: Path, monkeypatch):
    monkeypatch.delenv("HPCLAB_STATE_DIR", raising=False)
    for home in ("ada@uni naïve 日本", "p%u it's x$HOME`id`;(y)"):
        monkeypatch.setenv("HOME", str(place / home))
        made = private_directory("pool", shared=True)
        assert made.parent == place / home / ".hpclab"
        assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    for home, why in ((place / 'a"b', "sbatch cannot take"), (Path("/proc"), "No such file")):
        monkeypatch.setenv("HOME", str(home))
        with pytest.raises(OSError, match=rf"{home}/.hpclab cannot be used: .*{why}.*Set HPCLAB_STATE_DIR"):
            private_directory("pool", shared=True)


@pytest.mark.parametrize(
    ("prepare", "name", "words"),
    [
        (lambda at: (at / "x").symlink_to("/tmp"), "x", "it is a link"),
        (lambda at: (at / "x").touch(), "x", "not a directory"),
        *((lambda at, mode=mode: (at / "x").mkdir() or (at / "x").chmod(mode), "x", "others can write")
          for mode in (0o1777, 0o770, 0o702)),
        (lambda at: (at / "x" / "mine").mkdir(parents=True) or (at / "x").chmod(0o777), "x/mine",
         "others can write to .*x"),
        *(pytest.param(lambda at: (at / "x/y").mkdir(parents=True) or os.chown(at / "x", 12345, 12345), *row,
                       marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can play another user"))
          for row in (("x", "it belongs to another user"), ("x/y", "x belongs to another user"))),
    ],
)  # fmt: skip
def test_what_is_not_a_directory_of_ours_alone_is_refused(place: Path, prepare, name: str, words: str):
    prepare(place)
    with pytest.raises(OSError, match=words):
        private.make(place / name)


def test_the_next_place_is_taken_and_every_reason_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "a").symlink_to(place)
    monkeypatch.setattr(private, "candidates", lambda: iter([place / "a", place / "b"]))
    found = private.home()
    assert found == private.Home(place / "b", (f"{place / 'a'}: it is a link.",))
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o700
    monkeypatch.setattr(private, "candidates", lambda: iter([place / "a"]))
    with pytest.raises(OSError, match="HPCLAB_STATE_DIR"):
        private.home()


def test_one_at_a_time_and_nothing_left(place: Path) -> None:
    directory, inside, worst = place / "home" / "work", 0, 0

    def visit() -> None:
        nonlocal inside, worst
        for _ in range(5):
            with private.lock(directory):
                inside += 1
                worst = max(worst, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(visit) for _ in range(8)]:
            done.result()
    assert worst == 1
    assert list(place.iterdir()) == []
    with private.lock(directory), pytest.raises(TimeoutError, match="try again"):
        private.lock(directory, patience=0.1).__enter__()


def test_a_port_that_is_kept_is_for_a_daemon_of_ours_only_and_one_in_use_not_taken(monkeypatch) -> None:
    kept = ReservedPorts.reserve(3)
    with socket.socket() as daemon, socket.socket() as other:
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        daemon.bind(("127.0.0.1", kept.numbers[0]))
        daemon.listen()
        for number in kept.numbers:
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", number))
        kept.release()
        other.bind(("127.0.0.1", kept.numbers[1]))
        other.listen()
        monkeypatch.setattr(ports, "_FIRST", kept.numbers[0])
        monkeypatch.setattr(ports, "_LAST", kept.numbers[0] + 1)
        with pytest.raises(OSError, match=r"No 3 neighbouring TCP ports .* other programs .* taken them"):
            ReservedPorts.reserve(3)

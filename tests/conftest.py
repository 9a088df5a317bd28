"""For every test: nobody's Slurm but ours, in directories of its own."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from hpclab.cluster import local_slurm
from hpclab.cluster.local_slurm.cluster import LocalSlurm

T = TypeVar("T")
HAS_SLURM = all(
    shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    for program in ("slurmctld", "slurmd", "munged")
)


def until(condition: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """Ask again and again until `condition` holds, and return what it said; `what` we wait for, in words.

    The deadline is for a machine that is busy with other things: what takes long must not decide a test.
    """
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, f"{what}: it did not happen in {seconds:g} s"
        time.sleep(0.05)
    return said


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]
    os.environ["HPCLAB_SLURM"] = "local"  # tests start, break and end Slurms: never a site's
    for name in ("STATE", "CACHE"):  # and never the Slurm and the tokens of the person who runs them
        place = Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp"))
        os.environ[f"HPCLAB_{name}_DIR"] = str(place)
        config.add_cleanup(functools.partial(_remove, place))


def _remove(place: Path) -> None:
    os.environ["HPCLAB_STATE_DIR"] = str(place)
    local_slurm.down()
    shutil.rmtree(place, ignore_errors=True)


# Files that take minutes begin first, so that no processor is left with one of them alone at the end.
LONGEST_FIRST = ("test_binder.py", "faults", "cluster", "browser", "cli", "lessons")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" not in config.getoption("-m"):
        items[:] = [item for item in items if not item.get_closest_marker("soak")]

    def turn(item: pytest.Item) -> int:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return LONGEST_FIRST.index(room) if room in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=turn)  # and stays in order otherwise
    if not HAS_SLURM:
        for item in items:
            if item.get_closest_marker("slurm"):
                item.add_marker(pytest.mark.skip(reason="needs the packages slurm-wlm and munge"))


@pytest.fixture
def state_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh, short HPCLAB_STATE_DIR; a Slurm left running in it is ended, and the test fails for it."""
    place = Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp"))
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(place))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    yield place
    assert not local_slurm.down(), "the test left a Slurm running"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def local_slurm_home() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp"))
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def _shared_cluster(local_slurm_home: Path) -> Iterator[LocalSlurm]:
    before = os.environ.get("HPCLAB_STATE_DIR")
    os.environ["HPCLAB_STATE_DIR"] = str(local_slurm_home)
    try:
        cluster = local_slurm.up(nodes=4, cores_per_node=1, gpus_per_node=2)
    finally:
        _put_back(before)
    yield cluster
    cluster.down()


@pytest.fixture(name="local_slurm")
def shared_local_slurm(
    _shared_cluster: LocalSlurm, local_slurm_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalSlurm]:
    """The session's cluster of 4 nodes with 2 pretend GPUs each, whole and with an empty queue.

    HPCLAB_STATE_DIR points to it while the test runs, so that `slurm.connect()` finds it.
    """
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(local_slurm_home))
    yield _shared_cluster
    environment = _shared_cluster.environment
    subprocess.run(["scancel", "--user", str(os.getuid())], env=environment, check=False, timeout=30)
    for name, state in _shared_cluster.daemons.items():
        if "on purpose" in state:
            _shared_cluster.restore_node(name)
    _shared_cluster.heal()


def _put_back(before: str | None) -> None:
    if before is None:
        os.environ.pop("HPCLAB_STATE_DIR", None)
    else:
        os.environ["HPCLAB_STATE_DIR"] = before


@pytest.fixture
def readable() -> Iterator[Path]:
    """The package where everybody may read it: a checkout in root's home is closed to others."""
    place = Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp"))
    place.chmod(0o755)
    shutil.copytree(Path(local_slurm.__file__).parents[2], place / "hpclab")
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def refused() -> Callable[[Callable[[], object]], None]:
    """``refused(lambda: call(bad))``: it must raise a ValueError or OSError of one sentence."""

    def check(call: Callable[[], object]) -> None:
        with pytest.raises((ValueError, OSError)) as caught:
            call()
        said = str(caught.value)
        assert "\n" not in said
        assert said[0].isprintable()
        assert said.endswith((".", "?")), said
        assert " " in said

    return check

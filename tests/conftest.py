"""For every test: nobody's Slurm but ours, in directories of its own."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from hpclab.cluster import Pool, local_slurm, slurm
from hpclab.cluster.host import processes
from hpclab.cluster.local_slurm import LocalSlurm
from hpclab.cluster.slurm import Slurm

T = TypeVar("T")
HAS_SLURM = all(
    shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    for program in ("slurmctld", "slurmd", "munged")
)


def until(condition: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """What `condition` says once it holds; `what` is what we wait for. The deadline is a busy machine's."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, f"{what}: it did not happen in {seconds:g} s"
        time.sleep(0.05)
    return said


def gone(process: int | psutil.Process) -> bool:
    """Whether it has ended: it is not there, or dead and only not yet reaped by whoever inherited it."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def jobs_left(environment: Mapping[str, str], name: str = "") -> list[str]:
    """The jobs in the queue, or those of one pool, but for what is already ending."""
    words = ["squeue", "--noheader", "--format=%i %j %T", *([f"--name={name}"] if name else [])]
    said = subprocess.run(words, env=dict(environment), capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if "COMPLETING" not in line]


def fail_node(cluster: LocalSlurm, name: str) -> None:
    """A power cut: a node's slurmd, its step daemons and their tasks end together; `cluster.heal()` mends it.

    In this order, or a step daemon would live to report that its task was killed.
    """
    slurmd = cluster.process(name)
    assert slurmd
    tops = [slurmd, *processes.slurmstepd(cluster.directory / "spool" / name)]
    for process in [*tops, *(below for top in tops for below in processes.descendants(top.pid))]:
        process.send(signal.SIGKILL)


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
LONGEST_FIRST = ("test_binder.py", "browser", "faults", "cluster", "lessons", "cli", "site")


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


@pytest.fixture(scope="session")
def driver() -> Iterator[object]:
    """Playwright, for every browser of this process."""
    from tests.browser.conftest import running_driver

    with running_driver() as found:
        yield found


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path: pytest's own are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="hpl-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


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
def _shared_cluster() -> Iterator[LocalSlurm]:
    with tempfile.TemporaryDirectory(prefix="hpl-", dir="/tmp", ignore_cleanup_errors=True) as home:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HPCLAB_STATE_DIR", home)
            cluster = local_slurm.up(nodes=4, cores_per_node=1, gpus_per_node=2)
        yield cluster
        cluster.stop()


@pytest.fixture(name="local_slurm")
def shared_local_slurm(_shared_cluster: LocalSlurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSlurm]:
    """The session's cluster of 4 nodes with 2 pretend GPUs each, whole and with an empty queue.

    HPCLAB_STATE_DIR points to it while the test runs, so that `slurm.connect()` finds it. A test may end,
    suspend or drain what it likes of it: all is mended afterwards.
    """
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(_shared_cluster.directory.parent))
    yield _shared_cluster
    _mend(_shared_cluster)


def _mend(cluster: LocalSlurm) -> None:
    def ask(*words: str) -> str:
        done = subprocess.run(words, env=cluster.environment, capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    harmed = [name for name, state in cluster.daemons.items() if state != "running"]
    for name in harmed:
        if process := cluster.process(name):
            process.send(signal.SIGCONT)
    cluster.heal()
    states = ("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T")

    def whole() -> bool:
        ask("scancel", "--user", str(os.getuid()))
        for name in cluster.shape.names if harmed or drained else ():
            ask("scontrol", "update", f"nodename={name}", "state=resume")
        return ask(*states).split() == ["idle"] * 4

    drained = set(ask(*states).split()) - {"idle", "allocated", "completing"}
    if not whole() and (harmed or drained):
        until(whole, "all nodes are idle again")


@pytest.fixture
def client(local_slurm: LocalSlurm) -> Slurm:
    """The session's Slurm as the package's users have it."""
    return slurm.connect(export=False)


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def backend(request: pytest.FixtureRequest) -> str:
    """Each kind of node in turn, with the session's Slurm where it is needed."""
    if request.param == "slurm":
        request.getfixturevalue("local_slurm")
    return request.param


def everywhere(metafunc: pytest.Metafunc, names: set[str]) -> None:
    """Give a file's fixture `pool` every place that `pool_at` knows; on Slurm for the tests so named, and for
    the others in `make soak`."""
    if "pool" in metafunc.fixturenames:
        soak = [] if metafunc.function.__name__ in names else [pytest.mark.soak]
        on_slurm = [pytest.param(place, marks=[pytest.mark.slurm, *soak]) for place in ("slurm", "single")]
        metafunc.parametrize("pool", ["local", *on_slurm], indirect=True, scope="module")


@contextlib.contextmanager
def pool_at(request: pytest.FixtureRequest, nodes: int) -> Iterator[Pool]:
    """A pool for a file's tests: processes, Slurm jobs, or one Slurm job for all nodes (`request.param`)."""
    options = {"backend": request.param}
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "local":
            cluster = request.getfixturevalue("_shared_cluster")
            patch.setenv("HPCLAB_STATE_DIR", str(cluster.directory.parent))
            options = {"backend": "slurm"} | ({"allocation": "single"} if request.param == "single" else {})
        pool = Pool(nodes, **options)
    with pool:
        yield pool


@pytest.fixture
def running(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    """A running `hpclab lab` in a home and with a state of its own: what it printed as JSON, and its pid."""
    place.chmod(0o755)  # as some systems make homes
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(place / "state"))
    command = [sys.executable, "-m", "hpclab.cli", "lab", "--json", "--no-browser", "--no-slurm"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline()) | {"pid": process.pid}
        process.terminate()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch's threads wait awake for each other: on busy cores small tensors take ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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

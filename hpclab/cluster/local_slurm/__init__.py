"""A real Slurm of our own on this machine, as an ordinary user, found again by any later process."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import hpclab
from hpclab import checks
from hpclab.cluster import slurm_commands
from hpclab.cluster.host import private, processes
from hpclab.cluster.host.processes import Process
from hpclab.cluster.local_slurm.files import WRITTEN_BY, Shape
from hpclab.cluster.slurm_commands import SlurmError

PATIENCE = 20.0  # seconds that the supervisor has to heal, or to end, what it watches


@dataclass(frozen=True)
class LocalSlurm:
    """A running cluster of ours; `directory` holds its files."""

    directory: Path

    @property
    def state(self) -> dict[str, Any]:
        """The content of the supervisor's state.json; empty where there is none."""
        with suppress(OSError, ValueError):
            return json.loads((self.directory / "state.json").read_text())
        return {}

    supervisor = property(lambda self: _living(self.state.get("supervisor")), doc="Its Process, or None.")
    is_up = property(lambda self: bool(self.supervisor) and self.state.get("phase") == "up")

    @property
    def shape(self) -> Shape:
        """Its size; SlurmError where it is down."""
        if sizes := self.state.get("shape"):
            return Shape(*sizes)
        raise SlurmError("This Slurm is down; hpclab slurm up starts one.")

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a child process uses this cluster: our own, with Slurm's replaced."""
        clean = slurm_commands.without_site(os.environ)
        return clean | {"SLURM_CONF": str(self.directory / "slurm.conf"), "PATH": slurm_commands.path()}

    @property
    def daemons(self) -> dict[str, str]:
        """For each daemon's name "running", or a clause on how it ended or was suspended."""
        state, words = self.state, {}
        for name, recorded in state.get("daemons", {}).items():
            words[name] = "running"
            if not (process := _living(recorded)):
                cause = state["ended_with"].get(name, "no word")
                words[name] = f"ended with {cause}; hpclab slurm up starts it again"
            elif process.stopped:
                how = f"process {process.pid} is suspended, as by SIGSTOP"
                words[name] = f"is stopped ({how}); kill -CONT {process.pid} wakes it"
        return words

    def process(self, name: str) -> Process | None:
        """The process of munged, slurmctld or a node's slurmd; None where it has ended."""
        return _living(self.state["daemons"][name])

    def heal(self) -> None:
        """Start again every daemon that has ended."""
        before, supervisor = self.state.get("healed", 0), self.supervisor
        deadline = time.monotonic() + PATIENCE
        if supervisor:
            supervisor.send(signal.SIGUSR1)
        while self.state.get("healed", 0) == before:
            if not supervisor or time.monotonic() > deadline:
                raise SlurmError(
                    "The supervisor of this Slurm does not answer (it has ended, or is suspended); hpclab "
                    "slurm status says what runs."
                )
            time.sleep(0.01)

    def logs(self, lines: int = 20) -> dict[str, str]:
        """The last `lines` lines of every log file of the daemons, by the file's name."""
        lines = checks.integer("lines", lines, 1, 100_000)
        logs = sorted((self.directory / "log").glob("*"))
        ends = {log.name: log.read_text(errors="replace").splitlines()[-lines:] for log in logs}
        return {name: "\n".join(end) for name, end in ends.items() if end}

    def stop(self) -> bool:
        """End jobs and daemons and remove every file, for the lock's holder; False where there were none."""
        state, deadline = self.state, time.monotonic() + PATIENCE
        if supervisor := self.supervisor:
            supervisor.send(signal.SIGTERM)
            while supervisor.alive and time.monotonic() < deadline:
                time.sleep(0.01)
        if state:  # what a supervisor that was killed could not end; each process is known by mark or record
            recorded = [state["supervisor"], *state["daemons"].values()]
            processes.end(filter(None, map(_living, recorded)))
            while left := [*processes.slurmstepd(self.directory / "spool"), *processes.marked(state["mark"])]:
                processes.end(left)
        shutil.rmtree(self.directory, ignore_errors=True)
        return bool(state)

    def start(self, shape: Shape) -> None:
        """Start the supervisor and return when the nodes are idle; SlurmError quotes a daemon's error."""
        self.directory.mkdir(mode=0o700)
        words = [sys.executable, "-P", "-S", "-m", f"{__name__}.supervisor", str(self.directory)]
        environment = slurm_commands.without_job(os.environ)
        environment["PYTHONPATH"] = str(Path(hpclab.__file__).parents[1])
        said = self.directory / "supervisor.out"
        try:
            with said.open("wb") as output:
                subprocess.run(
                    [*words, *map(str, astuple(shape))], stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, cwd="/", env=environment, check=True,
                )  # fmt: skip
        except BaseException as error:  # an interrupt leaves nothing half started
            told = said.read_text(errors="replace").strip()[-1000:] if said.exists() else ""
            self.stop()
            if isinstance(error, subprocess.CalledProcessError):
                raise SlurmError(f"Slurm did not start: {told or 'its supervisor was killed'}") from None
            raise


def find(stale: bool = False) -> LocalSlurm | None:
    """Return this user's running cluster on this machine, whichever process started it, or None; with `stale`
    also one whose supervisor was killed and whose files are left."""
    clusters = map(LocalSlurm, _directories())
    return next((it for it in clusters if it.is_up or (stale and it.directory.exists())), None)


def up(
    nodes: int | None = None,
    cores_per_node: int | None = None,
    gpus_per_node: int | None = None,
    *,
    restart: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> LocalSlurm:
    """Return our cluster, started if it is not running (by default 4 nodes with a core and a pretend GPU
    each), healed if a daemon has ended.

    One of another shape is kept, and `say` is called with a sentence on that; `restart` replaces it if no job
    is in its queue. Raises SlurmMissing without Slurm's programs, SlurmError with a daemon's message where
    they do not start, OSError without a private directory.
    """
    said = {"nodes": nodes, "cores_per_node": cores_per_node, "gpus_per_node": gpus_per_node}
    asked = {key: value for key, value in said.items() if value is not None}
    shape = Shape(**asked)
    for program in ("munged", "slurmctld", "slurmd", "sinfo", "sbatch"):
        slurm_commands.find(program)
    if obstacle := checks.slurm_obstacle():
        raise SlurmError(obstacle)
    home = private.home()
    cluster = find() or LocalSlurm(home.path / _name())
    for sentence in home.passed_over if not cluster.supervisor else ():
        say(f"The cluster's files are in {cluster.directory}; not in {sentence}")
    with private.lock(cluster.directory):
        if cluster.is_up:
            running = cluster.shape
            other = any(getattr(running, key) != value for key, value in asked.items())
            if not (other and restart):
                if other:
                    say(f"Slurm already runs with {running}; for {shape}: hpclab slurm up --restart.")
                if any("hpclab slurm up" in state for state in cluster.daemons.values()):
                    cluster.heal()
                return cluster
            squeue = [slurm_commands.find("squeue"), "--noheader", "--format=%A"]
            if slurm_commands.run(squeue, cluster.environment, attempts=2).strip():
                raise SlurmError(
                    f"Slurm runs with {running} and has jobs in its queue, so it is not restarted; end them "
                    "(scancel -u $USER) or wait."
                )
        cluster.stop()
        cluster.start(shape)
    return cluster


def down() -> bool:
    """End our cluster, or what a killed supervisor left, and remove its files; False where there is none."""
    if (cluster := find(stale=True)) is None:
        return False
    with private.lock(cluster.directory):
        return cluster.stop()


def _directories() -> Iterator[Path]:
    """Directories of clusters of ours: SLURM_CONF's if we wrote it, then one in each of
    `private.candidates()`."""
    named = os.environ.get("SLURM_CONF")
    if named and not os.environ.get("HPCLAB_STATE_DIR") and written_by_us(Path(named)):
        yield Path(named).parent
    for place in private.candidates():
        with suppress(OSError):
            if not private.why_not_private(place / _name()):
                yield place / _name()


def written_by_us(conf: Path) -> bool:
    """Whether this slurm.conf is one of hpclab's, so that it is never taken for a site's."""
    with suppress(OSError), conf.open(errors="replace") as text:
        return text.readline().startswith(WRITTEN_BY)
    return False


def _name() -> str:
    """The name of the cluster's directory: one per machine, as many may share a home directory."""
    return "slurm-" + "".join(c for c in socket.gethostname().split(".")[0] if c.isalnum() or c in "_-")[:16]


def _living(recorded: list[int] | None) -> Process | None:
    """The process `recorded` in state.json by its id and start time; None where it has ended."""
    process = Process(*recorded) if recorded else None
    return process if process and process.alive else None

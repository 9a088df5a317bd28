"""A real Slurm of our own on this machine, as an ordinary user: up, find, down.

One cluster per user and machine, found again through its state file by any later process (a restarted
kernel, another terminal). Starting twice is the same as starting once; two starts at the same moment wait for
each other.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hpclab
from hpclab import checks
from hpclab.cluster import slurm_commands
from hpclab.cluster.host import private
from hpclab.cluster.local_slurm.cluster import LocalSlurm
from hpclab.cluster.local_slurm.files import WRITTEN_BY, Shape

__all__ = ["LocalSlurm", "down", "find", "up", "written_by_us"]


def find(stale: bool = False) -> LocalSlurm | None:
    """Our running cluster, wherever this user's processes left it; None if there is none.

    With `stale` also one whose supervisor was killed, so that what it left can be cleared with `down`.
    """
    for directory in _directories():
        cluster = LocalSlurm(directory)
        if (cluster.supervisor and cluster.state["phase"] == "up") or (stale and directory.exists()):
            return cluster
    return None


def up(
    nodes: int | None = None,
    cores_per_node: int | None = None,
    gpus_per_node: int | None = None,
    *,
    restart: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> LocalSlurm:
    """Our cluster, started if it is not running (4 nodes of 1 core unless told), healed if part of it ended.

    Where one runs in another shape than asked for it is kept, and `say` is told so; `restart` replaces it if
    no job is in its queue. Raises SlurmMissing without Slurm's programs, SlurmError where they
    cannot start for this user or a daemon did not (in its own words), OSError without a private directory.
    """
    said = {"nodes": nodes, "cores_per_node": cores_per_node, "gpus_per_node": gpus_per_node}
    asked = {key: value for key, value in said.items() if value is not None}
    shape = Shape(**asked)
    for program in ("munged", "slurmctld", "slurmd", "sinfo", "sbatch"):
        slurm_commands.find(program)
    if obstacle := checks.slurm_obstacle():
        raise slurm_commands.SlurmError(obstacle)
    home = private.home()
    cluster = find() or LocalSlurm(home.path / _name())
    for sentence in home.passed_over if not cluster.supervisor else ():
        say(f"The cluster's files are in {cluster.directory}; not in {sentence}")
    with private.lock(cluster.directory):
        if cluster.supervisor and cluster.state["phase"] == "up":
            running = cluster.shape
            other = any(getattr(running, key) != value for key, value in asked.items())
            if other and not restart:
                say(f"Slurm already runs with {running}; for {shape}: hpclab slurm up --restart.")
            if not (other and restart):
                if any("hpclab slurm up" in state for state in cluster.daemons.values()):
                    cluster.heal()
                return cluster
            squeue = [slurm_commands.find("squeue"), "--noheader", "--format=%A"]
            if slurm_commands.run(squeue, cluster.environment, attempts=2).strip():
                raise slurm_commands.SlurmError(
                    f"Slurm runs with {running} and has jobs in its queue, so it is not restarted; end them "
                    "(scancel -u $USER) or wait."
                )
        cluster.stop()
        _start(cluster, shape)
    return cluster


def down() -> bool:
    """End our cluster and remove everything of it, also what one whose supervisor was killed left behind."""
    if (cluster := find(stale=True)) is None:
        return False
    with private.lock(cluster.directory):
        return cluster.stop()


def _start(cluster: LocalSlurm, shape: Shape) -> None:
    cluster.directory.mkdir(mode=0o700)
    package = str(Path(hpclab.__file__).parents[1])
    sizes = [str(number) for number in (shape.nodes, shape.cores_per_node, shape.gpus_per_node)]
    words = [sys.executable, "-P", "-S", "-m", f"{__name__}.supervisor", str(cluster.directory), *sizes]
    environment = slurm_commands.without_job(os.environ) | {"PYTHONPATH": package}
    with (cluster.directory / "supervisor.out").open("w+b") as output:
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=environment
            )
        except BaseException:  # an interrupt leaves nothing half started
            cluster.stop()
            raise
        if done.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()[-1000:] or "its supervisor was killed"
            cluster.stop()
            raise slurm_commands.SlurmError(f"Slurm did not start: {said}")


def _directories() -> Iterator[Path]:
    """Where a cluster of ours may be: beside the slurm.conf in force if that is ours, or in a home."""
    named = os.environ.get("SLURM_CONF")
    if named and not os.environ.get("HPCLAB_STATE_DIR") and written_by_us(Path(named)):
        yield Path(named).parent
    for place in private.candidates():
        directory = place / _name()
        with contextlib.suppress(OSError):
            if not private.why_not_private(directory):
                yield directory


def written_by_us(conf: Path) -> bool:
    """Whether this slurm.conf is one of hpclab's, so that it is never taken for a site's."""
    with contextlib.suppress(OSError), conf.open(errors="replace") as text:
        return text.readline().startswith(WRITTEN_BY)
    return False


def _name() -> str:
    """Per machine, because a home directory may be shared by many."""
    return "slurm-" + "".join(c for c in socket.gethostname().split(".")[0] if c.isalnum() or c in "_-")[:16]

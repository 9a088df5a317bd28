"""The one parent of munged, slurmctld and the slurmd: a program of its own that outlives who started it.

Daemons that put themselves into the background end up as children of process 1, which in many containers
never reaps; nobody could say what belongs to whom. Here they stay in the foreground below one process, which
also adopts every job process that loses its parent (a Linux "child subreaper"), writes down what it started,
and ends all of it on SIGTERM. A daemon that dies is not replaced by itself: its state is shown, and SIGUSR1
(`hpclab slurm up`) heals it. Standard library only, so that it starts in milliseconds.

    python -m hpclab.cluster.local_slurm.supervisor DIRECTORY NODES CORES_PER_NODE GPUS_PER_NODE
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpclab.cluster import slurm_commands
from hpclab.cluster.host import linux, processes
from hpclab.cluster.host.ports import Ports
from hpclab.cluster.host.processes import Process
from hpclab.cluster.local_slurm import files
from hpclab.cluster.local_slurm.daemons import Daemons

START_LIMIT = 60.0  # seconds until idle nodes; 1 is usual, forty starts at once on a small machine need more


class Supervisor:
    """`phase`: starting, or up."""

    def __init__(self, directory: Path, shape: files.Shape) -> None:
        self.directory, self.shape = directory, shape
        self.mark = os.urandom(16).hex()
        kept = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "TZ") if name in os.environ}
        self.environment = {
            **kept, "PATH": slurm_commands.path(), "LC_ALL": "C", processes.MARK: self.mark,
            "SLURM_CONF": str(directory / "daemons" / "slurm.conf"),
        }  # fmt: skip
        self.daemons = Daemons(directory, self.environment)
        self.phase, self.healed = "starting", 0
        self.ports: Ports | None = None

    def start(self) -> None:
        """From nothing to idle nodes; RuntimeError with the daemon's own words where that fails."""
        for name in ("munge", "log", "failed"):
            (self.directory / name).mkdir(mode=0o700)
        key = self.directory / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        version = files.version_of(self._ask("slurmctld", "-V"))
        memory = files.memory_of(self._ask("slurmd", "-C"))
        self.daemons.launch("munged")
        self._wait_for((self.directory / "munge" / "socket").exists)
        for attempt in range(5):
            self.ports = Ports.reserve(1 + self.shape.nodes)
            site = files.Site(self.directory, self.ports.numbers, version, memory, self.mark)
            files.write(site, self.shape)
            for name in ("slurmctld", *self.shape.names):
                self.daemons.launch(name)
            self.save()
            try:
                return self._wait_for(self._all_idle)
            except OSError:  # somebody else took a port between our look and the daemon's bind
                if attempt == 4:
                    raise RuntimeError("Five times in a row somebody else took the daemons' ports.") from None
                self._end_daemons()
                self.ports.release()

    def serve(self, ready: Callable[[], object]) -> None:
        """Wait for ended children, and to be told to heal; a signal ends it (SystemExit)."""
        wake, wakened = socket.socketpair()
        for end in (wake, wakened):
            end.setblocking(False)
        signal.set_wakeup_fd(wakened.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        self.phase = "up"
        self.save()
        ready()
        while (self.directory / "state.json").exists():  # whoever removes our files wants us gone
            heard = wake.recv(4096) if select.select([wake], [], [], 5.0)[0] else b""
            ended = self.daemons.reap()
            if signal.SIGUSR1 in heard:
                self._heal()
            if ended or signal.SIGUSR1 in heard:
                self.save()

    def _heal(self) -> None:
        """Start again what has ended, but for the nodes that are down on purpose."""
        for name, process in self.daemons.running.items():
            if process is None and not (self.directory / "failed" / name).exists():
                with contextlib.suppress(OSError, slurm_commands.SlurmError):
                    self.daemons.launch(name)
        self.healed += 1

    def save(self) -> None:
        """Write down what runs, for whoever looks for us later; atomic, so that no reader sees half of it."""
        me = Process.of(os.getpid())
        assert me is not None
        running = self.daemons.running
        state = {
            "supervisor": [me.pid, me.started], "phase": self.phase, "mark": self.mark, "healed": self.healed,
            "shape": [self.shape.nodes, self.shape.cores_per_node, self.shape.gpus_per_node],
            "ports": list(self.ports.numbers) if self.ports else [],
            "daemons": {name: [p.pid, p.started] if p else None for name, p in running.items()},
            "ended_with": self.daemons.ended_with,
        }  # fmt: skip
        fresh = self.directory / "state.new"
        with contextlib.suppress(OSError):  # a full disk must not end what runs
            fresh.write_text(json.dumps(state))
            fresh.replace(self.directory / "state.json")

    def end(self) -> None:
        """End jobs, daemons and whatever they left."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if self.daemons.running.get("slurmctld") and self.daemons.job_processes():
            with contextlib.suppress(slurm_commands.SlurmError):
                self._ask("scancel", "--user", str(os.getuid()), timeout=2.0)
            deadline = time.monotonic() + 2.0
            while self.daemons.job_processes() and time.monotonic() < deadline:
                self.daemons.reap()
                time.sleep(0.02)
        self._end_daemons()
        while left := {*processes.descendants(os.getpid()), *processes.marked(self.mark)}:
            processes.end(left, patience=0.5)

    def _end_daemons(self) -> None:
        processes.end([p for name, p in self.daemons.running.items() if p and name != "munged"], patience=1.0)

    def _all_idle(self) -> bool:
        words = ("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T")
        with contextlib.suppress(slurm_commands.SlurmError):
            return self._ask(*words, timeout=3.0).split() == ["idle"] * self.shape.nodes
        return False

    def _wait_for(self, ready: Callable[[], bool]) -> None:
        """Until `ready`; OSError where a port was taken, RuntimeError where a daemon ended otherwise."""
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            self.daemons.reap()
            for name, process in self.daemons.running.items():
                if process is None:
                    words = self.daemons.last_words(name)
                    if "Address already in use" in words:
                        raise OSError(words)
                    raise RuntimeError(f"{name} ended with {self.daemons.ended_with[name]}: {words}")
            if time.monotonic() > deadline:
                words = self.daemons.last_words("slurmctld")
                raise RuntimeError(f"The nodes are not idle after {START_LIMIT:g} s. slurmctld: {words}")
            time.sleep(0.02)

    def _ask(self, *words: str, timeout: float = 10.0) -> str:
        return slurm_commands.run([slurm_commands.find(words[0]), *words[1:]], self.environment, timeout)


def _leave(*_: Any) -> None:
    raise SystemExit(0)


def main(words: list[str]) -> int:
    """Returns, in a process that only waits for this, once the nodes are idle (0) or cannot be (1)."""
    directory, shape = Path(words[0]), files.Shape(*map(int, words[1:4]))
    os.umask(0o077)
    waiting, starting = os.pipe()
    if os.fork():  # the cluster belongs to nobody's shell or kernel
        os.close(starting)
        return 0 if os.read(waiting, 1) else 1
    os.setsid()
    linux.adopt_orphans()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    supervisor, failed = Supervisor(directory, shape), False
    supervisor.save()
    try:
        supervisor.start()
        supervisor.serve(ready=lambda: os.write(starting, b"."))
    except Exception as error:
        failed = True
        print(str(error) or type(error).__name__, file=sys.stderr, flush=True)
    finally:
        supervisor.end()
        if not failed:  # else whoever started us reads what we said first
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

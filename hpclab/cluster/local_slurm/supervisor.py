"""The one parent of munged, slurmctld and the slurmd: a program of its own that outlives who started it.

Daemons that put themselves into the background end up as children of process 1, which in many containers
never reaps; nobody could say what belongs to whom. Here they stay in the foreground below one process, which
also adopts every job process that loses its parent (a Linux "child subreaper"), writes down what it started,
and ends all of it on SIGTERM. A daemon that dies is not replaced by itself: its state is shown, and `hpclab
slurm up` heals it. Standard library only, so that it starts in milliseconds.

    python -m hpclab.cluster.local_slurm.supervisor DIRECTORY NODES CORES_PER_NODE GPUS_PER_NODE
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
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
from hpclab.cluster.local_slurm import files as slurm_files
from hpclab.cluster.local_slurm.daemons import Daemons

START_LIMIT = 60.0  # seconds until idle nodes; 1 is usual, forty starts at once on a small machine need more


class Supervisor:
    """`failed`: nodes that are down on purpose; `phase`: starting, up, or failed with a `message`."""

    def __init__(self, directory: Path, shape: slurm_files.Shape) -> None:
        self.directory, self.shape = directory, shape
        self.mark = os.urandom(16).hex()
        kept = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "TZ") if name in os.environ}
        self.environment = {
            **kept,
            "PATH": slurm_commands.path(),
            "LC_ALL": "C",
            "SLURM_CONF": str(directory / "daemons" / "slurm.conf"),
            processes.MARK: self.mark,
        }
        self.daemons = Daemons(directory, self.environment)
        self.failed: set[str] = set()
        self.phase, self.message = "starting", ""
        self.ports: Ports | None = None

    def start(self) -> None:
        """From nothing to idle nodes; RuntimeError with the daemon's own words where that fails."""
        for name in ("munge", "log"):
            (self.directory / name).mkdir(mode=0o700)
        key = self.directory / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        version = slurm_files.version_of(self._ask("slurmctld", "-V"))
        memory = slurm_files.memory_of(self._ask("slurmd", "-C"))
        self.daemons.launch("munged")
        self._wait_for((self.directory / "munge" / "socket").exists)
        for attempt in range(5):
            self.ports = Ports.reserve(1 + self.shape.nodes)
            site = slurm_files.Site(self.directory, self.ports.numbers, version, memory, self.mark)
            slurm_files.write(site, self.shape)
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

    def heal(self) -> None:
        """Start again what has ended, but for the nodes that are down on purpose."""
        for name, process in self.daemons.running.items():
            if process is None and name not in self.failed:
                self.daemons.launch(name)

    def fail(self, node: str) -> None:
        """What a power cut does: the node's slurmd, its step daemons and their tasks end together."""
        self.failed.add(node)
        spool, slurmd = self.directory / "spool" / node, self.daemons.running[node]
        while found := processes.on_node(node, spool, slurmd, self.mark):
            for process in found:
                process.send(signal.SIGKILL)
            self.daemons.reap()
            time.sleep(0.01)

    def restore(self, node: str) -> None:
        self.failed.discard(node)
        if self.daemons.running[node] is None:
            self.daemons.launch(node)

    def serve(self) -> None:
        """Wait for ended children, and for requests on the control socket; a signal ends it (SystemExit)."""
        wake, wakened = socket.socketpair()
        for end in (wake, wakened):
            end.setblocking(False)
        signal.set_wakeup_fd(wakened.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
            listener.bind(str(self.directory / "control"))
            listener.listen()
            selector.register(wake, selectors.EVENT_READ)
            selector.register(listener, selectors.EVENT_READ)
            self.phase = "up"
            self.save()
            while (self.directory / "state.json").exists():  # whoever removes our files wants us gone
                for key, _ in selector.select(timeout=5.0):
                    if key.fileobj is listener:
                        self._answer(listener.accept()[0])
                    else:
                        wake.recv(4096)
                if self.daemons.reap():
                    self.save()

    def save(self) -> None:
        """Write down what runs, for whoever looks for us later; atomic, so that no reader sees half of it."""
        me = Process.of(os.getpid())
        assert me is not None
        running = self.daemons.running
        state = {
            "supervisor": [me.pid, me.started],
            "phase": self.phase,
            "message": self.message,
            "mark": self.mark,
            "shape": [self.shape.nodes, self.shape.cores_per_node, self.shape.gpus_per_node],
            "ports": list(self.ports.numbers) if self.ports else [],
            "daemons": {name: [p.pid, p.started] if p else None for name, p in running.items()},
            "ended_with": self.daemons.ended_with,
            "failed": sorted(self.failed),
        }
        fresh = self.directory / "state.new"
        with contextlib.suppress(OSError):  # a full disk must not end what runs
            fresh.write_text(json.dumps(state))
            fresh.replace(self.directory / "state.json")

    def end(self, keep_state: bool = False) -> None:
        """End jobs, daemons and whatever they left, then remove our files."""
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
        if not keep_state:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _end_daemons(self) -> None:
        processes.end([p for name, p in self.daemons.running.items() if p and name != "munged"], patience=1.0)

    def _all_idle(self) -> bool:
        try:
            states = self._ask(
                "sinfo", "--noheader", "--Node", "--partition=main", "--format=%T", timeout=3.0
            )
        except slurm_commands.SlurmError:
            return False
        return states.split() == ["idle"] * self.shape.nodes

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
        return slurm_commands.run(
            [slurm_commands.find(words[0]), *words[1:]], self.environment, timeout=timeout
        )

    def _answer(self, connection: socket.socket) -> None:
        requests: dict[str, Callable[..., None]] = {
            "heal": self.heal,
            "fail": self.fail,
            "restore": self.restore,
        }
        with connection:
            connection.settimeout(5.0)
            try:
                word, *names = connection.recv(1000).decode().split()
                requests[word](*names)
                self.save()
                connection.sendall(b"done")
            except Exception as error:  # a bad request must not take the cluster down
                with contextlib.suppress(OSError):
                    connection.sendall(f"{type(error).__name__}: {error}".encode())


def _leave(*_: Any) -> None:
    raise SystemExit(0)


def main(words: list[str]) -> int:
    directory, shape = Path(words[0]), slurm_files.Shape(*map(int, words[1:4]))
    os.umask(0o077)
    if os.fork():  # the caller waits for this one only; the cluster belongs to nobody's shell or kernel
        return 0
    os.setsid()
    linux.adopt_orphans()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    supervisor = Supervisor(directory, shape)
    supervisor.save()
    try:
        supervisor.start()
        supervisor.serve()
    except Exception as error:
        supervisor.phase, supervisor.message = "failed", str(error) or type(error).__name__
        supervisor.save()
        print(supervisor.message, file=sys.stderr, flush=True)
    finally:
        supervisor.end(keep_state=supervisor.phase == "failed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""A cluster of several hosts on this machine, with a Slurm that root runs for everybody, as a site has it.

Each host is a set of namespaces with a /tmp of its own; all see one file system in memory with their users'
homes. They live inside one more set of namespaces, whose first process reads our pipe: when whoever holds the
site ends, the kernel ends everything within. So nothing is left behind, and two sites never meet.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = "/mnt"  # on the hosts: the file system that all of them see
USER, UID, HOME = "ada", 61803, f"{SHARED}/ada"  # the first user; others follow
PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "mount", "slurmctld", "slurmd", "munged")
PATH = f"{SHARED}/bin:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
# A namespace's first process: it answers, and ends with our pipe. It inherits orphans, which leave no dead.
FIRST = ("env", "--ignore-signal=CHLD", "cat")
SETTINGS: dict[str, str | None] = {
    "ClusterName": "mini", "SlurmctldHost": "login(10.77.0.1)", "SlurmUser": "root",
    "AuthType": "auth/munge", "AuthInfo": f"socket={SHARED}/munge/socket",
    "StateSaveLocation": f"{SHARED}/state", "SlurmdSpoolDir": "/tmp/spool",
    "SlurmctldPidFile": "/tmp/slurmctld.pid", "SlurmdPidFile": "/tmp/slurmd.pid",
    "SlurmctldLogFile": f"{SHARED}/log/login", "SlurmdLogFile": f"{SHARED}/log/%n",
    "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none", "MpiDefault": "none",
    "SelectType": "select/cons_tres", "SelectTypeParameters": "CR_Core_Memory", "ReturnToService": "2",
    "MailProg": "/bin/true",
}  # fmt: skip
MAIN = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"
JOBQUEUE = "interface: eth0\nmemory: 1 GiB"


def _missing() -> str:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "only root on Linux can make hosts out of namespaces"
    if lacking := [name for name in PROGRAMS if not shutil.which(name, path=PATH)]:
        return f"needs {', '.join(lacking)}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return "no namespaces can be made here" if tried.returncode else ""


class Site(AbstractContextManager):
    """A host `login` and `hosts` compute hosts c1, c2 … of `cores` cores. `settings` replaces keys of
    slurm.conf (None takes one out), `nodes` and `partitions` its lines on these; `jobqueue` is the user's
    Dask configuration; `programs` go into a folder that comes first on everybody's PATH; `prepare` is shell
    that root runs on every host, whose name is $1, before Slurm starts; `users` have a home each and their
    name as password. With `conf`, `prepare` starts a Slurm of that slurm.conf."""

    def __init__(
        self, hosts: int = 2, cores: int = 2, *, settings: Mapping[str, str | None] | None = None,
        nodes: str = "", partitions: str = MAIN, jobqueue: str = JOBQUEUE,
        programs: Mapping[str, str] | None = None, prepare: str = "", users: tuple[str, ...] = (USER,),
        conf: str = "",
    ):  # fmt: skip
        self.home = HOME
        self.conf = conf or f"{SHARED}/slurm.conf"
        self.hosts = [f"c{number}" for number in range(1, hosts + 1)]
        self.started: list[subprocess.Popen[str]] = []
        self.first: dict[str, int] = {}  # the first process of each host, and of the network between them
        self.environment = {"PATH": PATH, "SLURM_CONF": self.conf, "PYTHONPATH": str(ROOT),
                            "LANG": "C.UTF-8"}  # fmt: skip
        self.users = {name: UID + at for at, name in enumerate(users)}
        nodes = nodes or "\n".join(
            f"NodeName={name} NodeAddr=10.77.0.{at} CPUs={cores} RealMemory=4000"
            for at, name in enumerate(self.hosts, 2)
        )
        keys = (SETTINGS | dict(settings or {})).items()
        lines = [f"{key}={value}" for key, value in keys if value is not None]
        text = "\n".join([*lines, nodes, partitions, ""])
        try:
            self._make_network(text, jobqueue, programs or {})
            for at, name in enumerate(("login", *self.hosts), 1):
                self._make_host(name, f"10.77.0.{at}", prepare)
            if not conf:
                self._start_slurm()
        except BaseException:
            self.end()
            raise

    def __exit__(self, *error: object) -> None:
        self.end()

    def run(
        self, *words: object, host: str = "login", cwd: str = "", timeout: float = 120, user: str = "",
        **environment: str,
    ) -> str:  # fmt: skip
        """What the command prints as a user (the first) on `host`; AssertionError where it fails."""
        user = user or next(iter(self.users))
        home, uid = f"{SHARED}/{user}", self.users[user]
        as_user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env", "-i", "-C", cwd or home]
        known = self.environment | {"HOME": home, "USER": user} | environment
        pairs = [f"{name}={value}" for name, value in known.items()]
        done = subprocess.run(
            [*self._inside(host), "setpriv", *as_user, *pairs, *map(str, words)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, f"{words[:3]} ended with {done.returncode}:\n{done.stdout[-8000:]}"
        return done.stdout

    def python(self, program: str, **more: str) -> str:
        """The same for a Python program, given as its text."""
        return self.run(sys.executable, "-c", program, **more)

    def root(self, script: str, host: str = "login") -> str:
        """What a piece of shell prints that root runs on `host`."""
        words = [*self._shell(host), "-ec", script, "sh", host]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"on {host or 'the network'}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def path(self, name: str, host: str = "") -> Path:
        """Where this test finds a path of a host, or one of the shared file system."""
        return Path(f"/proc/{self.first[host]}/root") / (name if host else f"{SHARED}/{name}").lstrip("/")

    def end(self) -> None:
        for one in reversed(self.started):
            if one.stdin:
                one.stdin.close()
        for one in self.started:
            one.wait(30)

    def _make_network(self, conf: str, jobqueue: str, programs: Mapping[str, str]) -> None:
        self.first[""] = self._begin([])
        self.kept = sorted({os.path.realpath(place) for place in (sys.prefix, sys.base_prefix, ROOT)})
        above = {str(one) for place in self.kept for one in Path(place).parents}
        closed = [place for place in sorted(above) if not os.stat(place).st_mode & 0o001]
        stash = [f"mkdir -p kept/{at}; mount --bind {place} kept/{at}" for at, place in enumerate(self.kept)]
        mount = f"mount -t tmpfs -o mode=755 shared {SHARED}; cd {SHARED}; {'; '.join(stash)}; cp -a /etc ."
        self.root(f"{mount}\n{self._covered(closed)}", "")
        settings = "".join(f"    {line}\n" for line in jobqueue.splitlines())
        names = "".join(f"10.77.0.{at} {name}\n" for at, name in enumerate(("login", *self.hosts), 1))
        system = re.compile(r"^[^:\n]+:[^:\n]*:(?:\d{1,3}|64\d{3}):.*\n", re.MULTILINE)  # root and daemons
        files = {
            "slurm.conf": conf, "etc/hosts": f"127.0.0.1 localhost\n{names}",
            "etc/passwd": "".join(system.findall(Path("/etc/passwd").read_text())),
            "etc/group": "".join(system.findall(Path("/etc/group").read_text())),
            "etc/shadow": "root:*:1::::::\n", **{f"bin/{name}": text for name, text in programs.items()},
        }  # fmt: skip
        for name, uid in self.users.items():
            files["etc/passwd"] += f"{name}:x:{uid}:{uid}::{SHARED}/{name}:/bin/sh\n"
            files["etc/group"] += f"{name}:x:{uid}:\n"
            files["etc/shadow"] += f"{name}:*:1::::::\n"
            text = f"jobqueue:\n  slurm:\n{settings}" if settings else ""
            files[f"{name}/.config/dask/jobqueue.yaml"] = text
        for name, text in files.items():
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            self.path(name).write_text(text)
        self.root(f"""cd {SHARED}; mkdir -p state log munge bin
            chmod 700 state; chmod 755 munge; chmod -R a+x bin
            head -c 1024 /dev/urandom > munge/key; chmod 600 munge/key
            chmod 640 etc/shadow
            {"; ".join(f"chown -R {uid}:{uid} {name}; chmod 700 {name}" for name, uid in self.users.items())}
            mount --bind etc /etc
            for one in {" ".join(self.users)}; do echo $one:$one | chpasswd -c SHA512; done
            ip link add lan type bridge; ip link set lan up""", "")  # fmt: skip

    def _make_host(self, name: str, address: str, prepare: str) -> None:
        self.first[name] = pid = self._begin(self._inside("", "pm"))
        link = f"ip link add {name}-lan master lan up type veth peer name eth0 netns {pid}".split()
        subprocess.run([*self._inside("", "n"), *link], check=True, env={"PATH": PATH})
        self.root(
            f"hostname {name}; ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up\n"
            f"{self._covered(['/tmp', '/dev/shm'])}\n{prepare}",
            name,
        )

    def _begin(self, inside: list[str]) -> int:
        """A new set of namespaces; the number by which its first process is known to us."""
        words = ["unshare", "--pid", "--fork", "--mount-proc", "--net", "--uts", "--ipc", "--mount", *FIRST]
        one = subprocess.Popen(
            [*inside, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PATH": PATH},
            start_new_session=True,
        )  # fmt: skip
        self.started.append(one)
        assert one.stdin is not None
        assert one.stdout is not None
        print("here", file=one.stdin, flush=True)
        assert one.stdout.readline() == "here\n", "no namespace could be made"
        pid = one.pid
        while below := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid = int(below[0])
        return pid

    def _covered(self, places: list[str]) -> str:
        """Shell: an empty file system over each place, and what the hosts need from there put back."""
        lines = [f"mount -t tmpfs -o mode={'1777' if place in ('/tmp', '/dev/shm') else '755'} own {place}"
                 for place in places]  # fmt: skip
        for at, kept in enumerate(self.kept):
            if any(Path(kept).is_relative_to(place) for place in places):
                lines.append(f"mkdir -p {kept}; mount --bind {SHARED}/kept/{at} {kept}")
        return "\n".join(lines)

    def _inside(self, host: str, spaces: str = "pnuim") -> list[str]:
        return ["nsenter", f"--target={self.first[host]}", *(f"-{space}" for space in spaces)]

    def _shell(self, host: str) -> list[str]:
        return [*self._inside(host), "env", f"PATH={PATH}", f"SLURM_CONF={self.conf}", "sh"]

    def _start_slurm(self) -> None:
        version = re.search(r"(\d+)\.(\d+)", self.root("slurmctld -V"))
        if version and (int(version[1]), int(version[2])) >= (24, 5):
            self.path("cgroup.conf").write_text("CgroupPlugin=disabled\n")
        munge = " ".join(f"--{name}-file={SHARED}/munge/{name}" for name in ("key", "pid", "seed", "log"))
        self._daemon("login", f"munged --foreground --force --socket={SHARED}/munge/socket {munge}")
        self._daemon("login", "slurmctld -D")
        for name in self.hosts:
            self._daemon(name, "mkdir -p /tmp/spool; exec slurmd -D")
        deadline = time.monotonic() + 60
        while len(self.root("sinfo -h -N -t idle -o %n 2>&1 || true").split()) < len(self.hosts):
            logs = {log.name: log.read_text()[-1500:] for log in self.path("log").iterdir()}
            assert time.monotonic() < deadline, logs
            time.sleep(0.2)

    def _daemon(self, host: str, command: str) -> None:
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        words = [*self._shell(host), "-c", command]
        self.started.append(subprocess.Popen(words, **quiet, text=True, start_new_session=True))


@pytest.fixture(scope="session")
def new_site() -> type[Site]:
    """``with new_site(2) as site``, where one can be made."""
    if reason := _missing():
        pytest.skip(reason)
    return Site

"""What a node sees of a site's settings, in one line of JSON; a program of its own, of the standard library.

`hpclab doctor --site` puts it beside ask.json into a private folder that the nodes share, and a job runs it
once a node: ``python node_probe.py FOLDER``. It also holds what both ends do, and runs on old Pythons,
because the node's own may be all there is.
"""

import fcntl
import hmac
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 5.0  # seconds for a connection
LONGEST = 300  # characters of what a program or the system said
# Run by the interpreter in question: its version, hpclab's, and those of what pools and lessons need.
SOFTWARE = """
import importlib.metadata, json, sys
found = {"Python": "%d.%d" % sys.version_info[:2], "hpclab": None}
for name in ("numba", "torch", "distributed"):
    try:
        found[name] = importlib.metadata.version(name)
    except Exception:
        found[name] = None
try:
    import hpclab
    found["hpclab"] = hpclab.__version__
except Exception:
    pass
print(json.dumps(found))
"""


def address(interface: str) -> str:
    """The IPv4 address of a network interface, or with "" the one that leads out; OSError where none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        if interface:
            here = {}
            for _, name in socket.if_nameindex():
                with suppress(OSError):
                    asked = struct.pack("256s", name.encode()[:15])
                    here[name] = socket.inet_ntoa(fcntl.ioctl(one, 0x8915, asked)[20:24])  # SIOCGIFADDR
            if interface not in here:
                named = ", ".join(sorted(here.keys() - {"lo"})) or "none"
                raise OSError(f"no interface {interface} with an IPv4 address, but {named}")
            return here[interface]
        try:  # as Dask finds it; nothing is sent
            one.connect(("8.8.8.8", 80))
            return str(one.getsockname()[0])
        except OSError:
            return socket.gethostbyname(socket.gethostname())


class Listener(threading.Thread):
    """Tells this host's clock to whoever knows `token`; nobody else gets a word."""

    def __init__(self, host: str, token: str):
        super().__init__(daemon=True)
        self.token = token
        self.socket = socket.socket(socket.AF_INET)
        self.socket.bind((host, 0))
        self.socket.listen(16)
        self.start()

    def run(self) -> None:
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:  # closed
                return
            with one, suppress(OSError):
                one.settimeout(2.0)
                said = one.makefile("rb").readline(200).strip()
                if hmac.compare_digest(said, self.token.encode()):
                    one.sendall(json.dumps(time.time()).encode() + b"\n")

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # which wakes accept
        self.socket.close()


def ahead(where: list, token: str) -> list:
    """Seconds that a Listener's clock is ahead of ours, and how uncertain: half the shortest round trip."""
    best = [0.0, 1e9]
    for _ in range(3):
        with socket.create_connection(tuple(where), PATIENCE) as one:
            begin = time.monotonic()
            one.sendall(token.encode() + b"\n")
            said = one.makefile("rb").readline(200)
            trip = time.monotonic() - begin
            here = time.time() - trip / 2
        if not said:
            raise OSError("somebody else answers there")
        best = min(best, [float(said) - here, trip / 2], key=lambda each: each[1])
    return best


def write(path: str, text: str) -> None:
    """A new file, whole or not at all."""
    with open(path + "~", "x") as file:
        file.write(text)
    os.replace(path + "~", path)


def folder(path: str) -> list:
    """Make a folder where it is missing; the levels that were made, deepest first, for `remove`."""
    missing, above = [], path
    while not os.path.isdir(above) and os.path.dirname(above) != above:
        missing.append(above)
        above = os.path.dirname(above)
    os.makedirs(path, 0o700, exist_ok=True)
    return missing


def remove(paths: list) -> None:
    for path in paths:
        with suppress(OSError):
            os.remove(path) if os.path.isfile(path) else os.rmdir(path)


def until(condition: Callable, seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _expanded(text: str) -> str:
    text = os.path.expandvars(os.path.expanduser(text))
    if "$" in text:
        raise OSError(f"a variable in {text} is not set there")
    return text


def _said(words: list, environment: dict) -> str:
    """What a program prints; OSError with the last line of what it complained of."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=45, check=False
    )
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise OSError(complaint.splitlines()[-1].strip())
    return done.stdout.decode(errors="replace")


class Probe:
    """`wrong[key]` is what was found wrong with a setting or step, or "" where it works."""

    def __init__(self, place: str):
        with open(os.path.join(place, "ask.json")) as file:
            self.asked = json.load(file)
        self.place, self.rank = place, int(os.environ.get("SLURM_PROCID", "0"))
        self.token, self.left, self.wrong = self.asked["token"], [], {}  # type: str, list, dict
        self.host = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        self.told = {"host": self.host, "wrong": self.wrong}  # type: dict

    def attempt(self, key: str, step: Callable, *arguments: object) -> None:
        self.wrong[key] = ""
        try:
            step(*arguments)
        except Exception as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.wrong[key] = " ".join(said.split())[:LONGEST]

    def run(self) -> None:
        asked = self.asked
        self.attempt("interface", address, asked["interface"])
        door = Listener(address("" if self.wrong["interface"] else asked["interface"]), self.token)
        # Before a file is made anywhere else: where srun cannot start all, it kills those that run.
        all_here = self.meet("at", json.dumps([self.host, door.socket.getsockname()]))
        for key in ("home", "local", "wall", "scratch"):
            if asked[key]:
                self.attempt(key, self.leave, asked[key], key)
        if asked["scratch"]:
            self.attempt("shared", self.find)
        for at, name in enumerate(asked["modules"]):
            self.attempt("modules " + name, self.loaded, at)
        if asked["image"]:
            self.attempt("image", self.image)
        if not self.wrong.get("image"):
            self.attempt("python", self.software)
        self.attempt("sbatch", self.submit)
        self.attempt("login", lambda: self.told.update(ahead=ahead(asked["login"], self.token)))
        for other in range(asked["nodes"]):
            if other != self.rank:
                self.attempt(f"peer {other}", self.reach, other)
        if all_here:
            self.meet("done", "")
        door.close()

    def meet(self, step: str, text: str) -> bool:
        """Whether every node came so far in time; file systems may show a new file late."""
        notes = [os.path.join(self.place, f"{rank}.{step}") for rank in range(self.asked["nodes"])]
        write(notes[self.rank], text)
        return until(lambda: all(os.path.exists(note) for note in notes), 40)

    def reach(self, other: int) -> None:
        with open(os.path.join(self.place, f"{other}.at")) as file:
            host, where = json.load(file)
        try:
            ahead(where, self.token)
        except OSError as error:
            raise OSError(f"no way to {host} at {where[0]}: {error.strerror or error}") from None

    def leave(self, path: str, key: str) -> None:
        path = _expanded(path)
        made = folder(path) if key != "wall" else []
        file = os.path.join(path, f"hpclab-doctor-{self.token[:8]}-{key}-{self.rank}")
        self.left += [file, *made]
        write(file, self.token)

    def find(self) -> None:
        path = os.path.join(self.asked["scratch"], "hpclab-doctor-" + self.token[:8])
        with open(path) as file:
            if file.read(100) != self.token:
                raise OSError("another file")

    def loaded(self, at: int) -> None:
        with open(os.path.join(self.place, f"{self.rank}.module-{at}"), errors="replace") as file:
            said = file.read(4000)
        if re.search(r"Unable to locate|ERROR|exit status [1-9]", said):
            raise OSError(re.sub(r"^\S+: line \d+: ", "", said.strip().splitlines()[0]))

    def image(self) -> None:
        image = _expanded(self.asked["image"])
        if not os.path.exists(image):
            raise OSError(f"there is no {image}")
        if not shutil.which("apptainer"):
            raise OSError("there is no apptainer on PATH")
        _said(["apptainer", "exec", image, "true"], dict(os.environ))

    def software(self) -> None:
        words = [_expanded(word) for word in self.asked["python"]]
        self.told["software"] = json.loads(_said([*words, "-P", "-c", SOFTWARE], dict(os.environ))[:4000])

    def submit(self) -> None:
        own = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")
        outside = {name: value for name, value in os.environ.items()
                   if not name.startswith(("SLURM", "SBATCH_")) or name in own}  # fmt: skip
        _said(["sbatch", "--test-only", "--output=/dev/null", "--wrap=true", *self.asked["options"]], outside)


def main(place: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # scancel: what was left goes
    probe = Probe(place)
    try:
        probe.run()
        print(json.dumps(probe.told), flush=True)
        until(lambda: os.path.exists(os.path.join(place, "seen")), 20)
    finally:
        remove(probe.left)


if __name__ == "__main__":
    main(sys.argv[1])

"""A program that tries a site's settings on a node. The jobs of `hpclab doctor --site` carry its source to
whatever Python a node has, maybe an old one, so it imports the standard library alone. It answers with JSON
in the folders that the node shares with the host that asks."""

import fcntl
import hmac
import json
import os
import re
import signal
import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 5.0  # seconds for a connection
SKEW = 2.0  # seconds that clocks may differ


def printable_line(text: str) -> str:
    """`text` in one line of at most 300 characters, without control characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))[:300]


def ipv4_address(interface: str) -> str:
    """The IPv4 address of a network `interface`, for "" of the default route's; OSError where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        if not interface:
            with suppress(OSError):  # as Dask finds it; nothing is sent
                one.connect(("8.8.8.8", 80))
                return str(one.getsockname()[0])
            return socket.gethostbyname(socket.gethostname())
        here = {}
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                asked = struct.pack("256s", name.encode()[:15])
                here[name] = socket.inet_ntoa(fcntl.ioctl(one, 0x8915, asked)[20:24])  # SIOCGIFADDR
        if interface not in here:
            named = ", ".join(sorted(here.keys() - {"lo"})) or "none"
            raise OSError(f"no interface {interface} with an IPv4 address, but {named}")
        return here[interface]


class _Clock(socketserver.StreamRequestHandler):
    """Answers a connection that sends the token with the time here (s since the epoch, JSON)."""

    timeout = 2.0

    def handle(self) -> None:
        with suppress(OSError):
            said = self.rfile.readline(200).strip()
            if hmac.compare_digest(said, self.server.token):  # type: ignore[attr-defined]
                self.wfile.write(json.dumps(time.time()).encode() + b"\n")


class Listener(socketserver.TCPServer):
    """TCP server that sends this host's time to clients that send `token`, and nothing to others."""

    def __init__(self, host: str, token: str):
        super().__init__((host, 0), _Clock)
        self.token = token.encode()
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


def clock_offset(where: list, token: str) -> tuple:
    """Seconds that the clock of the Listener at `where` is ahead of ours, and the error bound."""
    with socket.create_connection(tuple(where), PATIENCE) as one:
        begin = time.monotonic()
        one.sendall(token.encode() + b"\n")
        said = one.makefile("rb").readline(200)
        half = (time.monotonic() - begin) / 2
        if not said:
            raise OSError("somebody else answers there")
        return float(said) - (time.time() - half), half


def write_json(path: str, value: object) -> None:
    """Write `value` as JSON to a temporary file and rename it to `path`."""
    with open(path + "~", "w") as file:
        json.dump(value, file)
    os.replace(path + "~", path)


def run_shell(text: str) -> None:
    """Run `text` with bash; OSError with the last line of its standard error where it fails."""
    done = subprocess.run(
        ["bash", "-euc", text], stdin=subprocess.DEVNULL, capture_output=True, timeout=45, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise OSError(re.sub(r"^bash: line \d+: ", "", said.splitlines()[-1]))


class Probe:
    """Tries settings on `host`, as NodeJobs `asked`; `wrong[finding]` is its error, or "" where it works."""

    def __init__(self, host: str, asked: dict):
        self.host, self.asked, self.wrong, self.folders = host, asked, {}, []  # type: str, dict, dict, list

    def attempt(self, key: str, step: Callable, *arguments: object) -> None:
        """Call `step(*arguments)` and enter its error, or "", as `wrong[key]`."""
        self.wrong[key] = ""
        try:
            step(*arguments)
        except Exception as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.wrong[key] = printable_line(said)

    def listen(self) -> Listener:
        """Start a Listener on the interface of the settings, or on the default route's."""
        interface = self.asked["interface"]
        self.attempt("interface", ipv4_address, interface)
        return Listener(ipv4_address("" if self.wrong["interface"] else interface), self.asked["token"])

    def run(self) -> None:
        """Try everything and answer; then wait to be cancelled, because other nodes may still connect."""
        with self.listen() as door:
            for key, folder in self.asked["shared"].items():
                self.attempt(key, self.share, folder)
            for key, text in self.asked["shell"].items():
                if key != "python" or not self.wrong.get("image"):
                    self.attempt(key, run_shell, text)
            self.attempt("nodes to this host", self.clock)
            self.write_answer(door)
            if self.folders:
                self.attempt("between nodes", self.connect_to_peers)
                self.write_answer(door)
                signal.pause()

    def write_answer(self, door: Listener) -> None:
        """Write, as JSON into each of `folders`, this host, the address of `door`, and what is wrong."""
        for folder in self.folders:
            told = {"host": self.host, "at": door.server_address, "wrong": self.wrong}
            write_json(os.path.join(folder, self.asked["name"]), told)

    def share(self, folder: str) -> None:
        """Check that `folder` is the asking host's, by writing to it, and answer there from now on."""
        if not os.path.isdir(folder):
            raise OSError("it is not the folder that this host sees there")
        write_json(os.path.join(folder, self.asked["name"]), {})
        self.folders.append(folder)

    def clock(self) -> None:
        """Connect to the asking host and compare its clock with ours."""
        by, unsure = clock_offset(self.asked["login"], self.asked["token"])
        way = "behind" if by > 0 else "ahead of"
        self.wrong["clocks"] = f"{abs(by):.1f} s {way} this host" if abs(by) - unsure > SKEW else ""

    def connect_to_peers(self) -> None:
        """Connect to each node, once all have told where they listen."""
        peers = {}  # type: dict
        while not peers:
            time.sleep(0.1)
            for folder in self.folders:
                with suppress(OSError), open(os.path.join(folder, "peers")) as file:
                    peers = json.load(file)
        for host, where in peers.items():
            try:
                clock_offset(where, self.asked["token"])
            except OSError as error:
                raise OSError(f"no way to {host} at {where[0]}: {error.strerror or error}") from None


if __name__ == "__main__":
    own = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    Probe(own, json.loads(os.environ.pop("HPCLAB_ASKED"))).run()

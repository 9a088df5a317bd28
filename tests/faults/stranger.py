"""What another user of the machine can try: a program of the standard library, run as somebody else.

It reads a JSON object from standard input: the victim's files and its processes' (`paths`), its `ports` and
Unix `sockets`, a `secret` that stands in the `secret_file`, and the text of its Slurm's `configuration`,
though nobody could know all that. It prints what it got, a sentence each: an empty list where all is well.
"""

import concurrent.futures
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PAGES = (
    "/", "/status", "/json/identity.json", "/info/main/workers.html", "/metrics", "/health", "/sitemap.json",
    "/proxy/1/127.0.0.1/status", "/api/status", "/api/sessions", "/api/contents", "/api/kernels", "/lab",
    "/api/terminals", "/files/05_scale_out_with_dask.ipynb", "/hpclab/dashboard/status", "/proxy/80/",
    "/dask/clusters", "/lab/api/workspaces", "/static/../../etc/passwd", "/status?key=", "/?token=",
)  # fmt: skip
ROOMS = ("/status/ws", "/hpclab/dashboard/status/ws", "/api/kernels/1/channels", "/terminals/websocket/1")
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: QUFB\r\nSec-WebSocket-Version: 13\r\n"
)
COMMANDS = (
    "sinfo", "squeue", "scontrol show job", "scontrol show config", "scancel 1", "srun -N1 cat SECRET",
    "scontrol update NodeName=node1 State=DOWN Reason=x", "scontrol shutdown", "sbatch --wrap=true",
)  # fmt: skip


def read(paths):
    for path in paths:
        try:
            os.listdir(path) if os.path.isdir(path) else open(path, "rb").close()
        except OSError:
            continue
        yield f"read {path}"


def enter(names):
    for name in names:
        with socket.socket(socket.AF_UNIX) as visit:
            try:
                visit.connect(name)
            except OSError:
                continue
        yield f"entered the socket {name!r}"


def ask(port, page, secure):
    more = UPGRADE if page in ROOMS else "Connection: close\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as visit:
            if secure:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                visit = context.wrap_socket(visit)
            visit.sendall(f"GET {page} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n".encode())
            said = b""
            while (chunk := visit.recv(65536)) and not (page in ROOMS and b"\r\n\r\n" in said + chunk):
                said += chunk
            said += chunk
    except (OSError, ValueError):
        return ""
    return said.decode(errors="replace")


def browse(port, secret):
    for secure in (False, True):
        for page in (*PAGES, *ROOMS):
            said = ask(port, page, secure)
            if not said and page == "/":
                break  # whatever it is, it is no web server
            code = said[9:12]
            to_login = code == "302" and ("Location: /login?" in said or "Location: /lab?" in said)
            refused = to_login or code in ("", "400", "403", "404")
            if not refused or secret in said:
                yield f"saw {page} of port {port}: {said[:200]!r}"


def listen_in(port):
    """A kernel's sockets speak ZMTP; without CURVE anyone may subscribe to all that a notebook prints."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    said = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as visit:
            visit.sendall(greeting)
            while b"CURVE" not in said and b"Socket-Type" not in said and (chunk := visit.recv(4096)):
                said += chunk
    except OSError:
        pass
    if b"NULL" in said and b"PULL" not in said:  # a socket that only takes messages may be open to all
        yield f"joined the ZeroMQ socket of port {port}: {said!r}"


def command(conf, words):
    try:
        done = subprocess.run(
            words, env=os.environ | {"SLURM_CONF": conf}, timeout=6, cwd="/tmp",
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:  # srun goes on asking where it was refused
        return
    if done.returncode == 0:
        yield f"was allowed {' '.join(words)} with {conf}: {done.stdout[:300]}"


def commands(place, text, secret_file):
    """Slurm's commands with the victim's own munge socket, and with a munge of one's own."""
    os.makedirs(place)
    with open(os.open(f"{place}/key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as key:
        key.write(os.urandom(128))
    theirs = next(line for line in text.splitlines() if line.startswith("AuthInfo="))
    for name, auth in (("theirs", theirs), ("mine", f"AuthInfo=socket={place}/socket")):
        with open(f"{place}/{name}.conf", "w") as file:
            file.write(text.replace(theirs, auth))
        for line in COMMANDS:
            yield f"{place}/{name}.conf", line.replace("SECRET", secret_file).split()


def start_munge(place):
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    program = shutil.which("munged", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    munged = subprocess.Popen(
        [program, "--force", "--foreground", *(f"--{key}={place}/{name}" for key, name in files.items())],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not os.path.exists(f"{place}/socket"):
        assert munged.poll() is None
        time.sleep(0.02)
    return munged


def main():
    known, place = json.load(sys.stdin), tempfile.mkdtemp(dir="/tmp")
    tries = [(read, known["paths"]), (enter, known["sockets"])]
    for port in known["ports"]:
        tries += [(browse, port, known["secret"]), (listen_in, port)]
    munged = None
    if known["configuration"]:
        words = [*commands(f"{place}/slurm", known["configuration"], known["secret_file"])]
        tries += [(command, *each) for each in words]
        munged = start_munge(f"{place}/slurm")
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as hands:
        got = list(hands.map(lambda each: list(each[0](*each[1:])), tries))
    print(json.dumps([sentence for found in got for sentence in found]))
    if munged:
        munged.kill()
        munged.wait()
    shutil.rmtree(place)


main()

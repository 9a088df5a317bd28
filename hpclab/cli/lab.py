"""`hpclab lab`: find or start a Slurm, lay the course out, open it in JupyterLab, and end all of it again.
JupyterLab listens on loopback only, on a free port, with a token made for this one start."""

import argparse
import contextlib
import functools
import json
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

from hpclab import checks, search_path
from hpclab.cli import number, reason
from hpclab.cli.lab_child import Server
from hpclab.cluster import local_slurm, slurm
from hpclab.cluster.host import private
from hpclab.course import lay_out


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", help="where the course is laid out (default: ~/hpclab)")
    parser.add_argument("--port", type=number, help="a TCP port from 1024 to 65535 (default: any free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    parser.add_argument("--no-slurm", action="store_true", help="use no Slurm, only this machine's processes")
    parser.add_argument("--json", action="store_true", help="print one line of JSON once it is up")


def run(options: argparse.Namespace) -> int:
    port = 0 if options.port is None else checks.integer("--port", options.port, 1024, 65535)
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    folder = _lay_out(options.folder, say)
    with contextlib.ExitStack() as ending:
        asked: list[int] = []  # signals that came: the first ends it, a second one changes nothing
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.signal(name, lambda number, frame: asked.append(number))
            ending.callback(signal.signal, name, before)
        if started := not options.no_slurm and _find_slurm(say):
            ending.callback(local_slurm.down)
        server = Server.start(folder, port, take_down_slurm=started, stopped=lambda: bool(asked), say=say)
        if server is not None:
            ending.callback(server.end)
            _announce(server, options)
            while server.process.poll() is None and not asked:
                time.sleep(0.2)
            if not asked:
                say("JupyterLab has ended.")
    return 0


def _lay_out(wish: str | None, say: Callable[[str], object]) -> Path:
    """Lay the course out in the folder `wish` (None: ~/hpclab), `say` what was done, return the folder. If
    ~/hpclab cannot be written, a private directory takes its place; if `wish` cannot, OSError."""
    try:
        layout = lay_out(Path.home() / "hpclab" if wish is None else wish)
    except (OSError, ValueError, RuntimeError) as error:
        if wish is not None:
            raise OSError(
                f"The course cannot be laid out in {checks.shown(wish)} ({reason(error)}): name a folder "
                "that you may write in with --folder, or leave it out."
            ) from None
        layout = lay_out(private.home().path / "course")
        say(f"~/hpclab cannot be written ({reason(error)}), so the course is in {layout.path} instead.")
        say(
            "That folder may not outlast this machine: save your work elsewhere before you leave (lesson 00 "
            "shows how), or name a folder with --folder."
        )
    for sentence in layout.kept:
        say(sentence)
    if found := search_path.in_the_way(str(layout.path)):
        say(search_path.sentence(found, str(layout.path)))
    return layout.path


def _find_slurm(say: Callable[[str], object]) -> bool:
    """Find or start the Slurm that the lessons will use, `say` which, and return whether it was started."""
    was_up = local_slurm.find() is not None
    try:
        found = slurm.connect(start=True, export=True)
    except (slurm.SlurmError, OSError) as error:
        without = " The course runs on this machine's processes until there is one."
        say(f"{error}{without * (not isinstance(error, slurm.SlurmMissing))}")
        return False
    ours = f"A Slurm {found.version} of your own is running on this machine."
    say(f"Using this site's Slurm {found.version}." if found.kind == "site" else ours)
    return found.kind != "site" and not was_up


def _announce(server: Server, options: argparse.Namespace) -> None:
    """Print the server's address, and open it in a browser where there is one and `options` allow it."""
    if options.json:
        print(json.dumps({"url": server.address, "port": server.port, "pid": os.getpid()}), flush=True)
    else:
        print(f"\nThe course is open at\n\n    {server.address}\n\nCtrl-C here ends it.", flush=True)
    screens = map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if (sys.platform == "darwin" or any(screens)) and not options.no_browser:
        # Through a file, because a browser's arguments, and so the token, can be read by everyone here.
        door = server.folder / ".hpclab" / "open.html"
        page = f'<meta http-equiv="refresh" content="0; url={server.address}">'
        with contextlib.suppress(OSError):  # a disk that is full by now: the address is printed above
            door.touch(mode=0o600)
            door.write_text(page, encoding="utf-8")
            webbrowser.open(door.as_uri())

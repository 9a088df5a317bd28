"""JupyterLab as `hpclab lab` starts it: a program of its own, which ends when its parent does.

It reads one line of JSON from standard input (so that the token shows in no process list), starts JupyterLab
in this process, answers with one line, and then waits for the end of that input. A parent that is killed
outright closes it too, and then this process ends the kernels, the terminals, and a Slurm that was started
for it.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import TextIO

_WAY_OUT = {"all_proxy", "http_proxy", "https_proxy", "ssl_cert_dir", "ssl_cert_file", "sslkeylogfile"}
LAST_WORD = "end\n"  # what the parent says before it closes the input, where it ends in order


def main() -> int:
    told, sys.stdin = sys.stdin, io.StringIO()  # so that nothing else reads what the parent says
    spec = json.loads(told.readline())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is not the answer
    warnings.simplefilter("ignore")  # the libraries' notes to each other are not for the learner's terminal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    died: list[bool] = []
    threading.Thread(target=_watch, args=(told, died), daemon=True).start()
    try:
        # Nothing of JupyterLab's goes outside here, so a proxy or certificate that is not there is no
        # obstacle to its start; kernels and terminals get them as they are.
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in _WAY_OUT}
        from jupyterlab.labapp import LabApp

        from hpclab.cli import lab_settings

        ours = lab_settings.settings(spec)
        lab_settings.ours_first(ours)
        server = LabApp.initialize_server(argv=[], config=ours)
        os.environ.update(kept)
        signal.signal(signal.SIGTERM, lambda *_: server.stop(from_signal=True))
        print(json.dumps({"port": server.port}), file=answer, flush=True)
        server.start()
    finally:
        if spec["take_down_slurm"] and died:
            down = [sys.executable, "-P", "-m", "hpclab.cli", "slurm", "down"]
            subprocess.run(down, timeout=30, check=False)
    return 0


def _watch(told: TextIO, died: list[bool]) -> None:
    """Wait for the end of what the parent says, and end; where it came without its last word, note that."""
    if told.read() != LAST_WORD:
        died.append(True)
        for end in (1, 2):  # nobody reads what is printed any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), end)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())

"""Starts `sweep.py` with mpiexec: on this machine, or as a batch job."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hpclab.cluster import threads
from hpclab.cluster.backends.command import last_lines, private_directory
from hpclab.cluster.slurm import Slurm


def run(settings: dict[str, Any], ranks: int, slurm: Slurm | None, limit: float) -> dict[str, Any]:
    """Sweep on `ranks` ranks within `limit` seconds; return {"version": text, "ranks": a list for each}.

    With `slurm` it is a batch job of as many tasks, in which mpiexec starts its ranks where Slurm says. An
    interrupt ends all ranks, or the job. RuntimeError with the ranks' last output when they fail, or with
    what to install where there is no mpiexec.
    """
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if mpiexec is None:
        raise RuntimeError("There is no mpiexec here: pip install 'hpclab[mpi]' brings MPICH and mpi4py.")
    command = [mpiexec, *["-launcher", "fork"] * (slurm is None), "-n", str(ranks), sys.executable, "-P"]
    command += ["-m", "mpi4py", "-m", "hpclab.parallel.sweep", json.dumps(settings)]
    place = private_directory("mpi", shared=slurm is not None)
    out, log = place / "out", place / "log"
    try:
        if slurm is None:
            ended = _on_this_machine(command, out, log, limit)
        else:
            ended = _as_a_job(command, ranks, out, log, slurm, limit)
        said = out.read_text(encoding="utf-8", errors="replace").splitlines() if out.exists() else []
        for line in said:  # mpiexec prints there as well
            if line.startswith('{"version"'):
                return dict(json.loads(line))
        last = last_lines(out) + last_lines(log)
        raise RuntimeError(f"MPI on {ranks} ranks {ended}. The last words:\n{last}")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _on_this_machine(command: list[str], out: Path, log: Path, limit: float) -> str:
    """Run `command`, standard output to `out`, standard error to `log`; return how it ended, for an error."""
    # An enclosing job's variables would make mpiexec start its ranks there and not here.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    with open(out, "w") as stdout, open(log, "w") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            env=environment | threads.environment(1),
        )  # fmt: skip
        try:
            return f"ended with status {process.wait(limit)}"
        except subprocess.TimeoutExpired:
            return f"took more than {limit:g} s and was ended"
        finally:
            process.terminate()  # mpiexec passes it on to every rank
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _as_a_job(command: list[str], ranks: int, out: Path, log: Path, slurm: Slurm, limit: float) -> str:
    """Run `command` as a batch job, output as above; return how it ended, for an error."""
    exports = "".join(f"export {name}={value}\n" for name, value in threads.environment(1).items())
    script = f"#!/bin/bash\n{exports}exec {shlex.join(command)} >{shlex.quote(str(out))}\n"
    job = slurm.submit(
        script, "--job-name=hpclab-mpi", f"--ntasks={ranks}", f"--time={max(1, round(limit / 60))}",
        f"--output={log}",
    )  # fmt: skip
    try:
        return f"as job {job} ended {slurm.wait(job, limit).state}"
    except TimeoutError as error:
        return str(error).rstrip(".")
    finally:
        slurm.cancel(job)

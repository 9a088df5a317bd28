"""Try a learner's job script: on this machine's processes at once, and on a real Slurm where there is one.

The dry run does what Slurm would do with the directives (array indices, tasks under srun, where the output
goes) with a stand-in for srun. It catches an honest mistake in a tenth of a second and needs no Slurm. The
submission then proves the script on the real one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hpclab import checks
from hpclab.cluster.slurm import Job, Slurm, SlurmError, SubmitError
from hpclab.exercises.lesson_04.job_scripts import JobScript

_MOST_TASKS = 64
_MOST_PROCESSES = 100
_LARGEST_FILE = 2**16
_SRUN = r"""#!/bin/bash
# Stands in for srun: runs the command once per task, as many times as the directives allow.
wanted=$HPCLAB_TRIAL_TASKS
while [[ $1 == -* ]]; do
    case $1 in
        -n | --ntasks) wanted=$2; shift ;;
        -n*) wanted=${1#-n} ;;
        --ntasks=*) wanted=${1#*=} ;;
        -[NcwxtJoeGp]) shift ;;
    esac
    shift
done
if ((wanted > HPCLAB_TRIAL_TASKS)); then
    echo "srun: error: Unable to create step for job: More processors requested than permitted" >&2
    exit 1
fi
for ((rank = 0; rank < wanted; rank++)); do
    SLURM_PROCID=$rank SLURM_NTASKS=$wanted SLURM_STEP_ID=0 \
        SLURMD_NODENAME=node$((rank * SLURM_JOB_NUM_NODES / wanted + 1)) "$@" &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || code=$?
done
exit ${code:-0}
"""


@dataclass
class Trial:
    """What came of a script: `where` it ran, the `files` it left by name, and `trouble`, a sentence, where it
    was refused, failed or did not end. `waited` says that the queue
    or a site's own limits are why it did not run, not the script."""

    where: str
    files: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    waited: bool = False


def dry_run(script: JobScript, seconds: float = 10.0) -> Trial:
    """Run `script` on this machine's processes as Slurm would; it ends within `seconds` (wall time)."""
    checks.number("seconds", seconds, 0.1, 600, "s")
    for what, count in (("tasks", script.tasks), ("array tasks", len(script.array))):
        if count > _MOST_TASKS:
            raise ValueError(f"The script asks for {count} {what}: this exercise needs far fewer.")
    trial = Trial("this machine's processes")
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="hpclab-trial-") as name:
        folder, tools = Path(name) / "job", Path(name) / "bin"
        folder.mkdir()
        tools.mkdir()
        (tools / "srun").write_text(_SRUN, encoding="utf-8")
        (tools / "srun").chmod(0o755)
        (Path(name) / "script.sh").write_text(script.text, encoding="utf-8")
        for index in script.array or (None,):
            trouble = _run_once(script, Path(name), index, deadline)
            trial.trouble = trial.trouble or trouble
        trial.files = _files(folder)
    return trial


def _run_once(script: JobScript, place: Path, index: int | None, deadline: float) -> str:
    job_id = 1000 + (index or 0)
    array = {} if index is None else {"SLURM_ARRAY_JOB_ID": "1000", "SLURM_ARRAY_TASK_ID": str(index)}
    name = script.options.get("job-name", "script.sh")
    default = "slurm-%j.out" if index is None else "slurm-%A_%a.out"
    output = _expand(script.options.get("output", default), {
        "%j": str(job_id), "%A": "1000", "%a": str(index or 0), "%x": name, "%u": "user", "%N": "node1",
    })  # fmt: skip
    target = place / "job" / output
    if not target.parent.is_dir():
        return (
            f"The job fails at once: there is no folder for its output {output}, so there is no log either."
        )
    environment = {
        "PATH": f"{place / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}", "HOME": str(place / "job"),
        "SLURM_JOB_ID": str(job_id), "SLURM_JOB_NAME": name, "SLURM_PROCID": "0", "SLURMD_NODENAME": "node1",
        "SLURM_CPUS_ON_NODE": script.options.get("cpus-per-task", "1"),
        "SLURM_JOB_NUM_NODES": str(script.nodes), "SLURM_SUBMIT_DIR": str(place / "job"), **array,
        "HPCLAB_TRIAL_TASKS": str(script.tasks),
    }  # fmt: skip
    if script.gpus:
        environment["HPCLAB_PRETEND_GPUS"] = "0"
    if "ntasks" in script.options:
        environment["SLURM_NTASKS"] = str(script.tasks)
    limited = 'ulimit -f 4096 -t 20; exec "$@"'  # blocks of 512 bytes; seconds of CPU time
    with target.open("ab") as log:
        try:
            child = subprocess.Popen(
                ["/bin/bash", "-c", limited, "limited", *script.interpreter, str(place / "script.sh")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place / "job", env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"The script did not start: {error}."
        trouble = _watch(child, deadline)
    if trouble:
        return trouble
    if child.returncode:
        which = "The job" if index is None else f"Array task {index}"
        return f"{which} ended with exit code {child.returncode}{_last_line(target)}."
    return ""


def _watch(child: subprocess.Popen, deadline: float) -> str:
    """Wait for `child` and end its whole process group, whatever came of it."""
    try:
        while child.poll() is None:
            if time.monotonic() > deadline:
                return "The script does not end: is there a loop, or a long sleep?"
            if len(_group(child.pid)) > _MOST_PROCESSES:
                return f"The script started more than {_MOST_PROCESSES} processes and was ended."
            time.sleep(0.02)
        return ""
    finally:
        while _group(child.pid):  # again and again, because a group that forks can outrun one signal
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.poll()
            time.sleep(0.01)
        child.wait()


def _group(group: int) -> list[int]:
    """The processes of `group` that still run; the dead that nobody has waited for do not count."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def submit(slurm: Slurm, script: JobScript, folder: Path, seconds: float = 30.0) -> Trial:
    """Submit `script` to `slurm` from a fresh folder inside `folder`; what is not done after `seconds` is
    cancelled, and the folder goes in any case. `folder` must be one that the nodes see. Says so once where
    it takes longer than a moment."""
    place = Path(tempfile.mkdtemp(prefix="trial-", dir=folder))
    job_id = None
    try:
        (place / "script.sh").write_text(script.text, encoding="utf-8")
        try:
            job_id = slurm.submit(str(place / "script.sh"), f"--chdir={place}")
        except SubmitError as error:
            own_limits = slurm.kind == "site"  # which a right answer may break; ours has none that it could
            return Trial("the Slurm here", trouble=f"sbatch refused it: {error}", waited=own_limits)
        trial, begin, said = Trial(f"job {job_id}"), time.monotonic(), list[int]()

        def say_once(_: Job) -> None:
            if not said and time.monotonic() > begin + 2:
                said.append(1)
                print(f"Your script is job {job_id} now; waiting for it, {seconds:g} s at most.", flush=True)

        try:
            slurm.wait(job_id, seconds, say_once)
        except TimeoutError as late:
            trial.waited = any(job.state == "PENDING" for job in slurm.queue([job_id]))
            trial.trouble = str(late)
            return trial
        except SlurmError:  # it has long ended, and the files will say how
            pass
        bad = [job for job in slurm.queue([job_id]) if job.state != "COMPLETED"]
        trial.files = _settled(place)
        if bad:
            trial.trouble = f"job {bad[0].id} ended as {bad[0].state}."
        return trial
    finally:
        if job_id is not None:
            slurm.cancel(job_id)
        shutil.rmtree(place, ignore_errors=True)


def _settled(place: Path) -> dict[str, str]:
    """The files, once two looks agree: a shared file system may show them a moment late."""
    before = _files(place)
    for _ in range(10):
        time.sleep(0.2)
        now = _files(place)
        if now == before:
            break
        before = now
    return {name: text for name, text in before.items() if name != "script.sh"}


def _files(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*"))[:200]:
        if path.is_file() and not path.is_symlink():
            with path.open(encoding="utf-8", errors="replace") as file:
                found[path.relative_to(folder).as_posix()] = file.read(_LARGEST_FILE)
    return found


def _expand(pattern: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        pattern = pattern.replace(key, value)
    return pattern


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace")[-500:].strip().splitlines()
    return f" ({lines[-1].split(': ', 1)[-1].strip()[:120]})" if lines else ""

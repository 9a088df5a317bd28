"""Try a learner's job script: on this machine's processes at once, as Slurm would (array indices, tasks,
where the output goes) with a stand-in for srun; and on a real Slurm where there is one."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hpclab.cluster import slurm as slurms
from hpclab.cluster.slurm import Slurm, SlurmError, SubmitError
from hpclab.exercises import limits
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
class JobTrial:
    """What came of a script: the `files` it left by name, and `trouble`, a sentence, where it was refused,
    failed or did not end. `waited` says that the queue or a site's own limits are why it did not run;
    `duplicate_result` is a clause that names an array task which wrote more than one result, if one did."""

    files: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    waited: bool = False
    job: int = 0
    duplicate_result: str = ""


def dry_run(script: JobScript, seconds: float = 10.0) -> JobTrial:
    """Run `script` on this machine's processes as Slurm would; it ends within `seconds` (wall time)."""
    for what, count in (("tasks", script.tasks), ("array tasks", len(script.array))):
        if count > _MOST_TASKS:
            raise ValueError(f"The script asks for {count} {what}: this exercise needs far fewer.")
    deadline, trial = time.monotonic() + seconds, JobTrial()
    with tempfile.TemporaryDirectory(prefix="hpclab-trial-") as name:
        place = Path(name)
        for file, text in (("bin/srun", _SRUN), ("script.sh", script.text)):
            (place / file).parent.mkdir(exist_ok=True)
            (place / file).write_text(text, encoding="utf-8")
        (place / "bin" / "srun").chmod(0o755)
        (job := place / "job").mkdir()
        for index in script.array or (None,):
            before = _stamps(job)
            trouble = _run_once(script, place, job, index, deadline)
            trial.trouble = trial.trouble or trouble
            *more, last = [name for name, stamp in _stamps(job).items() if before.get(name) != stamp] or [""]
            if index is not None and more and not trial.duplicate_result:
                trial.duplicate_result = f"Array task {index} wrote {', '.join(more)} and {last}"
        trial.files = _files(job)
        return trial


def _run_once(script: JobScript, place: Path, job: Path, index: int | None, deadline: float) -> str:
    """Run the script in the folder `job`, as array task `index` if any; return what went wrong, or ""."""
    number, name = 1000 + (index or 0), script.options.get("job-name", "script.sh")
    pattern = script.options.get("output", "slurm-%j.out" if index is None else "slurm-%A_%a.out")
    signs = {"j": number, "A": 1000, "a": index or 0, "x": name, "u": "user", "N": "node1"}
    output = Path(re.sub("%([jAaxuN])", lambda sign: str(signs[sign[1]]), pattern))
    if not output.parent.is_dir():
        return f"The job fails at once: there is no folder for its output {output}, and so there is no log."
    environment = {
        "PATH": f"{place / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}", "HOME": str(job),
        "SLURM_JOB_ID": str(number), "SLURM_JOB_NAME": name, "SLURM_PROCID": "0", "SLURMD_NODENAME": "node1",
        "SLURM_CPUS_ON_NODE": script.options.get("cpus-per-task", "1"), "SLURM_SUBMIT_DIR": str(job),
        "SLURM_JOB_NUM_NODES": str(script.nodes), "HPCLAB_TRIAL_TASKS": str(script.tasks),
        **({} if index is None else {"SLURM_ARRAY_JOB_ID": "1000", "SLURM_ARRAY_TASK_ID": str(index)}),
        **({"HPCLAB_PRETEND_GPUS": "0"} if script.gpus else {}),
        **({"SLURM_NTASKS": str(script.tasks)} if "ntasks" in script.options else {}),
    }  # fmt: skip
    limited = 'ulimit -f 4096 -t 20; exec "$@"'  # blocks of 512 bytes; seconds of CPU time
    log = job / output.name  # wherever it goes, it is read here
    with log.open("ab") as printed:
        child = subprocess.Popen(
            ["/bin/bash", "-c", limited, "limited", *script.interpreter, str(place / "script.sh")],
            stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, cwd=job, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            trouble = _watch(child, deadline)
        finally:
            limits.end_group(child)
    if trouble or not child.returncode:
        return trouble
    last = log.read_text(encoding="utf-8", errors="replace")[-500:].strip().splitlines()
    said = f" ({last[-1].split(': ', 1)[-1].strip()[:120]})" if last else ""
    which = "The job" if index is None else f"Array task {index}"
    return f"{which} ended with exit code {child.returncode}{said}."


def _watch(child: subprocess.Popen, deadline: float) -> str:
    """Wait until `child` has ended, is late or has too many processes; a sentence about the last two."""
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return "The script does not end: is there a loop, or a long sleep?"
        if len(limits.group_members(child)) > _MOST_PROCESSES:
            return f"The script started more than {_MOST_PROCESSES} processes and was ended."
        time.sleep(0.02)
    return ""


def submit_here(script: JobScript) -> tuple[str, JobTrial]:
    """Submit `script` to the Slurm here; return why it did not run (the end of a sentence), and its trial."""
    try:
        found = slurms.connect(start=False, export=False)
    except SlurmError:
        return ": no Slurm runs here.", JobTrial()
    if script.log.startswith("/") or ".." in script.log:
        return ": the job's log is not for a check to write.", JobTrial()
    if script.gpus and not any(node.gpus for node in found.nodes()):
        return ": this Slurm has no GPUs.", JobTrial()
    trial = submit(found, script)
    return (f", because {trial.trouble}" if trial.waited else ""), trial


def submit(slurm: Slurm, script: JobScript, seconds: float = 30.0) -> JobTrial:
    """Submit `script` to `slurm` from a fresh folder in this one, which the nodes must see. What is not done
    after `seconds` is cancelled, and the folder goes in any case. A longer wait is announced. A folder for
    logs that is there beside the script is there for the job, too."""
    place, trial = Path(tempfile.mkdtemp(prefix="trial-", dir=Path.cwd())), JobTrial()
    try:
        if (folder := Path(script.log).parent).is_dir():
            (place / folder).mkdir(parents=True, exist_ok=True)
        trial.job = slurm.submit(script.text, f"--chdir={place}")
        with contextlib.suppress(SlurmError):  # it has long ended, and the files will say how
            try:
                slurm.wait(trial.job, min(2, seconds))
            except TimeoutError:
                print(f"Your script is job {trial.job} now; waiting at most {seconds:g} s.", flush=True)
                slurm.wait(trial.job, seconds)
        bad = [job for job in slurm.queue([trial.job]) if job.state != "COMPLETED"]
        trial.trouble = f"job {bad[0].id} ended as {bad[0].state}." if bad else ""
        trial.files = _settled(place)
    except SubmitError as error:  # a right answer may break a site's own limits; ours has none that it could
        trial.trouble, trial.waited = f"sbatch refused it: {error}", slurm.kind == "site"
    except TimeoutError as late:
        trial.trouble = str(late)
        trial.waited = any(job.state == "PENDING" for job in slurm.queue([trial.job]))
    finally:
        if trial.job:
            slurm.cancel(trial.job)
        shutil.rmtree(place, ignore_errors=True)
    return trial


def _settled(place: Path) -> dict[str, str]:
    """The files in `place`, once two readings agree: a shared file system may show them a moment late."""
    found = _files(place)
    for _ in range(10):
        time.sleep(0.2)
        before, found = found, _files(place)
        if found == before:
            break
    return found


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Modification time (ns) and inode of each file in `folder` by name, without the logs, ``*.out``."""
    found = {path.name: path.stat() for path in sorted(folder.iterdir()) if path.suffix != ".out"}
    return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in found.items()}


def _files(folder: Path) -> dict[str, str]:
    """The beginning of each file's text, by its path in `folder`."""
    found = {}
    for path in sorted(folder.rglob("*"))[:200]:
        if path.is_file() and not path.is_symlink():
            with path.open(encoding="utf-8", errors="replace") as file:
                found[path.relative_to(folder).as_posix()] = file.read(_LARGEST_FILE)
    return found

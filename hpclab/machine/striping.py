"""How a real Lustre, BeeGFS or GPFS stripes the files of a folder, as its own command reports it."""

import os
import re
import shlex
import shutil
import signal
import subprocess

import psutil

from hpclab.machine.places import type_of
from hpclab.units import format_bytes, parse_bytes

_ALSO_IN = "/usr/lpp/mmfs/bin"  # GPFS's programs, which are seldom on PATH
_COUNT = r"(?:stripe_count|desired):\s*(-?\d+)"
_SIZE = r"(?:stripe_size:|Chunksize:|\s-B)\s*(\d+(?:\.\d+)?)([KMG]?)"
_MEANS = {"-1": "-1 (all)", "0": "0 (the default)"}
_QUESTIONS = {  # the program, its question and advice; {} is the folder, or for mmlsfs the device
    "lustre": [("lfs getstripe -d {}", "lfs setstripe -c 4 -S 4M {}")],
    "beegfs": [
        ("beegfs-ctl --getentryinfo {}", "beegfs-ctl --setpattern --numtargets=4 --chunksize=1m {}"),
        ("beegfs entry info --retro {}", "beegfs entry set --num-targets=4 --chunk-size=1MiB {}"),
    ],
    "gpfs": [("mmlsfs {} -B", "mmlsattr -L {}")],
}


def striping(path: str | os.PathLike[str], patience: float = 5.0) -> str | None:
    """How new files of the folder `path` are striped, in a line; None where its file system does not do it.
    Stripe size, stripe count and the commands that set or show them; of a progressive layout those of its
    last part, which large files reach. Where the command is missing, or silent for `patience` seconds,
    the line says so."""
    place, mounts = os.path.realpath(path), psutil.disk_partitions(all=True)
    kind = type_of(place, {part.mountpoint: part.fstype for part in mounts}).split("_")[0]
    if kind not in _QUESTIONS:
        return None
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), _ALSO_IN])
    here = [each for each in _QUESTIONS[kind] if shutil.which(each[0].split()[0], path=search)]
    ask, advice = (here or _QUESTIONS[kind])[0]
    subject = type_of(place, {part.mountpoint: part.device for part in mounts}) if kind == "gpfs" else place
    command = ask.format(shlex.quote(subject))
    program, *arguments = shlex.split(command)
    try:
        output = _output([shutil.which(program, path=search) or program, *arguments], patience)
    except subprocess.TimeoutExpired:
        return f"{command} did not answer within {patience:g} s: the file system may be busy; try again."
    except OSError as error:
        return f"{command} cannot be run here ({error.strerror}): ask on a login node."
    counts = ["-1"] if kind == "gpfs" else re.findall(_COUNT, output)
    sizes = re.findall(_SIZE, output)
    if not counts or not sizes:
        words = " ".join(output.split())[:200] or "nothing"
        return f"{command} did not say how files are striped, but: {words}."
    count, (number, unit) = counts[-1], sizes[-1]
    size = format_bytes(parse_bytes(f"{number} {unit}{'i' * bool(unit)}"))
    shown = f"{kind}: stripe size {size}, stripe count {_MEANS.get(count, count)}"
    return f"{shown}. To set or show it: {advice.format(shlex.quote(place))}; {command}"


def _output(arguments: list[str], patience: float) -> str:
    """Return a program's output; after `patience` seconds kill its process group, raise TimeoutExpired."""
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            return process.communicate(timeout=patience)[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise

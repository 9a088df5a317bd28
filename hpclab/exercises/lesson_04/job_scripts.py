"""Read a batch script as sbatch reads it: which `#SBATCH` lines count, and what they ask for."""

import contextlib
import math
import re
import shlex
from collections.abc import Iterator

from hpclab import checks, units
from hpclab.cluster.slurm import submission

_SHORT = {
    "A": "account", "a": "array", "b": "begin", "C": "constraint", "c": "cpus-per-task", "D": "chdir",
    "d": "dependency", "e": "error", "G": "gpus", "J": "job-name", "N": "nodes", "n": "ntasks", "o": "output",
    "p": "partition", "q": "qos", "t": "time", "w": "nodelist", "x": "exclude",
    "H": "hold", "O": "overcommit", "W": "wait", "Q": "quiet", "v": "verbose",
}  # fmt: skip
_FLAGS = {
    "requeue", "no-requeue", "hold", "contiguous", "overcommit", "exclusive", "wait", "quiet", "verbose",
}  # fmt: skip


class JobScript:
    """A batch script, parsed from its `text`; ValueError for what sbatch would refuse. `options` maps long
    names to values ("" for a flag); `late` are directives after the first command, which sbatch never reads;
    `nearly` are lines that only look like directives; `body` is the lines that a shell would run."""

    def __init__(self, text: str) -> None:
        content, lines = text.encode(errors="replace"), text.split("\n")
        if wrong := submission.script_fault(content):
            raise ValueError(wrong)
        head = next((n for n, one in enumerate(lines) if one.strip() and one[0] != "#"), len(lines))
        self.text, self.interpreter = text, lines[0][2:].split()
        self.options = dict(pair for one in lines[1:head] if re.match(r"#SBATCH\s", one)
                            for pair in _options(one))  # fmt: skip
        self.late = submission.late_directives(content)
        self.nearly = [one for one in lines if re.match(r"(?!#SBATCH\s)\s*#+\W*(?i:sbatch)\b", one)]
        self.body = "\n".join(one for one in lines[head:] if not one.lstrip().startswith("#"))

    nodes = property(lambda self: self._count("nodes"))

    @property
    def tasks(self) -> int:
        """How many tasks srun starts: --ntasks, or what nodes and tasks per node come to, or 1."""
        given = "ntasks" in self.options
        return self._count("ntasks") if given else self.nodes * self._count("ntasks-per-node")

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds; None where the partition's default applies."""
        return limit_seconds(self.options["time"]) if "time" in self.options else None

    @property
    def limit(self) -> str:
        """The time limit in words, for a sentence."""
        return "no limit at all" if self.seconds == math.inf else units.format_seconds(self.seconds or 0)

    @property
    def gpus(self) -> int:
        """GPUs in the whole job, however they were asked for: in all, per node, or per task."""
        gres = "gres" if self.resource == "gpu" else ""
        for name in ("gpus", "gpus-per-node", "gpus-per-task", gres):
            if name in self.options:  # 2 in ``gpu:2``, ``gpu:a100:2``, ``a100:2`` or ``2``; 1 in ``gpu``
                last = re.split(r"[:=]", self.options[name])[-1]
                places = {"gpus": 1, "gpus-per-task": self.tasks}.get(name, self.nodes)
                return places * (int(last) if last.isdecimal() and last.isascii() else 1)
        return 0

    @property
    def array(self) -> tuple[int, ...]:
        """The array's indices, or () where the job is no array; ValueError if they cannot be read."""
        return array_indices(self.options["array"]) if "array" in self.options else ()

    @property
    def resource(self) -> str:
        """The generic resource that --gres names, or ""."""
        return re.split(r"[:=]", self.options.get("gres", ""))[0]

    @property
    def log(self) -> str:
        """The file-name pattern of --output, or of --error where only that has a folder, $ or ~ in it."""
        patterns = [self.options.get(name, "") for name in ("output", "error")]
        return next((pattern for pattern in patterns if re.search("[/$~]", pattern)), patterns[0])

    def redirects_to(self, pattern: str) -> bool:
        """Whether the script redirects output into a file whose name matches the regex `pattern`."""
        return bool(re.search(rf">\s*\S*{pattern}", self.body))

    def _count(self, name: str) -> int:
        """The number that the option --`name` asks for, the lower end of a range; 1 where it is not there."""
        text = self.options.get(name, "1").split("-")[0]
        return checks.integer(f"--{name}", text if not text.isdecimal() else int(text), 1, 100_000)


def _options(line: str) -> Iterator[tuple[str, str]]:
    """Yield the long name and the value of each option in an #SBATCH line; ValueError for an unknown one."""
    try:
        words = shlex.split(line[len("#SBATCH") :], comments=True)
    except ValueError as error:
        raise ValueError(f"The line {line.strip()!r} cannot be read: {str(error).lower()}.") from None
    while words:
        word = words.pop(0)
        match = re.fullmatch(r"--([a-z][a-z-]*)(?:=(.*))?|-([A-Za-z])(.+)?", word)
        name = match and (match[1] or _SHORT.get(match[3]))
        value = match and (match[2] if match[1] else match[4])
        if name and value is None and (words or name in _FLAGS):
            value = "" if name in _FLAGS else words.pop(0)
        if not name or value is None:
            raise ValueError(f"sbatch would not understand {word!r} in the line {line.strip()!r}.")
        yield name, value


def limit_seconds(text: str) -> float:
    """Seconds in a time limit as Slurm reads it; ValueError for what it refuses. ``30`` is minutes, ``30:00``
    minutes and seconds, ``1:30:00`` hours first; with days, ``1-12`` is a day and twelve hours; ``0`` is no
    limit."""
    word = text.strip()
    if word.upper() in ("UNLIMITED", "INFINITE", "-1", "0"):
        return math.inf
    with contextlib.suppress(ValueError):
        if re.fullmatch(r"[0-9:-]+", word):
            return units.parse_seconds(f"{word}:0" if word.isdecimal() else word)
    raise ValueError(
        f"Invalid --time specification {text!r}: Slurm reads minutes, minutes:seconds, "
        "hours:minutes:seconds, days-hours, days-hours:minutes or days-hours:minutes:seconds."
    )


def array_indices(text: str) -> tuple[int, ...]:
    """Indices of ``0-3``, ``1,4,9``, ``0-8:2`` or ``0-99%4`` (at most four at once); ValueError otherwise."""
    indices: list[int] = []
    for part in text.split("%")[0].split(","):
        match = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7})(?::(\d{1,7}))?)?", part.strip(), re.ASCII)
        if not match or match[3] == "0":
            raise ValueError(f"Invalid job array specification {text!r}: write 0-3, 1,4,9 or 0-8:2.")
        last = int(match[2] or match[1])
        if last - int(match[1]) > 100_000:
            raise ValueError(f"The array {text!r} is larger than a Slurm allows (its MaxArraySize).")
        indices += range(int(match[1]), last + 1, int(match[3] or 1))
    return tuple(dict.fromkeys(indices))

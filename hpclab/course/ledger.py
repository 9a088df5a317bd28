"""The learner's ledger: predictions with their outcomes, and solved exercises, one JSON object a line of a
file in the course folder that is only ever appended to. A line that cannot be read (torn, edited by hand, of
another version) is skipped and left where it is."""

import errno
import functools
import json
import math
import os
import stat
import sys
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hpclab import checks
from hpclab.course.layout import MANIFEST, root

NAME = "my-progress.jsonl"
LARGEST = 8 * 2**20  # bytes; a year of lessons is a hundredth of it


@functools.cache
def this_run() -> str:
    """An identifier of this kernel, from its start to its end, for the entries that it appends."""
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Entry:
    """A "prediction" or a "solved" exercise, called `name`, of the lesson with this number.

    Of a prediction: the value `said` (None for "no prediction") and the value that `came`, both in `unit`;
    the `origin` of what came, and why it is in `doubt` ("" where it is not). Of an exercise: its `score` in
    `unit`, of which less is better. `run` is the kernel's `this_run()`, `at` the time in UTC (ISO 8601)."""

    kind: str
    lesson: str
    name: str
    unit: str = ""
    said: float | None = None
    came: float | None = None
    origin: str = ""
    doubt: str = ""
    score: float | None = None
    run: str = field(default_factory=this_run)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    version: int = 1

    def __post_init__(self) -> None:
        checks.choice("kind", self.kind, ("prediction", "solved"))
        checks.integer("version", self.version, 1, 1)
        for word in (self.lesson, self.name, self.unit, self.origin, self.doubt, self.run, self.at):
            checks.instance("each word", word, str, "text, in quotes")
        for number in (self.said, self.came, self.score):
            if number is not None or (number is self.came and self.kind == "prediction"):
                checks.number("each number", number, -1e300, 1e300)

    @property
    def factor(self) -> float:
        """The larger of predicted / measured and measured / predicted; infinite where there is none."""
        said, came = self.said or 0.0, self.came or 0.0
        return 1.0 if said == came else max(said / came, came / said) if said * came > 0 else math.inf


def find(here: str | Path = ".") -> Path:
    """The path of the ledger, there already or not, for a notebook that runs in `here`: in the course folder
    around it, else in `here`; in a checkout of the course's sources, in its `course/`."""
    here, marks = Path(here).absolute(), (MANIFEST, Path("00_start_here.ipynb"))
    folder = next((f for f in (here, *here.parents) if any((f / mark).is_file() for mark in marks)), here)
    if folder.is_relative_to(root()) and not (folder / MANIFEST).is_file():
        folder = root() / "course"
    return folder / NAME


def kept_entries() -> list[Entry]:
    """All entries of the ledger that this notebook appends to; [] in a program that is no notebook."""
    with suppress(OSError):
        return read(find()) if _in_a_notebook() else []
    return []


def append(entry: Entry) -> None:
    """Append `entry`, if it names a lesson, to this notebook's ledger. A failure is printed, once."""
    try:
        if entry.lesson and _in_a_notebook():
            _append(find(), [json.dumps(asdict(entry)).encode()])
    except OSError as error:
        why = error.strerror or error
        _say_once(f"Predictions and solved exercises are not kept: {NAME} cannot be written ({why}).")


def read(path: Path) -> list[Entry]:
    """The entries of the ledger at `path`, each once, kernels in order of their starts; [] if unreadable."""
    entries: dict[Entry, None] = {}
    begun: dict[str, str] = {}
    for line in _lines(path):
        with suppress(TypeError, ValueError, RecursionError):
            entries[entry := Entry(**json.loads(line))] = None
            begun.setdefault(entry.run, entry.at)
    return sorted(entries, key=lambda entry: begun[entry.run])  # in a run as they stand, whatever its clock


def merge(path: Path, content: bytes) -> None:
    """Append each line of `content`, a saved ledger, that the one at `path` lacks; OSError if it cannot."""
    here = set(_lines(path))
    if new := [line for line in dict.fromkeys(content.splitlines()) if line not in here]:
        _append(path, new)


def first_predictions(entries: Iterable[Entry]) -> list[Entry]:
    """The predictions that count for calibration: the first for each question (lesson and name), if it was
    made before its run had shown the answer. Those with a measurement in doubt count as not made."""
    answered, first = set[tuple[str, ...]](), dict[tuple[str, ...], Entry]()
    for entry in entries:
        if entry.kind == "prediction" and not entry.doubt:
            question = (entry.lesson, entry.name)
            if entry.said is not None and (entry.run, *question) not in answered:
                first.setdefault(question, entry)
            answered.add((entry.run, *question))
    return list(first.values())


def _in_a_notebook() -> bool:
    """Whether IPython runs this; any other program, such as a test, keeps no ledger."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _lines(path: Path) -> list[bytes]:
    readable = path.is_file() and path.stat().st_size <= LARGEST and os.access(path, os.R_OK)
    return path.read_bytes().splitlines() if readable else []


def _append(path: Path, lines: list[bytes]) -> None:
    """Append `lines` in one write, so that those of two notebooks never mix; OSError."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        size, added = os.fstat(file).st_size, b"".join(line + b"\n" for line in lines)
        if not stat.S_ISREG(os.fstat(file).st_mode) or size + len(added) > LARGEST:
            raise OSError(errno.EEXIST, "what has this name is no ledger; move it elsewhere")
        os.fchmod(file, 0o600)  # an edited one may be open to others
        if size and os.pread(file, 1, size - 1) != b"\n":  # torn
            added = b"\n" + added
        if os.write(file, added) < len(added):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)


_say_once = functools.cache(print)

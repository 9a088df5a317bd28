"""The learner's ledger: what was predicted and what came, what is solved, one JSON object a line.

A plain file in the course folder that is only ever appended to, so that running a cell again forgets nothing.
A line that cannot be read (torn, edited by hand, of another version) is passed over and left where it is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import math
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from hpclab import checks
from hpclab.course.finder import root
from hpclab.course.layout import MANIFEST

NAME = "my-progress.jsonl"
LARGEST = 8 * 2**20  # bytes; a year of lessons is a hundredth of it
_PATIENCE = (
    2.0  # seconds to wait for another notebook's line, which takes a millisecond unless that is stopped
)


@functools.cache
def this_run() -> str:
    """What the entries of one kernel, from its start to its end, have in common."""
    return uuid.uuid4().hex[:12]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Entry:
    """A "prediction" or a "solved" exercise, called `name`, of the lesson with this number.

    Of a prediction: `said` (None for "no prediction") and `came`, both in `unit`, where that came from, and
    why it is in `doubt` ("" where it is not). Of an exercise: its `score` in `unit`, of which less is better.
    """

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
    at: str = field(default_factory=_now)
    version: int = 1

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.type == "str" and (not isinstance(value, str) or len(value) > 300):
                raise ValueError(f"An entry's {one.name} must be text of at most 300 characters.")
            if one.type == "float | None" and value is not None:
                checks.number(f"An entry's {one.name}", value, -1e300, 1e300)
        if self.kind not in ("prediction", "solved") or self.version != 1:
            raise ValueError("An entry is a prediction or a solved exercise, of version 1.")
        if not re.fullmatch(r"(\d\d)?", self.lesson) or (self.kind == "prediction" and self.came is None):
            raise ValueError("An entry has its lesson's two digits, and a prediction says what came.")

    @property
    def off(self) -> float:
        """The factor, at least 1, between what was said and what came; infinite where there is none."""
        said, came = self.said or 0.0, self.came or 0.0
        return 1.0 if said == came else max(said / came, came / said) if said * came > 0 else math.inf


def find(here: str | Path = ".") -> Path:
    """Where the ledger is, or will be, for a notebook that runs in `here`: in the course folder around it.

    Outside of one that is `here` itself; for the course's own sources, a checkout, it is their `course/`.
    """
    here = Path(here).absolute()
    marks = (MANIFEST, Path("00_start_here.ipynb"))
    folder = next((f for f in (here, *here.parents) if any((f / mark).is_file() for mark in marks)), here)
    top = root()
    if folder.is_relative_to(top) and not (folder / MANIFEST).is_file():
        folder = top / "course"
    return folder / NAME


def place() -> Path | None:
    """The ledger of the notebook that runs here; None in a program that is no notebook, which keeps none."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None or ipython.get_ipython() is None else find()


def keep(entry: Entry) -> None:
    """Append `entry`, if a lesson's, to the notebook's ledger. A failure is said once; the lesson goes on."""
    try:
        if entry.lesson and (path := place()):
            _append(path, [json.dumps(asdict(entry))])
    except OSError as error:
        _say(f"Your predictions and solved exercises are not kept: {NAME} cannot be written "
             f"({error.strerror or error}). Everything else works.")  # fmt: skip


def read(path: Path | None) -> list[Entry]:
    """The entries in the order in which they were made, each once; [] where there is no ledger to read."""
    entries: dict[Entry, None] = {}
    for line in _lines(path):
        with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
            entries[Entry(**json.loads(line))] = None
    begun: dict[str, str] = {}
    for entry in entries:
        begun.setdefault(entry.run, entry.at)
    return sorted(
        entries, key=lambda entry: begun[entry.run]
    )  # and in a run as they stand, whatever its clock


def kept() -> list[Entry]:
    """The entries of the notebook that runs here; [] where it keeps none."""
    with contextlib.suppress(OSError):
        return read(place())
    return []


def merge(path: Path, content: bytes) -> None:
    """Append those lines of another ledger that this one lacks; what is no JSON object stays out. OSError."""
    here, new = set(_lines(path)), []
    for line in content.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            if line.strip() not in here and isinstance(json.loads(line), dict):
                new.append(line.strip().decode())
    if new:
        _append(path, new)


def counted(entries: Iterable[Entry]) -> list[Entry]:
    """The predictions that show how well the learner guesses: the first of each question, and only one made
    before its run had shown the answer. Worthless measurements answer nothing."""
    answered, known = set[tuple[str, ...]](), dict[tuple[str, str], Entry]()
    for entry in entries:
        if entry.kind == "prediction" and not entry.doubt:
            question = (entry.lesson, entry.name)
            if (entry.run, *question) not in answered and entry.said is not None:
                known.setdefault(question, entry)
            answered.add((entry.run, *question))
    return list(known.values())


def _lines(path: Path | None) -> list[bytes]:
    try:
        if path is None or not path.is_file() or path.stat().st_size > LARGEST:
            return []
        return [line.strip() for line in path.read_bytes().split(b"\n")]
    except OSError:
        return []


def _append(path: Path, lines: list[str]) -> None:
    """All of these lines or none of them, also while another notebook does the same."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EEXIST, "it is no plain file")
        os.fchmod(file, 0o600)  # a restored or edited one may be open to others
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:  # then without: a stopped notebook must not stop this one
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:  # a file system without locks
                break
        size = os.fstat(file).st_size
        text = "".join(f"{line}\n" for line in lines).encode()
        if size and os.pread(file, 1, size - 1) != b"\n":  # a line torn by whatever ended its notebook
            text = b"\n" + text
        if size + len(text) > LARGEST:
            raise OSError(errno.EFBIG, "it is too large; move it elsewhere")
        if os.write(file, text) < len(text):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)


@functools.cache
def _say(sentence: str) -> None:
    print(sentence)

"""The wall: speedups that learners choose to show together, without names, in a folder that they share.

A file holds one learner's points of one lesson: JSON lines of counts and speedups, no name, no host, no job.
Whose it is only the file system knows, and whoever may read the folder can ask it. What others wrote is
checked, and one owner counts once, so that nobody can fill the wall.
"""

import itertools
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path

from hpclab import checks, quality
from hpclab.classroom import exchange, settings
from hpclab.models.speedups import speedups, typical
from hpclab.results import Origin, Result

FOLDER = "HPCLAB_WALL"
LARGEST, MOST_POINTS = 16 * 2**10, 64  # bytes and lines of a file
MOST_FILES, MOST_ENTRIES = 16, 20_000  # the newest of one owner, names in the folder
_NAME = re.compile(r"points-[0-9a-f]{32}\.jsonl")
_ALONG = ("nodes", "processes", "threads")
_SHOWN = (Origin.MEASURED, Origin.EMULATED)
# squeue's options, and what a site's settings call them in the environment.
_QUEUE = {"partition": "SBATCH_PARTITION", "account": "SBATCH_ACCOUNT", "reservation": "SBATCH_RESERVATION"}


@dataclass(frozen=True)
class Point:
    """One learner's typical `speedup` at this `count` of nodes, threads or processes."""

    lesson: str
    along: str
    count: int
    speedup: float
    origin: str
    doubt: bool

    def __post_init__(self) -> None:
        if not isinstance(self.lesson, str) or not re.fullmatch(r"[0-9]{2}", self.lesson):
            raise ValueError(f"A lesson is a number such as 05, not {checks.shown(self.lesson)}.")
        checks.choice("along", self.along, _ALONG)
        checks.integer("A count", self.count, 1, 1024)
        # Caches may help, but beyond four times the ideal somebody is joking.
        checks.number("A speedup", self.speedup, 1e-3, 4 * self.count)
        checks.choice("origin", self.origin, _SHOWN)
        checks.instance("doubt", self.doubt, bool)

    def result(self) -> Result:
        """As figures take it."""
        condition = "as the lesson says" if self.origin == Origin.EMULATED else ""
        return Result(
            f"lesson {self.lesson}", "speedup", self.speedup, Origin(self.origin), run="",
            parameters={self.along: self.count}, condition=condition, environment={"doubt": self.doubt},
        )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What the wall shows of a lesson: for each learner the points; and how many files were `passed_over`."""

    learners: tuple[tuple[Result, ...], ...]
    passed_over: int = 0


def folder(named: str | Path | None = None) -> Path | None:
    """The class's folder: `named`, or what the site says (HPCLAB_WALL); None where there is none."""
    place = named or os.environ.get(FOLDER)
    return Path(place) if place else None


def points(results: Sequence[Result], lesson: str, along: str = "nodes") -> list[Point]:
    """The typical speedups among `results`, makespans as an experiment gives them; without those that a
    disturbed machine made beyond belief."""
    found, doubt, credible = speedups(results, along), bool(quality.doubt(results)), list[Point]()
    for origin in _SHOWN:
        for count, value in typical(found, along, origin).items():
            with suppress(ValueError):
                spoilt = doubt and origin is Origin.MEASURED
                credible.append(Point(lesson, along, count, round(value, 4), str(origin), spoilt))
    return credible[:MOST_POINTS]


def share(place: Path, shown: Sequence[Point]) -> None:
    """Put these points on the wall, in place of this user's earlier ones of the lesson. OSError."""
    before = list(mine(place, shown[0].lesson))
    lines = "".join(dumps(asdict(point)) + "\n" for point in shown)
    exchange.put(place / f"points-{secrets.token_hex(16)}.jsonl", lines.encode(), 0o644)
    _remove(before)


def take_back(place: Path, lesson: str) -> None:
    """Take this user's points of the lesson off the wall. OSError."""
    _remove(mine(place, lesson))


def mine(place: Path, lesson: str) -> Iterator[Path]:
    """This user's own files of the lesson on the wall, newest first."""
    for name in _by_owner(place).get(os.getuid(), []):
        with suppress(OSError, ValueError):
            if _read(place / name, os.getuid())[0].lesson == lesson:
                yield place / name


def read(place: Path, lesson: str = "05") -> Seen:
    """What is on the wall of a lesson; a file that is not as it should be is only counted. OSError."""
    learners, passed_over = [], 0
    for owner, names in _by_owner(place).items():
        for name in names[:MOST_FILES]:
            try:
                found = _read(place / name, owner)
            except FileNotFoundError:  # just taken back
                continue
            except (OSError, ValueError):
                passed_over += 1
                continue
            if found[0].lesson == lesson:
                learners.append(tuple(point.result() for point in found))
                break
    return Seen(tuple(learners), passed_over)


def environment() -> dict[str, str]:
    """This environment, with what a site's settings add where it says nothing. ValueError."""
    try:
        return settings.read().environment() | dict(os.environ)
    except FileNotFoundError:
        return dict(os.environ)


def queue_of(environment: Mapping[str, str]) -> list[str]:
    """The options by which squeue tells of the class only, as the site's settings name it; [] for all."""
    return [
        f"--{option}={checks.identifier(name, environment[name])}"
        for option, name in _QUEUE.items() if environment.get(name)
    ]  # fmt: skip


def _by_owner(place: Path) -> dict[int, list[str]]:
    """The names of what may be points, each owner's newest first."""
    found = defaultdict[int, list[tuple[int, str]]](list)
    with os.scandir(place) as entries:
        for entry in itertools.islice(entries, MOST_ENTRIES):
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    found[status.st_uid].append((status.st_mtime_ns, entry.name))
    return {owner: [name for _, name in sorted(files, reverse=True)] for owner, files in found.items()}


def _read(place: Path, owner: int) -> list[Point]:
    """The points of a file, at least one and all of one lesson; OSError or ValueError."""
    content, found_owner = exchange.read(place, LARGEST)
    lines = content.decode().splitlines()
    if found_owner != owner or not 0 < len(lines) <= MOST_POINTS:
        raise ValueError("it is not what was found, or has no points or too many")
    try:
        found = [Point(**exchange.plain(line)) for line in lines]
    except TypeError:
        raise ValueError("a line of it is no point") from None
    if len({(point.lesson, point.along) for point in found}) != 1:
        raise ValueError("its points are of several lessons")
    return found


def _remove(files: Sequence[Path] | Iterator[Path]) -> None:
    for file in list(files):
        file.unlink(missing_ok=True)

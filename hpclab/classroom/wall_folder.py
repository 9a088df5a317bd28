"""The wall: speedups that learners choose to show together, without names, in a folder that they share. A
file holds one learner's points of one lesson, JSON lines of counts and speedups, whose owner only the file
system knows. What others wrote is checked, and one owner counts once."""

import itertools
import json
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpclab import checks, quality
from hpclab.classroom import exchange
from hpclab.models.speedups import speedups, typical
from hpclab.results import Origin, Result

FOLDER = "HPCLAB_WALL"
LARGEST, MOST_ENTRIES = 16 * 2**10, 20_000  # bytes of a file, names in the folder
_NAME = re.compile(r"points-([0-9]{2})-[0-9a-f]{32}\.jsonl")
_SHOWN = (Origin.MEASURED, Origin.EMULATED)


def points(results: Sequence[Result], along: str = "nodes") -> list[dict[str, Any]]:
    """The typical speedup at each count of `along` in `results`, an experiment's makespans: a line of a file
    each, as a dict. Speedups that `_point` refuses, made by a disturbed machine, are left out."""
    found, doubt, credible = speedups(results, along), bool(quality.doubt(results)), []
    for origin in _SHOWN:
        for count, value in typical(found, along, origin).items():
            line: dict[str, Any]
            line = {"along": along, "count": count, "speedup": round(value, 4), "origin": str(origin),
                    "doubt": doubt and origin is Origin.MEASURED}  # fmt: skip
            with suppress(ValueError):
                _point(**line)
                credible.append(line)
    return credible


def share(place: Path, lesson: str, shown: Sequence[Mapping[str, Any]]) -> None:
    """Publish the points `shown` in the folder `place`, in place of this user's earlier ones. OSError."""
    file = place / f"points-{lesson}-{secrets.token_hex(16)}.jsonl"
    exchange.put(file, "".join(json.dumps(line) + "\n" for line in shown).encode(), 0o644)
    take_back(place, lesson, but=file)


def take_back(place: Path, lesson: str, but: Path | None = None) -> None:
    """Remove this user's points of the lesson, except the file `but`, from the wall. OSError."""
    for file in mine(place, lesson):
        if file != but:
            file.unlink(missing_ok=True)


def mine(place: Path, lesson: str) -> list[Path]:
    """This user's own files of the lesson on the wall. OSError."""
    return _by_owner(place, lesson).get(os.getuid(), [])


def read(place: Path, lesson: str = "05") -> tuple[list[list[Result]], int]:
    """Each learner's points of a lesson, from an owner's newest file, one for each origin and count; and how
    many files cannot be read. OSError where the folder cannot be."""
    learners, unreadable = [], 0
    for owner, files in _by_owner(place, lesson).items():
        try:
            content, status = exchange.read(files[0], LARGEST)
            if status.st_uid != owner or not content:
                raise ValueError("it is not what was found, or empty")
            found = [_point(**json.loads(line)) for line in content.decode().splitlines()]
            learners.append([*{(one.origin, *one.parameters.items()): one for one in found}.values()])
        except FileNotFoundError:  # just taken back
            continue
        except (OSError, TypeError, ValueError, RecursionError):
            unreadable += 1
    return learners, unreadable


def _by_owner(place: Path, lesson: str) -> dict[int, list[Path]]:
    """Files named as points of the lesson, by the owner's uid, the newest first."""
    found = defaultdict[int, list[tuple[int, Path]]](list)
    with os.scandir(place) as entries:
        for entry in itertools.islice(entries, MOST_ENTRIES):
            if (name := _NAME.fullmatch(entry.name)) and name[1] == lesson:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    found[status.st_uid].append((status.st_mtime_ns, place / entry.name))
    return {owner: [file for _, file in sorted(files, reverse=True)] for owner, files in found.items()}


def _point(along: str, count: int, speedup: float, origin: str, doubt: bool) -> Result:
    """The Result of a typical `speedup` at `count` nodes, threads or processes; ValueError if incredible."""
    checks.choice("along", along, ("nodes", "processes", "threads"))
    checks.integer("A count", count, 1, 1024)
    # Caches may help, but beyond four times the ideal somebody is joking.
    checks.number("A speedup", speedup, 1e-3, 4 * count)
    condition = "as the lesson says" * (checks.choice("origin", origin, _SHOWN) == Origin.EMULATED)
    return Result(
        "the wall", "speedup", speedup, Origin(origin), run="", parameters={along: int(count)},
        condition=condition, environment={"doubt": checks.instance("doubt", doubt, bool)},
    )  # fmt: skip

"""Lay the course into a folder the learner may write in, and never over the learner's changes.

A manifest in the folder remembers the hash of each file as it was laid out. A file that still has that hash
is the course's and may be replaced by a newer version; any other is the learner's, is kept, and the new
version is put beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hpclab.course.finder import root

_MANIFEST = Path(".hpclab") / "laid_out.json"


@dataclass
class Layout:
    """What `lay_out` did: the `folder`, the files `written`, and a sentence for each file it `kept`."""

    folder: Path
    written: list[Path] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def lay_out(folder: str | Path) -> Layout:
    """Copy notebooks to `folder` and job scripts to `folder/slurm/jobs`; call it as often as you like.

    Returns what was written and, for each file that the learner changed and that has a newer version, a
    sentence saying where the new one is. OSError says what could not be written.
    """
    target = Path(folder).expanduser().absolute()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    done, manifest = Layout(target), read_manifest(target)
    for name, source in originals().items():
        place, content = target / name, source.read_bytes()
        fresh, laid = digest(content), manifest.get(name)
        if not os.path.lexists(place) or (is_plain(place) and digest(place.read_bytes()) == laid != fresh):
            write(place, content, executable=content.startswith(b"#!"))
            done.written.append(place)
        elif laid != fresh and not (is_plain(place) and digest(place.read_bytes()) == fresh):
            new = beside(place, "new")
            write(new, content, executable=content.startswith(b"#!"))
            done.written.append(new)
            done.kept.append(f"You changed {name}, so it was kept; the course's new version is {new.name}.")
        manifest[name] = fresh
    write(target / _MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
    return done


def originals() -> dict[str, Path]:
    """The course's files by the name they get in a working folder, with ``/`` between the parts."""
    top = root()
    jobs = top / "slurm" / "jobs"
    files = {path.name: path for path in sorted((top / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    for path in sorted(jobs.rglob("*")):
        if path.is_file() and not any(part.startswith((".", "__")) for part in path.relative_to(jobs).parts):
            files[f"slurm/jobs/{path.relative_to(jobs).as_posix()}"] = path
    return files


def read_manifest(folder: Path) -> dict[str, str]:
    """Name to hash of what was laid into `folder`; empty where there is no readable manifest, so that a
    damaged one makes every file the learner's own."""
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in content.items()} if isinstance(content, dict) else {}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_plain(path: Path) -> bool:
    """A regular file itself, not a link to one: what a link points at is never replaced through it."""
    return path.is_file() and not path.is_symlink()


def beside(place: Path, word: str) -> Path:
    """A free name beside `place`: ``05_x.new.ipynb``, then ``05_x.new2.ipynb`` and so on."""
    number = 1
    while True:
        candidate = place.with_name(f"{place.stem}.{word}{number if number > 1 else ''}{place.suffix}")
        if not os.path.lexists(candidate):
            return candidate
        number += 1


def write(place: Path, content: bytes, *, executable: bool = False) -> None:
    """Write to a temporary name and rename, so that a full disk or an interrupt leaves no half file."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=place.parent, prefix=".hpclab-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(draft, 0o755 if executable else 0o644)
        os.replace(draft, place)
    except BaseException:
        os.unlink(draft)
        raise

"""Lay the course into a folder the learner may write in, and never over the learner's changes.

A manifest in the folder remembers the hash of each file as it was laid out. A file that still has that hash
is the course's and may be replaced by a newer version; any other is the learner's, is kept, and the new
version is put beside it."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from hpclab.course.finder import root
from hpclab.course.writing import beside, is_plain, write_all

MANIFEST = Path(".hpclab") / "laid_out.json"


@dataclass
class Layout:
    """What `lay_out` did: the `folder`, the files `written`, and a sentence for each file it `kept`."""

    folder: Path
    written: list[Path] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Layout in {self.folder}: {len(self.written)} files written, {len(self.kept)} kept>"


def lay_out(folder: str | Path) -> Layout:
    """Copy notebooks to `folder` and job scripts to `folder/slurm/jobs`; call it as often as you like.

    Returns what was written and, for each file that the learner changed and that has a newer version, a
    sentence saying where the new one is. OSError says what could not be written; then nothing was."""
    target = Path(folder).expanduser().absolute()
    done, before, files = Layout(target), read_manifest(target), dict[Path, bytes]()
    manifest = dict(before)
    for name, source in originals().items():
        place, content = target / name, source.read_bytes()
        manifest[name] = fresh = digest(content)
        laid, here = before.get(name), digest(place.read_bytes()) if is_plain(place) else ""
        if not os.path.lexists(place) or (here and here == laid != fresh):
            files[place] = content
        elif fresh not in (laid, here):
            new = beside(place, "new")
            files[new] = content
            done.kept.append(f"You changed {name}, so it was kept; the course's new version is {new.name}.")
    done.written.extend(files)
    if files or manifest != before:
        files[target / MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
        write_all(files, target)
    return done


def originals() -> dict[str, Path]:
    """The course's files by the name they get in a working folder, with ``/`` between the parts."""
    notebooks, jobs = root() / "notebooks", root() / "slurm" / "jobs"
    files = {
        path.name: path for path in (*sorted(notebooks.glob("[0-9][0-9]_*.ipynb")), *notebooks.glob("*.md"))
    }
    for path in sorted(jobs.rglob("*")):
        name = path.relative_to(jobs)
        if path.is_file() and not any(part.startswith((".", "__")) for part in name.parts):
            files[f"slurm/jobs/{name.as_posix()}"] = path
    return files


def read_manifest(folder: Path) -> dict[str, str]:
    """Name to hash of what was laid into `folder`; empty where there is no readable manifest, so that a
    damaged one makes every file the learner's own."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in content.items()} if isinstance(content, dict) else {}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""List the lessons that are here, and lay out a working folder of them that a learner may write in.

In a working folder a manifest remembers the hash of each file as it was laid out. A file that still has that
hash is the course's and may be replaced by a newer version; any other is the learner's, is kept, and the new
version is put beside it."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from hpclab.course.writing import Written, beside, is_plain, write_all

MANIFEST = Path(".hpclab") / "laid_out.json"
_LESSONS = "[0-9][0-9]_*.ipynb"


@dataclass(frozen=True, slots=True)
class Lesson:
    """A notebook: `number` ("05"), `name` ("05_scale_out_with_dask"), `title` (its first heading), `path`;
    `needs`, from its metadata: those of "slurm", "gpu" and "cores" that make it better; the names of its
    `exercises`, in order."""

    number: str
    name: str
    title: str
    path: Path
    needs: tuple[str, ...]
    exercises: tuple[str, ...] = ()


def root() -> Path:
    """The folder that holds `notebooks/` and `slurm/jobs/`: inside a wheel, or the top of a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here, here.parents[1]):
        if (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(
        "The course's notebooks are not beside the package: install hpclab again from a wheel or checkout."
    )


def lessons() -> list[Lesson]:
    """The lessons that are here, in order. ValueError names a notebook that cannot be read."""
    found = []
    for path in sorted((root() / "notebooks").glob(_LESSONS)):
        try:
            text = path.read_text(encoding="utf-8")
            notebook = json.loads(text)
            texts = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
            needs = tuple(notebook["metadata"].get("hpclab", {}).get("needs", ()))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a notebook: {error}.") from None
        heading = re.search(r"^#\s+(.+)$", "\n".join(texts), re.MULTILINE)
        title = heading[1].strip() if heading else path.stem[3:].replace("_", " ").capitalize()
        title = re.sub(r"^(lesson\s+)?\d\d\s*[.:·–-]?\s+", "", title, flags=re.IGNORECASE)
        exercises = tuple(dict.fromkeys(re.findall(r"lesson_\d\d\.([A-Z0-9_]+)\.check\(", text)))
        found.append(Lesson(path.name[:2], path.stem, title, path, needs, exercises))
    return found


def lay_out(folder: str | Path) -> Written:
    """Copy notebooks to `folder` and job scripts to `folder/slurm/jobs`. A file that the learner changed
    stays; if the course has a newer version, that is written beside it, and a sentence in `kept` says where.
    OSError: nothing was written."""
    target = Path(folder).expanduser().absolute()
    before, files, kept = read_manifest(target), dict[Path, bytes](), list[str]()
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
            kept.append(f"You changed {name}, so it was kept; the course's new version is {new.name}.")
    names = [place.relative_to(target).as_posix() for place in files]
    if files or manifest != before:
        files[target / MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
        write_all(files, target)
    return Written(target, names, kept)


def originals() -> dict[str, Path]:
    """The path of each of the course's files by its name in a working folder (``slurm/jobs/train.sh``)."""
    notebooks, jobs = root() / "notebooks", root() / "slurm" / "jobs"
    files = {path.name: path for path in (*sorted(notebooks.glob(_LESSONS)), *notebooks.glob("*.md"))}
    for path in sorted(jobs.rglob("*")):
        name = path.relative_to(jobs)
        if path.is_file() and not any(part.startswith((".", "__")) for part in name.parts):
            files[f"slurm/jobs/{name.as_posix()}"] = path
    return files


def read_manifest(folder: Path) -> dict[str, str]:
    """The hash of each file as it was laid out in `folder`, by name; empty where there is no readable
    manifest, so that every file then counts as the learner's own."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in content.items()} if isinstance(content, dict) else {}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

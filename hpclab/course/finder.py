"""Where the lessons are, and what each says about itself, so that a new lesson is one new file.

A lesson is a notebook `NN_verb_phrase.ipynb`. Its title is its first heading; what it needs stands in its own
metadata (``{"hpclab": {"needs": ["slurm"]}}``)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Lesson:
    """`number` ("05"), `name` ("05_scale_out_with_dask"), `title`, the notebook's `path`; `needs`: what it is
    better with, of "slurm", "gpu" and "cores"; the names of its `exercises`, in order."""

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
    for path in sorted((root() / "notebooks").glob("[0-9][0-9]_*.ipynb")):
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

"""Our own runs on other machines, shipped with their provenance: `read("one_core")`."""

from pathlib import Path

from hpclab import checks
from hpclab.results import Result, read_jsonl

_FOLDER = Path(__file__).with_name("recorded")


def read(name: str) -> list[Result]:
    """The Results of one recording; ValueError names the recordings there are."""
    known = sorted(path.stem for path in _FOLDER.glob("*.jsonl"))
    return read_jsonl(_FOLDER / f"{checks.choice('The recording', name, known)}.jsonl")

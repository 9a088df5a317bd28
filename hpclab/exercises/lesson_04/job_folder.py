"""Where the learner's job scripts lie, and the one file that names a site's partition and account."""

import os
import re
import tempfile
from pathlib import Path

from hpclab import checks
from hpclab.course import layout, writing

_OURS = "slurm/jobs/"


def job_folder(here: str | Path = ".") -> Path:
    """The folder with the course's job scripts, where jobs may write: `slurm/jobs` beside the notebook. Where
    that is not there, `my_jobs`, into which they are laid, never over a changed one; and where nothing can be
    written, a temporary folder, whose path is printed."""
    here = Path(here).absolute()
    for place in (here, here / "slurm" / "jobs", here / "my_jobs"):
        if (place / "hello.sh").is_file() and (place / "broken").is_dir() and os.access(place, os.W_OK):
            return place
    try:
        return _lay_into(here / "my_jobs")
    except OSError as error:
        place = _lay_into(Path(tempfile.mkdtemp(prefix="hpclab-jobs-")))
        print(f"Nothing can be written in {here} ({error.strerror}), so your job scripts are in {place}.")
        return place


def _lay_into(place: Path) -> Path:
    """Write the course's job scripts into `place`, except those that are there, and return `place`."""
    ours = [(name, source) for name, source in layout.originals().items() if name.startswith(_OURS)]
    scripts = {place / name.removeprefix(_OURS): source.read_bytes() for name, source in ours}
    writing.write_all({to: text for to, text in scripts.items() if not os.path.lexists(to)}, place)
    return place


def original(name: str) -> str:
    """The text of a job script as the course ships it; `name` such as ``broken/1_four_tasks.sh``."""
    return layout.originals()[f"{_OURS}{name}"].read_text(encoding="utf-8")


def site_settings(path: str | Path = "site.env") -> dict[str, str]:
    """The environment variables with which sbatch, salloc and srun read the PARTITION and ACCOUNT that the
    file `path` sets; ValueError where a value is no name, or the file has DOS line breaks."""
    text, file = Path(path).read_bytes().decode("utf-8-sig", errors="replace"), Path(path).name
    if "\r" in text:  # which a shell would take for a part of the name
        raise ValueError(f"{file} has DOS line breaks: sed -i 's/\\r$//' {file} takes them out.")
    settings = dict[str, str]()
    for word in ("PARTITION", "ACCOUNT"):
        match = re.search(rf"^{word}=(.*)$", text, re.MULTILINE)
        value = match[1].split("#")[0].strip().strip("\"'") if match else ""
        if value:
            checks.identifier(f"{word} in {file}", value)
            settings |= dict.fromkeys((f"SBATCH_{word}", f"SALLOC_{word}", f"SLURM_{word}"), value)
    return settings

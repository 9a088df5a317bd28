"""The course as pages: run every lesson, and make a static site of the notebooks and the documentation.

    python docs/pages.py [--run NN ...] [--out build/site]

The lessons run one after the other, as `hpclab rehearse` runs them: two at once would spoil each other's
measurements. What Sphinx reads is written under OUT/source; the site is OUT/html. Nothing in notebooks/ or
docs/ is changed. With HPCLAB_REPOSITORY=owner/name there are links to the repository and to Binder, and with
HPCLAB_HUB=https://hub.example.org as well, to a hub with nbgitpuller.
"""

import argparse
import functools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from datetime import date
from getpass import getuser
from itertools import chain
from pathlib import Path
from platform import node
from typing import Any
from urllib.parse import urlencode

import psutil
import widget_pictures
import yaml
from sphinx.cmd.build import main as sphinx

from hpclab.cli import rehearse
from hpclab.course import Lesson, lessons
from hpclab.figures.wording import counted
from hpclab.machine.probe import probe

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = os.environ.get("HPCLAB_REPOSITORY", "")
HUB = os.environ.get("HPCLAB_HUB", "").rstrip("/")
LISTS = {  # of the side bar; Sphinx refuses a page that is in none
    "Lessons": ["notebooks/[0-9]*"],
    "Guides": ["docs/learner", "notebooks/glossary", "docs/hub", "docs/operations"],
    "Teaching": ["docs/instructor", "docs/solutions"],
    "How it is made": [
        "docs/architecture", "docs/validation", "hpclab/validation/reference/LICENCE", "benchmarks/README",
        "CONTRIBUTING", "CHANGELOG", "cite",
    ],
}  # fmt: skip
WAYS = "[Read a lesson](notebooks/05_scale_out_with_dask.ipynb) · [All lessons](#lessons) · [Cite](cite.md)"
SCALERS = {"05": "node_scaler", "08": "training_scaler"}  # they show nothing before a button is pressed
SHORT = "/tmp"  # noqa: S108 - it becomes part of socket names
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", action="append", metavar="NN", help="run this lesson only; may be repeated")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begin, out = time.monotonic(), options.out.resolve()
    for name in ("source", "html"):
        shutil.rmtree(out / name, ignore_errors=True)
    try:
        chosen = rehearse.choose(lessons(), options.run)
        stage(out / "source")
        for lesson in chosen:
            run(lesson, out / "source" / "notebooks")
    except (ValueError, RuntimeError) as error:
        print(f"pages: {error}", file=sys.stderr)
        return 1
    strict = ["--fresh-env", "--quiet", "--fail-on-warning", "--keep-going"]
    failed = sphinx(["-M", "html", str(out / "source"), str(out), "--conf-dir", str(ROOT / "docs"), *strict])
    if not failed:
        print(f"{out / 'html' / 'index.html'} in {time.monotonic() - begin:.0f} s")
    return failed


# ---- pages of text


def stage(source: Path) -> None:
    """Copy what is a page or linked from one, in the repository's own tree; make the first and the last."""
    shutil.copytree(ROOT / "docs" / "images", source / "docs" / "images")
    files = ["LICENSE*", "notebooks/*.ipynb", "docs/*.md", *(f"{page}.md" for page in chain(*LISTS.values()))]
    pages = {path.relative_to(ROOT).as_posix(): read(path) for path in chain(*map(ROOT.glob, files))}
    pages |= {"index.md": landing(read(ROOT / "README.md")), "cite.md": citation()}
    # for instructors: no search for a lesson's words leads there
    pages["docs/solutions.md"] = f"---\nnosearch: true\n---\n\n{pages['docs/solutions.md']}"
    for name, text in pages.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        named = anchored(text.replace("OWNER/REPOSITORY", REPOSITORY or "OWNER/REPOSITORY"))
        (source / name).write_text(named, encoding="utf-8")


def anchored(text: str) -> str:
    """`text` with the glossary's words as Sphinx names their headings; JupyterLab keeps capitals."""
    name = lambda found: found[1] + re.sub(r"[^\w-]", "", found[2].lower())  # noqa: E731
    return re.sub(r"(\bglossary\.md#)([^)\s\"]+)", name, text)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def landing(readme: str) -> str:
    """The first page: the README, a lesson within a click, and the lists for the side bar."""
    top, picture, rest = readme.partition("![")
    lists = [
        f"```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
        for caption, pages in LISTS.items()
    ]
    return "\n".join([f"{top}{WAYS}\n\n{picture}{rest}", *lists])


def citation() -> str:
    """CITATION.cff as a page: a sentence to copy, and BibTeX."""
    cff = yaml.safe_load(read(ROOT / "CITATION.cff"))
    authors = [one.get("name") or f"{one['given-names']} {one['family-names']}" for one in cff["authors"]]
    title, year = cff["title"], str(cff["date-released"])[:4]
    url = f"https://github.com/{REPOSITORY}" if REPOSITORY else ""
    fields = {"title": f"{{{title}}}", "author": " and ".join(f"{{{name}}}" for name in authors)}
    fields |= {"year": year, "version": cff["version"], "url": url}
    bibtex = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    line = f"{', '.join(authors)} ({year}). *{title}*. Version {cff['version']}. {url}"
    return f"# Cite hpclab\n\n{line}\n\n## BibTeX\n\n```bibtex\n@software{{hpclab,\n{bibtex}\n}}\n```\n"


# ---- lessons


def run(lesson: Lesson, place: Path) -> None:
    """Run `lesson` and write its notebook into `place`. RuntimeError names a cell that failed."""
    print(f"{lesson.number}  {lesson.title[:46]:<46}  ", end="", flush=True)
    with tempfile.TemporaryDirectory(prefix="hpclab-p-", dir=SHORT, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        report = rehearse.rehearse(lesson, folder)
        print(rehearse.line(report), flush=True)
        if report.failure:
            raise RuntimeError(f"lesson {lesson.number} failed in {report.failure}")
        content = anonymous(json.loads(read(folder / "course" / lesson.path.name)), private(folder))
    states = content["metadata"].pop("widgets", {}).get(STATE, {}).get("state", {})
    for output in chain(*(cell.get("outputs", ()) for cell in content["cells"])):
        if view := output.get("data", {}).get(VIEW):
            output["data"] = still(states, view["model_id"], lesson)
    opening = next(cell for cell in content["cells"] if cell["cell_type"] == "markdown")
    heading, _, rest = "".join(opening["source"]).partition("\n")
    opening["source"] = f"{heading}\n\n{above(lesson)}\n{rest}"
    (place / lesson.path.name).write_text(anchored(json.dumps(content)), encoding="utf-8")


def private(folder: Path) -> dict[str, str]:
    """Patterns of this machine's paths (the longer ones first), addresses, name and ports, and of its user in
    Slurm's lists, and what a page shows instead. `folder` is where a lesson ran."""
    paths = {folder / "course": "~/hpclab", folder / "s": "~/.hpclab", folder: "~", ROOT: "~/hpclab"}
    paths |= {Path(sys.prefix): "~/.venv", Path(sys.base_prefix): "/usr", Path.home(): "~"}
    shown = {str(path): name for path, name in paths.items()}
    shown |= {str(path.resolve()): name for path, name in paths.items()}
    longest = sorted(shown.keys() - {"/"}, key=len, reverse=True)
    known = {rf"(?<![\w.]){re.escape(path)}(?!\w)": shown[path] for path in longest}
    own = [one.address for one in chain(*psutil.net_if_addrs().values()) if "." in one.address]
    known |= {rf"\b{re.escape(one)}\b": "192.0.2.1" for one in own if not one.startswith("127.")}
    known |= {rf"\b{re.escape(node() or 'localhost')}\b": "localhost"}
    known |= {r"\b(127\.0\.0\.1|localhost):\d+": r"\1:PORT", r"\?key=[\w-]+": "?key=KEY"}  # a dashboard's
    return known | {rf"(?<= ){re.escape(f'{getuser():>8.8}')}(?= )": f"{'learner':>8}"}  # squeue's column


def anonymous(value: Any, known: dict[str, str]) -> Any:
    """A notebook, or a part of one, without what `private` knows; its sources stay as they are."""
    if isinstance(value, str):
        return functools.reduce(lambda text, one: re.sub(one, known[one], text), known, value)
    if isinstance(value, dict):
        return {name: one if name == "source" else anonymous(one, known) for name, one in value.items()}
    return [anonymous(one, known) for one in value] if isinstance(value, list) else value


def still(states: widget_pictures.States, model: str, lesson: Lesson) -> dict[str, str]:
    """What a page shows of a widget, by MIME type: of a scaler the README's picture, from another run."""
    if "hpclab-scaler" not in states[model]["state"].get("_dom_classes", ()):
        shown = widget_pictures.of(states, model)
        return {"text/html": f'<div class="hpclab-widget">{shown}</div>'} if shown else {}
    name = re.escape(f"(docs/images/{SCALERS[lesson.number]}.png)")
    picture = re.search(rf"!\[[^\]]*\]{name}\n\n\*[^*]*\*", read(ROOT / "README.md"))
    return {"text/markdown": picture[0].replace("](docs/", "](../docs/")}


def above(lesson: Lesson) -> str:
    """What stands under a lesson's title: that this is a run of it, where, and how to open it live."""
    ways, file = ["[on your own machine](../index.md#start)"], lesson.path.name
    if REPOSITORY:  # course/ is where binder/postBuild lays the course out
        ways += [f"[on Binder](https://mybinder.org/v2/gh/{REPOSITORY}/HEAD?urlpath=lab/tree/course/{file})"]
    if REPOSITORY and HUB:
        place = {"repo": f"https://github.com/{REPOSITORY}", "branch": "main"}
        place["urlpath"] = f"lab/tree/{REPOSITORY.split('/')[1]}/notebooks/{file}"
        ways += [f"[in the hub]({HUB}/hub/user-redirect/git-pull?{urlencode(place)})"]
    machine = probe()
    gpu = f"and {machine.gpus[0].name}" if machine.gpus and not machine.simulated else "and no GPU"
    where = f"on a machine with {counted(round(machine.cores.usable), 'core')} {gpu}"
    was = f"This page is an untouched run of {date.today():%d %B %Y} {where}; its controls are still."
    return f"```{{note}}\n{was} Open it live {', or '.join(ways)}.\n```\n"


if __name__ == "__main__":
    sys.exit(main())

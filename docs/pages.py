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
import posixpath
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from getpass import getuser
from html import escape
from itertools import chain
from pathlib import Path
from platform import node
from typing import Any
from urllib.parse import quote, urlencode

import psutil
import widget_pictures
import yaml
from sphinx.application import Sphinx

from hpclab.cli import rehearse
from hpclab.course import Lesson, lessons
from hpclab.figures.style import counted
from hpclab.machine.probe import probe

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = os.environ.get("HPCLAB_REPOSITORY", "")
HUB = os.environ.get("HPCLAB_HUB", "").rstrip("/")
GROUPS = {
    "Guides": ["docs/learner", "docs/operations"],  # and pages of docs/ that stand in no other group
    "Teaching": ["docs/instructor", "docs/solutions"],
    "How it is made": [
        "docs/architecture", "docs/validation", "benchmarks/README", "CONTRIBUTING", "CHANGELOG", "cite",
    ],
}  # fmt: skip
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
    begin = time.monotonic()
    try:
        chosen = rehearse.choose(lessons(), options.run)
        source, html = (options.out.resolve() / name for name in ("source", "html"))
        for folder in (source, html):
            shutil.rmtree(folder, ignore_errors=True)
        stage(source)
        for lesson in lessons():
            write_lesson(lesson, source, lesson in chosen)
        build(source, html)
        refuse_leaks(html)
    except (ValueError, RuntimeError) as error:
        print(f"pages: {error}", file=sys.stderr)
        return 1
    print(f"{html / 'index.html'} in {time.monotonic() - begin:.0f} s")
    return 0


# ---- pages of text


def stage(source: Path) -> None:
    """Copy every page of text, in the repository's own tree, and make the first page and the citation."""
    pages = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
    names = {lesson.path.relative_to(ROOT).as_posix() for lesson in lessons()}
    pages += sorted((ROOT / "docs").glob("*.md"))
    names |= {page.relative_to(ROOT).as_posix() for page in pages}
    for page in pages:
        name = page.relative_to(ROOT).as_posix()
        text = linked(page.read_text(encoding="utf-8"), posixpath.dirname(name), names)
        if name == "docs/solutions.md":  # listed for instructors; no search for a lesson's words leads there
            text = f"---\nnosearch: true\n---\n\n{text}"
        write(source / name, text)
    shutil.copytree(ROOT / "docs" / "images", source / "docs" / "images")
    readme = linked((ROOT / "README.md").read_text(encoding="utf-8"), "", names)
    write(source / "index.md", landing(readme, names))
    write(source / "cite.md", citation())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def linked(text: str, folder: str, names: set[str]) -> str:
    """`text` of a page in `folder`; a link to what is no page leads to the repository, or is plain text."""

    def led(link: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2].split("#")[0]))
        if "://" in link[2] or link[2].startswith("#") or path in names or not (ROOT / path).exists():
            return link[0]  # what leads nowhere is for Sphinx to refuse
        return f"[{link[1]}](https://github.com/{REPOSITORY}/blob/HEAD/{path})" if REPOSITORY else link[1]

    text = text.replace("OWNER/REPOSITORY", REPOSITORY or "OWNER/REPOSITORY")
    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", led, text)


def landing(readme: str, names: set[str]) -> str:
    """The first page: the README's own sections, lessons first, and the lists for the side bar."""
    top, *rest = re.split(r"^## ", readme, flags=re.MULTILINE)
    sections = {title: body for title, _, body in (part.partition("\n") for part in rest)}
    title, picture, *_ = re.split(r"(!\[[^\]]*\]\([^)]*\)\n\n\*[^*]*\*\n)", top, maxsplit=1)
    ways = "[Read a lesson](notebooks/05_scale_out_with_dask.ipynb) · [All lessons](#lessons) · "
    ways += "[Start](#start) · [Cite](cite.md)\n"
    shown = [f"## {name}\n{sections[name]}" for name in ("Lessons", "Start", "Where it runs")]
    parts, grouped = [title, ways, picture, *shown], [*chain.from_iterable(GROUPS.values())]
    others = [Path(name).with_suffix("").as_posix() for name in sorted(names) if name.startswith("docs/")]
    for caption, pages in {"Lessons": [f"notebooks/{lesson.name}" for lesson in lessons()], **GROUPS}.items():
        pages = pages + [one for one in others if one not in grouped] * (caption == "Guides")
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n")
    return "\n".join(parts)


def citation() -> str:
    """CITATION.cff as a page: a sentence to copy, and BibTeX."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = [one.get("name") or f"{one['given-names']} {one['family-names']}" for one in cff["authors"]]
    year, where = str(cff["date-released"])[:4], f"https://github.com/{REPOSITORY}" if REPOSITORY else ""
    line = f"{', '.join(authors)} ({year}). *{cff['title']}*. Version {cff['version']}. {where}".strip()
    fields = {"title": f"{{{cff['title']}}}", "author": " and ".join(f"{{{name}}}" for name in authors)}
    fields |= {"year": year, "version": cff["version"]} | ({"url": where} if where else {})
    bibtex = ",\n".join(["@software{hpclab", *(f"  {name} = {{{value}}}" for name, value in fields.items())])
    return f"# Cite hpclab\n\n{cff['message']}\n\n{line}\n\n## BibTeX\n\n```bibtex\n{bibtex}\n}}\n```\n"


# ---- lessons


def write_lesson(lesson: Lesson, source: Path, run: bool) -> None:
    """Run `lesson`, if so asked, and write its notebook for Sphinx. RuntimeError names a cell that failed."""
    with tempfile.TemporaryDirectory(prefix="hpclab-p-", dir=SHORT, ignore_cleanup_errors=True) as folder:
        notebook = lesson.path
        if run:
            print(f"{lesson.number}  {lesson.title[:46]:<46}  ", end="", flush=True)
            report = rehearse.rehearse(lesson, Path(folder))
            print(rehearse.line(report), flush=True)
            if report.failure:
                raise RuntimeError(f"lesson {lesson.number} failed in {report.failure}")
            notebook = Path(folder) / "course" / lesson.path.name
        content = json.loads(notebook.read_text(encoding="utf-8"))
        hide = anonymous(Path(folder))
    states = hide(content["metadata"].pop("widgets", {}).get(STATE, {}).get("state", {}))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            outputs = hide(cell["outputs"])
            for output in outputs:
                as_page(output, lambda model: pictured(states, model, lesson.number))
            cell["outputs"] = [output for output in outputs if output.get("text") != ""]
    opening = next(cell for cell in content["cells"] if cell["cell_type"] == "markdown")
    heading, _, rest = "".join(opening["source"]).partition("\n")
    opening["source"] = f"{heading}\n\n{above(lesson, run)}\n{rest}"
    write(source / "notebooks" / lesson.path.name, json.dumps(content))


def anonymous(folder: Path) -> Callable[[Any], Any]:
    """Makes outputs into the same without this machine's paths, name, addresses and ports, and without its
    user in Slurm's lists. `folder` is where the lesson ran."""
    known = {rf"(?<![\w.]){re.escape(path)}(?!\w)": shown for path, shown in private(folder).items()}
    known |= {rf"\b{re.escape(one)}\b": "192.0.2.1" for one in addresses()}  # one for documentation
    known |= {rf"\b{re.escape(node())}\b": "localhost"} if node() else {}
    known |= {r"\b(127\.0\.0\.1|localhost):\d+": r"\1:PORT", r"\?key=[\w-]+": "?key=KEY"}  # a dashboard's
    known |= {rf"(?<= ){re.escape(f'{getuser():>8.8}')}(?= )": f"{'learner':>8}"}  # squeue's column

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            return functools.reduce(lambda text, one: re.sub(one, known[one], text), known, value)
        if isinstance(value, list):
            return [hide(one) for one in value]
        return {name: hide(one) for name, one in value.items()} if isinstance(value, dict) else value

    return hide


def addresses() -> list[str]:
    """This machine's addresses, but for loopback."""
    found = (one.address for interface in psutil.net_if_addrs().values() for one in interface)
    return [one for one in found if "." in one and not one.startswith("127.")]


def private(folder: Path) -> dict[str, str]:
    """Paths of this machine, the longer ones first, and what a page shows instead."""
    paths = {folder / "course": "~/hpclab", folder / "s": "~/.hpclab", folder: "~", ROOT: "~/hpclab"}
    paths |= {Path(sys.prefix): "~/.venv", Path(sys.base_prefix): "/usr", Path.home(): "~"}
    paths = {path.resolve(): shown for path, shown in paths.items()} | paths
    known = {str(path): shown for path, shown in paths.items() if len(path.parts) > 1 and str(path) != "/usr"}
    return dict(sorted(known.items(), key=lambda one: -len(one[0])))


def as_page(output: dict, picture: Callable[[str], str]) -> None:
    """Have `output` be what a page can show without a kernel: a widget becomes a picture of itself."""
    data = output.get("data", {})
    view = data.pop(VIEW, None)
    if view:
        shown = picture(view["model_id"])
        still = "<p>Live when the lesson is open.</p>" * ("<svg" in shown)
        output["data"] = {"text/html": f'<div class="hpclab-widget">{shown}{still}</div>'} if shown else {}
    elif "text" in output:  # what was written over, as progress is, is gone
        output["text"] = re.sub(r"[^\n]*\r(?!\n)", "", "".join(output["text"]))
    elif "text/html" in data:
        output["data"] = {"text/html": f'<div class="hpclab-output">{"".join(data["text/html"])}</div>'}


def pictured(states: dict, model: str, number: str) -> str:
    """A widget as HTML; a scaler as its picture from a run of its own, described as in the README."""
    if number not in SCALERS or not widget_pictures.has(states, model, "hpclab-scaler"):
        return widget_pictures.of(states, model)
    name = f"{SCALERS[number]}.png"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    words = " ".join(re.search(rf"!\[([^\]]*)\]\(docs/images/{name}\)", readme)[1].split())
    said = "After a sweep, from a run of its own on a machine with two cores. Live when the lesson is open."
    return f'<figure><img src="../_static/{name}" alt="{escape(words)}"></figure><p>{said}</p>'


def above(lesson: Lesson, run: bool) -> str:
    """What stands under a lesson's title: that this is a run of it, where, and how to open it live."""
    here = f"lab/tree/course/{lesson.path.name}"  # where binder/postBuild lays the course out
    ways = ["[on your own machine](../index.md#start)"]
    if REPOSITORY and HUB:
        place = {"repo": f"https://github.com/{REPOSITORY}", "branch": "main"}
        place["urlpath"] = f"lab/tree/{REPOSITORY.split('/')[1]}/notebooks/{lesson.path.name}"
        ways.insert(0, f"[in the hub]({HUB}/hub/user-redirect/git-pull?{urlencode(place)})")
    if REPOSITORY:
        ways.insert(0, f"[on Binder](https://mybinder.org/v2/gh/{REPOSITORY}/HEAD?urlpath={quote(here)})")
    was = "This page is not a run of the lesson"
    if run:
        machine = probe()
        gpus = f" and {machine.gpus[0].name}" if machine.gpus and not machine.simulated else " and no GPU"
        cores = counted(round(machine.cores.usable), "core")
        was = f"This page is an untouched run of {date.today():%d %B %Y} on a machine with {cores}{gpus}"
    return f"```{{note}}\n{was}; its controls are still. Open it live {', or '.join(ways)}.\n```\n"


# ---- the site


def build(source: Path, html: Path) -> None:
    """Run Sphinx; whatever it warns of is an error."""
    said = html.parent / "sphinx.log"
    with said.open("w", encoding="utf-8") as log:
        docs, trees = ROOT / "docs", html.parent / "doctrees"
        Sphinx(source, docs, html, trees, "html", status=None, warning=log, freshenv=True).build(
            force_all=True
        )
    if warnings := said.read_text(encoding="utf-8").strip():
        raise RuntimeError(f"Sphinx warned:\n{warnings}")


def refuse_leaks(html: Path) -> None:
    """RuntimeError if a lesson's page names a path or an address of this machine."""
    secret = "|".join(map(re.escape, [*private(Path(SHORT, "hpclab-p-")), *addresses()]))
    for page in (html / "notebooks").glob("*.html"):
        found = re.search(rf"(?<![\w.])({secret})", page.read_text(encoding="utf-8"))
        if found:
            raise RuntimeError(f"{page.name} would publish {found[0]} of this machine.")


if __name__ == "__main__":
    sys.exit(main())

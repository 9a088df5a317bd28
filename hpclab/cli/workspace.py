"""The first view of the course in JupyterLab: lesson 00 open, the list of files beside it, in a workspace
file that is written once and is the learner's from then on. `python -m hpclab.cli.workspace FOLDER` lays the
course into FOLDER and writes it where a JupyterLab that is not ours looks for it (Binder, a hub): at
`lab/workspaces/hpclab`."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpclab.course import lay_out, lessons, writing

NAME = "hpclab"


def first_view(notebook: str, *, path: str = "") -> dict[str, Any]:
    """The workspace that opens `notebook`, a path under the server's root; the file list stands at `path`."""
    data: dict[str, Any] = {
        f"notebook:{notebook}": {"data": {"path": notebook, "factory": "Notebook"}},
        "file-browser-filebrowser:cwd": {"path": path},
    }
    dock = {"type": "tab-area", "currentIndex": 0, "widgets": [f"notebook:{notebook}"]}
    data["layout-restorer:data"] = {
        "main": {"dock": dock, "current": f"notebook:{notebook}"},
        "left": {"collapsed": False, "visible": True, "current": "filebrowser", "widgets": ["filebrowser"]},
        "right": {"collapsed": True, "visible": True, "widgets": []},
        "relativeSizes": [0.18, 0.82, 0],
    }
    return {"data": data, "metadata": {"id": NAME}}


def write(folder: Path, view: dict[str, Any]) -> Path:
    """Write `view` to JupyterLab's file in `folder`, unless a valid one is there; return the file's path."""
    from jupyterlab_server.workspaces_handler import WORKSPACE_EXTENSION, slugify

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / (slugify(NAME) + WORKSPACE_EXTENSION)
    with suppress(FileNotFoundError, ValueError):
        if isinstance(json.loads(place.read_bytes()), dict):
            return place
    writing.write_all({place: json.dumps(view).encode()}, folder)
    return place


if __name__ == "__main__":
    from jupyterlab.commands import get_workspaces_dir

    (course,) = sys.argv[1:]
    lay_out(course)
    first = f"{course}/{lessons()[0].path.name}"
    print(write(Path(get_workspaces_dir()), first_view(first, path=course)))

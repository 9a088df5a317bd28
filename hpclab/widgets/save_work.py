"""Two controls for a session that may be lost: download my work as one file, bring it back into a new one."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import ipywidgets as widgets

from hpclab.course import restore_work, save_work
from hpclab.course.work import LARGEST_TOTAL
from hpclab.figures.wording import counted
from hpclab.widgets.explorer import button, control

NAME = "my-work.zip"
_LARGEST_LINK = 8 * 2**20  # bytes; a larger file is downloaded from the file list instead of through the page


def controls(folder: str | Path = ".") -> widgets.VBox:
    """Two buttons: "Save my work" writes my-work.zip into `folder`, with a link; "Restore" takes one back."""
    top = Path(folder)
    tip = f"Bring back what a {NAME} holds; nothing newer of yours is overwritten"
    upload = control(widgets.FileUpload, "Restore from a file", accept=".zip", tooltip=tip, style={})
    said = widgets.HTML()

    def say(sentences: Sequence[str], link: str = "", role: str = "status") -> None:
        lines = "".join(f"<div>{escape(sentence)}</div>" for sentence in sentences)
        said.value = f'<div role="{role}" style="line-height:1.5">{lines}{link}</div>'

    def on_save() -> None:
        try:
            saved = save_work(top / NAME, top)
        except OSError as error:
            say([f"{NAME} could not be written: {error.strerror or error}."], role="alert")
        else:
            here = f"{counted(len(saved.names), 'file')} of yours in {NAME}."
            say([here, *saved.kept], _link(saved.path))

    def on_upload(change: dict) -> None:
        for file in change["new"]:
            try:
                if file["size"] > LARGEST_TOTAL:
                    raise ValueError(f"{file['name']} is too large to be saved work.")
                restored = restore_work(file["content"], top)
            except (ValueError, OSError) as error:
                say([str(error)], role="alert")
            else:
                back = f"{counted(len(restored.names), 'file')} brought back. Open them again to see them."
                say([back, *restored.kept])

    tip = f"Write all that differs from the course into {NAME}, and link to it"
    save = button("Save my work", tip, on_save, button_style="primary")
    upload.observe(on_upload, "value")
    return widgets.VBox([widgets.HBox([save, upload], layout={"flex_flow": "row wrap"}), said])


def _link(path: Path) -> str:
    """HTML of a link that holds the file, or, for a large one, of a sentence that says where it is."""
    if path.stat().st_size > _LARGEST_LINK:
        return f"<div>Download it from the file list: right-click {NAME}, then Download.</div>"
    content = base64.b64encode(path.read_bytes()).decode()
    attributes = f'style="text-decoration:underline;color:#0058a3" download="{NAME}"'
    return f'<a {attributes} href="data:application/zip;base64,{content}">Download {NAME}</a>'

"""The course as files: which lessons there are, a working folder to learn in, and the learner's own work."""

import inspect
import textwrap
from typing import Any

from hpclab.course.layout import Lesson, lay_out, lessons, originals, root
from hpclab.course.work import restore_work, save_work
from hpclab.course.writing import Written

__all__ = [
    "Lesson", "Written", "lay_out", "lessons", "restore_work", "root", "save_work", "show_script",
    "show_source",
]  # fmt: skip
_LOOK = (  # JupyterLab breaks lines in the middle of a word; 110 columns of this size fit its cell
    "<style>.hpclab-source{overflow-x:auto} .hpclab-source "
    "pre{white-space:pre!important; font-size:12px!important; margin:0}</style>"
)


def show_source(*things: Any) -> None:
    """Show the source of functions, classes or modules; of a Numba kernel, its Python function."""
    plain = (getattr(one, "py_func", None) or getattr(one, "fn", one) for one in things)
    _show("\n\n".join(textwrap.dedent(inspect.getsource(one)).rstrip() for one in plain), "python")


def show_script(number: str) -> None:
    """Show the script that the lesson of this `number` ("05") ends with, which needs no hpclab."""
    for name, path in originals().items():
        if name.startswith(f"slurm/jobs/plain/{number}_"):
            language = "bash" if path.suffix == ".sh" else "python"
            _show(f"# {name}\n{path.read_text(encoding='utf-8')}", language)


def _show(text: str, language: str) -> None:
    from IPython import get_ipython
    from IPython.display import Code, display

    if get_ipython() is None:
        return print(text)
    markup = f'{_LOOK}<div class="hpclab-source">{Code(text, language=language)._repr_html_()}</div>'
    display({"text/plain": text, "text/html": markup}, raw=True)

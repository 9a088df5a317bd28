"""Every lesson's widgets in a real browser, each in a tiny notebook, with the keyboard.

What is done is data: `WIDGETS` of tests/lessons/widget_scripts.py, for each widget the cells that show it
(ids of the lesson's cells, or code in their place) and steps:

    ("see", text or pattern)      it stands in the widget: on the page, or where a screen reader finds it
    ("gone", text)                it stands there no more
    ("press", role, name, key, ...)   on the control of that name
    ("choose", label, option) and ("fill", label, text)
    ("holds", expression)         in the kernel
"""

import json

import pytest

from hpclab import course
from tests.conftest import until
from tests.lessons.widget_scripts import WIDGETS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE = 120_000  # milliseconds for a picture to follow a key on a loaded machine
SCRIPTS = [
    pytest.param(lesson, *script, id=f"{lesson.number}-{script[0][-1].split('(')[0].split()[-1]}",
                 marks=[pytest.mark.slurm] * ("slurm" in lesson.needs))
    for lesson in course.lessons()
    for script in WIDGETS.get(lesson.number, ())
]  # fmt: skip
ROOM = 600  # pixels that JupyterLab leaves a notebook on a screen of 1280 x 720
WIDER = """
    root => [root, ...root.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1
    && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).map(e => e.className)
"""


@pytest.mark.parametrize(("lesson", "shown_by", "steps"), SCRIPTS)
def test_the_keyboard_does_everything(lab, lesson, shown_by, steps):
    there = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in there}
    lab.write_notebook("tiny.ipynb", *(sources.get(name, name) for name in shown_by))
    with lab.opened("tiny.ipynb") as notebook:
        notebook.run_all()
        assert not notebook.errors()
        area = notebook.cells.last.locator(".jp-OutputArea").first
        before = area.screenshot()
        for step in steps:
            take(notebook, area, *step)
        assert not notebook.errors()
        if any(kind != "see" for kind, *_ in steps):
            assert area.screenshot() != before
        for figure in area.locator("svg[role=img]").all():
            assert figure.locator("title").first.text_content()
        assert area.evaluate(WIDER) == [], "wider than the notebook at 1280 pixels"
        if area.locator(".hpclab-widget").count():
            assert area.bounding_box()["height"] <= ROOM, "control, picture and outcome on one screen"


def take(notebook, area, kind, what, *more):
    match kind:
        case "see":
            playwright.expect(area).to_contain_text(what, timeout=PATIENCE)
        case "gone":
            playwright.expect(area).not_to_contain_text(what, timeout=PATIENCE)
        case "press":
            area.get_by_role(what, name=more[0]).focus()
            for key in more[1:]:
                notebook.page.keyboard.press(key)
        case "choose":
            area.get_by_label(what, exact=True).select_option(*more)
        case "fill":
            area.get_by_label(what).fill(*more)
            notebook.page.keyboard.press("Tab")
        case "holds":
            until(lambda: notebook.evaluate(what), what)
        case _:
            raise ValueError(f"No such step: {kind}.")

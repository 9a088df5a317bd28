"""The capability table: readable without colour, safe with odd names, and it can look again."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from hpclab import machine
from hpclab.course import Lesson
from hpclab.machine.capability import capabilities
from hpclab.machine.description import Gpu
from hpclab.widgets import capabilities as widget

LESSONS = [Lesson("04", "04_x", "Submit & <wait>", Path("x"), ("slurm",))]


class Text(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text, self.open = "", []
        self.feed(markup.partition("</style>")[2])

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_every_capability_and_lesson_is_a_row_with_its_state_in_words():
    here = machine.probe()
    markup = widget.markup(here, LESSONS)
    text = Text(markup)
    assert text.open == []
    for item in capabilities(here):
        assert item.name in text.text
    assert markup.count('scope="row"') == len(capabilities(here)) + 1
    assert "Submit & <wait>" in text.text
    assert "`" not in text.text, "commands are marked up"


def test_a_name_from_the_hardware_cannot_become_markup():
    here = replace(machine.probe(), gpus=(Gpu("<script>alert(1)</script>", "X", "cuda"),), processor="<b>")
    assert "<script>" not in widget.markup(here, [])
    assert "<b>" not in widget.markup(here, [])


def test_looking_again_shows_what_changed():
    here = machine.probe()
    seen = [here, replace(here, gpus=(Gpu("A new GPU", "NVIDIA", "cuda"),))]
    shown = widget.table(lambda: seen.pop(0), LESSONS)
    assert "A new GPU" not in shown.picture.value
    shown.controls["again"].click()
    assert "A new GPU" in shown.picture.value


def test_a_machine_that_cannot_be_asked_gives_a_sentence():
    def look() -> machine.Machine:
        raise OSError("the file server is gone")

    shown = widget.table(look, [])
    assert 'role="alert"' in shown.note.value
    assert "file server is gone" in shown.note.value

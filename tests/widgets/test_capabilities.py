"""The capability table: readable without colour, safe with odd names, and it can look again."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

from hpclab import machine
from hpclab.course import Lesson
from hpclab.machine.capability import capabilities
from hpclab.machine.gpus import Gpu
from hpclab.widgets import capabilities as widget

LESSONS = [Lesson("04", "04_x", "Submit & <wait>", Path("x"), ("slurm",))]


def test_every_capability_and_lesson_is_a_row_with_its_state_in_words():
    odd = Gpu("<script>alert(1)</script>", "X", "cuda")  # a name from the hardware cannot become markup
    here = replace(machine.probe(), gpus=(odd,), processor="<b>")
    markup = widget.markup(here, LESSONS).partition("</style>")[2]
    assert "<script>" not in markup
    assert "<b>" not in markup
    rows = re.findall(r'<th scope="row">(.*?)</th><td class="state">.*? (yes|partly|no)</td>', markup)
    assert [unescape(name) for name, _ in rows] == [item.name for item in capabilities(here)] + ["04"]
    assert "Submit &amp; &lt;wait&gt;" in markup
    assert "`" not in markup, "commands are marked up"


def test_looking_again_shows_what_changed_or_why_it_cannot():
    here = machine.probe()
    seen = [here, replace(here, gpus=(Gpu("A new GPU", "NVIDIA", "cuda"),))]

    def look():
        if not seen:
            raise OSError("the file server is gone")
        return seen.pop(0)

    shown = widget.CapabilityTable(look)
    assert "A new GPU" not in shown.picture.value
    shown.controls["again"].click()
    assert "A new GPU" in shown.picture.value
    shown.controls["again"].click()
    assert 'role="alert"' in shown.note.value
    assert "file server is gone" in shown.note.value

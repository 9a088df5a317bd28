"""The explorer: what stands is drawn once, what moves at every change; read out, or refused in a sentence."""

import ipywidgets as widgets
import pytest

from hpclab.figures import style
from hpclab.figures.overlay import Overlay
from hpclab.widgets.explorer import Explorer, choose, control
from tests.widgets.conftest import put


class Shown(Explorer):
    """A line to `most` that stands and one of `slope` that moves, with a count of each drawing."""

    def __init__(self, adapt=lambda changed: None):
        self.drawn, self.problem, self.adapt = 0, None, adapt
        slope = control(widgets.FloatSlider, "Slope", value=0.5, max=1)
        go = control(widgets.Button, "Go")
        super().__init__([{"most": choose("Axes", [8, 16, 64]), "slope": slope, "button": go}])
        self.moves = []
        self.moving.observe(self.moves.append, "value")

    def draw(self, ax, most):
        self.drawn += 1
        if self.problem:
            raise self.problem
        ax.plot([0, most], [0, most])
        return style.describe(ax, "A line", f"a line to {most}")

    def move(self, ax, most, slope):
        over = Overlay(ax)
        over.line([0, most], [0, slope * most], style.COLOUR["what if"])
        return over

    def describe(self, slope):
        return f"a slope of <b>{slope:g}</b>"

    def notes(self, most):
        return [f"to {most}", "<i>as assumed</i>"]


@pytest.fixture
def shown():
    return Shown()


def test_a_slider_moves_only_what_moves_and_what_stood_is_kept(shown):
    before = shown.picture.value
    for count in range(1, 6):
        put(shown, slope=count / 10 + 0.01)
        assert len(shown.moves) == count
    assert shown.picture.value is before
    assert shown.drawn == 1
    # What stood is kept until its data are others.
    for most in (16, 64, 8, 16):
        put(shown, most=most)
        assert f"a line to {most}" in shown.picture.value
    assert shown.drawn == 3
    shown.forget()
    shown.redraw()
    assert shown.drawn == 4


def test_what_is_new_is_read_out_and_is_the_alternative_text(shown):
    put(shown, slope=0.25)
    assert "a slope of &lt;b&gt;0.25&lt;/b&gt;" in shown.announcer.value
    assert "to 8" not in shown.announcer.value
    assert 'role="img"' in shown.moving.value
    assert 'aria-label="a slope of &lt;b&gt;0.25' in shown.moving.value
    put(shown, most=16)
    assert "to 16 &lt;i&gt;as assumed&lt;/i&gt;" in shown.announcer.value
    assert "slope" not in shown.announcer.value
    said = shown.announcer.value
    shown.redraw()
    assert shown.announcer.value == said, "data that arrive are announced by whoever brings them"
    assert "&lt;i&gt;as assumed" in shown.note.value


@pytest.mark.parametrize(
    ("problem", "said"),
    [(ValueError("most must be <less>."), "most must be &lt;less&gt;."), (KeyError("x"), "KeyError")],
)
def test_what_cannot_be_drawn_is_a_sentence_and_no_old_picture(shown, problem, said, capsys):
    shown.problem = problem
    put(shown, most=16)
    assert shown.picture.value == shown.moving.value == ""
    assert 'role="alert"' in shown.note.value
    assert said in shown.note.value
    assert "Traceback" not in "".join(capsys.readouterr())
    shown.problem = None
    put(shown, slope=0.1)
    assert "a line to 16" in shown.picture.value
    assert "alert" not in shown.note.value


def test_controls_that_follow_another_are_drawn_with_it_once_or_say_why_they_cannot():
    def follow(changed):
        if shown.at.most == 64:
            raise ValueError("There are no 64 here.")
        if changed == "most":
            put(shown, slope=0.75)

    shown = Shown(adapt=follow)
    put(shown, most=16)
    assert len(shown.moves) == 1
    assert "slope of &lt;b&gt;0.75" in shown.announcer.value
    with shown.at_once():
        put(shown, slope=0.1, most=8)
    assert len(shown.moves) == 2
    put(shown, most=64)
    assert "There are no 64 here." in shown.note.value
    assert shown.picture.value == ""

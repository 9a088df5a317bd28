"""One axis for numbers of every origin."""

import pytest

from hpclab.figures import dot_plot, style
from hpclab.results import Origin, Result


def result(component: str, value: float, origin: str = "measured") -> Result:
    return Result("e", "makespan", value, Origin(origin), component=component, condition="c", source="s")


ALL = [result(f"a {origin} number", 10.0**-place, origin) for place, origin in enumerate(Origin)]


def test_every_origin_has_a_row_its_value_and_its_word(ax, marks, words):
    dot_plot.draw(ax, ALL, 0.5, title="All five")
    said = words(ax)
    for origin in Origin:
        assert f"a {origin} number\n{origin}" in said
    assert "you predicted 500 ms" in said
    assert "predicted: 500 ms; a measured number: 1 s (measured)" in style.description(ax.figure)
    ax.clear()
    dot_plot.draw(ax, [result("one core", 1 + n / 10) for n in range(5)])
    assert marks(ax) == 5, "every repeat"
    assert "1.2 s" in words(ax), "the median is written beside them"


@pytest.mark.parametrize("predicted", [None, 1e-9, 0.5, 1e5])
def test_no_text_is_cut_or_stands_on_another(ax, apart, predicted):
    dot_plot.draw(ax, ALL, predicted, title="t")
    apart(ax, [*ax.texts, *ax.get_yticklabels()])


def test_a_time_that_cannot_stand_on_the_axis_is_refused_and_nothing_to_draw_says_what_to_do(ax):
    with pytest.raises(ValueError, match="must be a number"):
        dot_plot.draw(ax, [result("one core", 0)])
    with pytest.raises(ValueError, match="run the cells above"):
        dot_plot.draw(ax, [])

"""Axes of the course's look, and what was drawn in them."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from hpclab.figures import style


@pytest.fixture
def ax():
    with style.drawing_context():
        yield style.figure()[1]


@pytest.fixture
def words():
    """Every text in the axes that is seen: title, labels, ticks, notes, the key."""

    def found(ax):
        style.svg(ax.figure)
        texts = [t.get_text() for t in ax.figure.findobj(Text) if t.get_visible()]
        return "\n".join(filter(None, texts))

    return found


@pytest.fixture
def marks():
    """How many marks without a line stand in the axes."""
    return lambda ax: sum(len(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "None")


def _shown(axis):
    low, high = sorted(axis.get_view_interval())
    both = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [label for at, label in both if low <= at <= high]


@pytest.fixture
def apart():
    """No two texts of a drawn figure lie on each other, and none is cut off."""

    def check(ax, texts):
        style.svg(ax.figure)
        renderer = FigureCanvasAgg(ax.figure).get_renderer()
        ax.figure.draw(renderer)
        texts = [*texts, *_shown(ax.xaxis)]
        boxes = [
            (t.get_text(), Text.get_window_extent(t, renderer))
            for t in texts
            if t.get_visible() and t.get_text()
        ]
        for number, (name, box) in enumerate(boxes):
            assert box.x0 >= -1, name
            assert box.x1 <= ax.figure.bbox.width + 1, name
            for other, its in boxes[:number]:
                assert not box.shrunk(0.98, 0.9).overlaps(its.shrunk(0.98, 0.9)), (name, other)

    return check

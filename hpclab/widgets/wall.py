"""The wall: a button by which a learner shows a lesson's points without a name, and everybody's figure.

wall.offer(results, "05")           # under a measured figure; nothing where the class has no wall
Wall()                              # for whoever teaches: it refreshes itself
"""

import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure

from hpclab import checks
from hpclab.classroom import wall
from hpclab.cluster.slurm import Slurm, SlurmError, connect
from hpclab.figures import style
from hpclab.figures import wall as figure
from hpclab.results import Result
from hpclab.widgets.explorer import control
from hpclab.widgets.queue_view import Look, QueueView

STOPS_AFTER = 8 * 3600.0  # seconds: a day of teaching
MOST_SAMPLES = 2000  # of the queue; every second one goes when there are more


def offer(results: Sequence[Result], lesson: str, along: str = "nodes") -> None:
    """Show a button by which the learner puts the speedups of `results` on the class's wall, and one that
    takes them back. Nothing is written before it is pressed, and nothing shown where there is no wall."""
    place = wall.folder()
    if place is None:
        return
    shown = wall.points(results, lesson, along)
    look = {"width": "auto"}
    put = control(widgets.Button, "Show my points on the wall, without my name", layout=look)
    back = control(widgets.Button, "Take my points off the wall", layout=look)
    said = widgets.HTML()

    def say(text: str) -> None:
        said.value = f'<div role="status" style="font-size:{style.TEXT:g}px;line-height:1.4">{text}</div>'

    def there() -> bool:
        back.disabled = not any(wall.mine(place, lesson))
        return not back.disabled

    def press(button: widgets.Button) -> None:
        try:
            if button is put:
                wall.share(place, shown)
            else:
                wall.take_back(place, lesson)
            say("Your points are on the wall." if there() else "Your points are off the wall.")
        except OSError as error:
            say(f"The wall cannot be written ({error.strerror or error}): tell your instructor.")

    for button in (put, back):
        button.on_click(press)
    put.disabled = not shown
    try:
        if there():
            say("Points of yours are on the wall; showing these takes their place.")
    except OSError as error:
        say(f"There is no wall now ({error.strerror or error}): tell your instructor.")
    row = widgets.HBox([put, back], layout={"flex_flow": "row wrap"})
    display(widgets.VBox([row, said]))


class Wall(QueueView):
    """The points that learners show of a lesson, and the class's use of the queue, every few seconds.

    `folder` is the class's (default: HPCLAB_WALL). ValueError where none is named or a word is wrong.
    """

    def __init__(self, lesson: str = "05", along: str = "", folder: str | Path = "", every: float = 5.0):
        every = checks.number("every", every, 0.1, 3600, "seconds")
        super().__init__(Looks(lesson, along, folder), every, STOPS_AFTER)

    def _ipython_display_(self) -> None:
        self.start()
        self.refresh()
        display(self.box)


class Looks:
    """Each call looks at the folder and at the queue, and gives the picture of both, with a sentence."""

    def __init__(self, lesson: str, along: str = "", folder: str | Path = "") -> None:
        self.environment = wall.environment()
        place = wall.folder(folder or self.environment.get(wall.FOLDER, ""))
        if place is None:
            raise ValueError(
                "No wall is named: HPCLAB_WALL, or wall in [paths] of the site's settings, is a folder in "
                "which the whole class may make files."
            )
        checks.instance("lesson", lesson, str, 'its number in quotes, such as "05"')
        self.place, self.lesson = place, lesson.zfill(2)
        self.along = along or ("threads" if self.lesson == "01" else "nodes")
        self.samples: list[tuple[float, int, int]] = []
        self.slurm: Slurm | None = None

    def __call__(self) -> Look:
        try:
            figures, said = self.figures()
        except OSError as error:
            return Look("", f"There is no wall at {self.place}: {error.strerror or error}.")
        return Look("".join(map(style.svg, figures)), said)

    def figures(self) -> tuple[list[Figure], str]:
        """The speedups, the queue where there is one to ask, and what is to be said beside them. OSError."""
        said = []
        seen = wall.read(self.place, self.lesson)
        if seen.passed_over:
            said.append(f"{style.counted(seen.passed_over, 'file')} on the wall cannot be read.")
        try:
            self._sample()
        except (SlurmError, ValueError) as error:
            said.append(f"The queue is not shown: {error}")
        with style.look():
            points, ax = style.figure()
            figure.draw(ax, seen.learners, self.along, self.lesson)
            queue, below = style.figure(height=240)
            if self.samples:
                figure.queue(below, self.samples)
        return [points, *[queue] * bool(self.samples)], " ".join(said)

    def _sample(self) -> None:
        if self.slurm is None:
            self.slurm = connect(start=False, export=False)
        which = wall.queue_of(self.environment) if self.slurm.kind == "site" else []
        self.samples.append((time.monotonic(), *self.slurm.load(*which)))
        if len(self.samples) > MOST_SAMPLES:
            del self.samples[1:-1:2]

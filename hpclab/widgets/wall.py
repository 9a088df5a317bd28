"""The wall: a button by which a learner shows a lesson's points without a name, and everybody's figure."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure

from hpclab import checks
from hpclab.classroom import settings, wall_folder
from hpclab.cluster.slurm import Slurm, SlurmError, connect
from hpclab.figures import style, wording
from hpclab.figures import wall as figure
from hpclab.results import Result
from hpclab.widgets.explorer import button
from hpclab.widgets.queue_view import QueueView, Snapshot

_QUEUE = ("partition", "account", "reservation")  # the class's, where a site's settings name them
EVERY = 5.0  # seconds between two questions
STOPS_AFTER = 8 * 3600.0  # seconds: a day of teaching, of which every sample of the queue is drawn


def offer(results: Sequence[Result], lesson: str, along: str = "nodes") -> None:
    """Show a button by which the learner puts the speedups of `results` on the class's wall, and one that
    takes them back. Nothing is written before it is pressed, and nothing shown where there is no wall."""
    if not os.environ.get(wall_folder.FOLDER):
        return
    place, shown = Path(os.environ[wall_folder.FOLDER]), wall_folder.points(results, along)
    said = widgets.HTML()

    def press(change: Callable[[], object] = bool) -> None:
        try:
            change()
            back.disabled = not wall_folder.mine(place, lesson)
            text = f"Your points are {'not ' * back.disabled}on the wall."
        except OSError as error:
            text = f"The wall cannot be used now ({error.strerror or error}): tell your instructor."
        said.value = f'<div role="status" style="font-size:{style.PROSE};line-height:1.4">{text}</div>'

    share, take_back = (partial(one, place, lesson) for one in (wall_folder.share, wall_folder.take_back))
    text = "Show my points on the wall, without my name"
    put = button(text, "", lambda: press(partial(share, shown)), disabled=not shown)
    back = button("Take my points off the wall", "", lambda: press(take_back))
    press()
    row = widgets.HBox([put, back], layout={"flex_flow": "row wrap"})
    display(widgets.VBox([row, said]))


class Wall(QueueView):
    """The points that learners show of a lesson, and the class's use of the queue, every few seconds.
    ValueError where no wall is named or a setting is wrong."""

    def __init__(self, lesson: str = "05") -> None:
        super().__init__(WallReader(lesson), EVERY, STOPS_AFTER)

    def _ipython_display_(self) -> None:
        self.start()
        self.refresh()
        display(self.box)


class WallReader:
    """Reads the wall's folder and asks for the queue at each call; returns a Snapshot of both figures."""

    def __init__(self, lesson: str, folder: str | Path = "") -> None:
        environment = settings.found().environment() | dict(os.environ)
        if not (place := folder or environment.get(wall_folder.FOLDER)):
            raise ValueError(
                "No wall is named: HPCLAB_WALL, or wall in [paths] of the site's settings, is a folder in "
                "which the whole class may make files."
            )
        named = {name: environment.get(f"SBATCH_{name.upper()}") for name in _QUEUE}
        self.which = [f"--{name}={value}" for name, value in named.items() if value]
        number: str = checks.instance("lesson", lesson, str, 'its number in quotes, such as "05"')
        self.place, self.lesson = Path(place), number.zfill(2)
        self.samples: list[tuple[float, int, int]] = []
        self.slurm: Slurm | None = None

    def __call__(self) -> Snapshot:
        try:
            figures, said = self.figures()
        except OSError as error:
            return Snapshot("", f"There is no wall at {self.place}: {error.strerror or error}.")
        return Snapshot("".join(map(style.svg, figures)), said)

    def figures(self) -> tuple[list[Figure], str]:
        """Figures of the speedups and, where it answers, the queue; and a text beside them. OSError."""
        learners, passed_over = wall_folder.read(self.place, self.lesson)
        said = [f"{wording.counted(passed_over, 'file')} on the wall cannot be read."] * bool(passed_over)
        try:
            self.slurm = self.slurm or connect(start=False, export=False)
            which = self.which if self.slurm.kind == "site" else []
            self.samples.append((time.monotonic(), *self.slurm.load(*which)))
        except (SlurmError, ValueError) as error:
            said.append(f"The queue is not shown: {error}")
        with style.drawing_context():
            points, ax = style.figure()
            figure.draw(ax, learners, "threads" if self.lesson == "01" else "nodes")
            queue, below = style.figure(height=240)
            if self.samples:
                figure.queue(below, self.samples)
        return [points, *[queue] * bool(self.samples)], " ".join(said)

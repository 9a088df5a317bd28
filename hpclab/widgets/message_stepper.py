"""Step through a collective: choose it, its algorithm and a machine, and watch who sends what to whom.
Playing is the browser's: its clock moves the slider and the kernel only draws, so that nothing runs on when
the widget is closed or the kernel interrupted. A step redraws one SVG and nothing else."""

from functools import lru_cache
from typing import Any

import ipywidgets as widgets

from hpclab import schedules
from hpclab.figures import diagram, finish_times, style, wording
from hpclab.figures.collective_steps import HEIGHT, MOST_DRAWN, StepPicture
from hpclab.models.communication import predict
from hpclab.models.nccl import Job
from hpclab.models.network import with_slow_link
from hpclab.models.presets import PRESETS
from hpclab.models.schedule_time import ScheduleTime, simulate
from hpclab.units import format_bytes, format_seconds
from hpclab.widgets.explorer import Explorer, choose, control, offer, slide

RANKS = (*range(2, MOST_DRAWN + 1), 32, 64, 128, 256, 512, 1024)
SIZES = tuple(2**power for power in range(10, 33, 2))
SLOWER = 10.0
_MOST_TO_ALL = 256  # p² messages: more take the model many seconds
LATER = 1.005  # times as long, from which on somebody is said to be later
_EACH = 16  # elements a rank: enough for every algorithm to cut the vector evenly


class MessageStepper(Explorer):
    """Controls for collective, algorithm, ranks, size, machine and one slow link; play, pause, step. Up to 16
    ranks are drawn step by step; above, when each rank is done. The first timing of a session compiles the
    model, which takes some seconds."""

    def __init__(self) -> None:
        machines = [(preset.title, name) for name, preset in PRESETS.items()]
        counts, sizes = [(f"{n:,}", n) for n in RANKS], [(format_bytes(n), n) for n in SIZES]
        slow = control(widgets.Checkbox, f"One link {SLOWER:g}× slower", value=False, indent=False)
        step = control(widgets.IntSlider, "Step", value=0, min=0, max=1)
        play = widgets.Play(min=0, max=1, interval=1000, show_repeat=False)
        self._link = widgets.jslink((play, "value"), (step, "value"))
        super().__init__(
            [
                {
                    "collective": choose("Collective", _named(schedules.ALGORITHMS), "all_reduce"),
                    "algorithm": choose("Algorithm", _named(schedules.ALGORITHMS["all_reduce"]), "ring"),
                },
                {"machine": choose("Machine", machines, "dgx-h100"), "slow": slow},
                {"ranks": slide("Ranks", counts, 8), "size": slide("Message size", sizes, 2**24)},
                {"play": play, "step": step},
            ]
        )

    def _found(self) -> tuple[ScheduleTime, ScheduleTime | None, StepPicture | None]:
        """What `_of_settings` gives for the controls' values."""
        at = self.at
        return _of_settings(at.collective, at.algorithm, at.ranks, at.size, at.machine, at.slow)

    def adapt(self, changed: str) -> None:
        """Time the new settings, and go back to the first step."""
        if changed in ("step", "play"):
            return
        if changed == "collective":
            known = _named(schedules.ALGORITHMS[self.at.collective])
            offer(self.controls["algorithm"], known, self.at.algorithm, "ring")
        self.forget()
        at, moved = self.at, [self.controls[name] for name in ("play", "step")]
        for one in moved:
            one.layout.visibility = "hidden"  # so that nothing below moves
        if at.ranks > MOST_DRAWN or not self.picture.value:  # this may take seconds
            name = wording.algorithm_of(at.collective, at.algorithm)
            title = f"{name} on {at.ranks:,} ranks: timing …"
            self.picture.value = diagram.document(title, "", [], height=HEIGHT)
        if steps := self._found()[2]:
            for one in moved:
                one.value, one.max, one.layout.visibility = 0, steps.schedule.steps, "visible"

    def draw(self, step: int) -> Any:
        timing, healthy, steps = self._found()
        if steps:
            return steps.draw(step)
        return finish_times.draw(style.figure(height=HEIGHT)[1], timing, healthy)

    def describe(self, step: int) -> str:
        return steps.title(step) if (steps := self._found()[2]) else ""

    def notes(self) -> list[str]:
        """Two lines: the time on these links, with what slowed it; and what NCCL or MPI takes as a whole."""
        timing, healthy, _ = self._found()
        text = f"{format_seconds(timing.time)} in all, modelled"
        if healthy is not None:
            times = timing.time / healthy.time
            text += f"; {times:.3g} times as long as" if times > LATER else "; no longer than"
            late = int((timing.finish > LATER * healthy.finish).sum())
            counted = f"{late:,}" if late else "none"
            ranks = f"{timing.schedule.ranks:,} ranks"
            text += f" with all links healthy, and {counted} of {ranks} are done later"
        met = "Messages met on shared links." if timing.shared else "No two messages met on a link."
        return [f"{text}. {met}", _whole(healthy or timing)]


def _named(names: Any) -> list[tuple[str, str]]:
    """Options for a control: each of `names` with its spelling."""
    return [(wording.spelled(name), name) for name in names]


@lru_cache(8)  # a step asks no model
def _of_settings(
    collective: str, algorithm: str, ranks: int, size: int, machine: str, slow: bool
) -> tuple[ScheduleTime, ScheduleTime | None, StepPicture | None]:
    """The timing of these settings, that without the slow link where there is one, and the steps if drawn."""
    timing = timed(collective, algorithm, ranks, size, machine, slow)
    healthy = timed(collective, algorithm, ranks, size, machine) if slow else None
    drawn = StepPicture(timing, PRESETS[machine].ranks_per_node) if ranks <= MOST_DRAWN else None
    return timing, healthy, drawn


def timed(
    collective: str, algorithm: str, ranks: int, size: int, machine: str, slow: bool = False
) -> ScheduleTime:
    """Model a collective of `size` bytes, one link SLOWER if `slow`. ValueError for too many ranks."""
    if collective == "all_to_all" and ranks > _MOST_TO_ALL:
        raise ValueError(f"An all-to-all is timed for at most {_MOST_TO_ALL} ranks here: choose fewer.")
    preset, elements = PRESETS[machine], _EACH * ranks
    topology = preset(ranks)
    if topology.ranks < ranks:
        raise ValueError(
            f"This machine has at most {topology.ranks} ranks, not {ranks}: choose fewer, or another machine."
        )
    per_node = preset.ranks_per_node
    if slow:
        # Out of the middle node, or of the middle rank where there is one node; not of the root, so that a
        # tree has healthy branches.
        nodes = ranks > per_node > 1
        last = max(1, ranks // 2 // per_node) * per_node - 1 if nodes else ranks // 2
        topology = with_slow_link(topology, last, (last + 1) % ranks, SLOWER)
    schedule = schedules.collective(collective, algorithm, ranks, elements, ranks_per_node=per_node)
    return simulate(schedule, topology, size / elements)


def _whole(timing: ScheduleTime) -> str:
    """A sentence: what NCCL or MPI takes, by the model scored on published rows, and why that differs."""
    place, schedule = timing.topology.place, timing.schedule
    if place is None:
        return "That is the links alone: no published measurement is of such a machine."
    answer = predict(schedule.collective, schedule.elements * timing.itemsize, place)
    library = "NCCL" if isinstance(place, Job) else "MPI"
    return (
        f"{library} as a whole: {format_seconds(answer.seconds)} ({answer.how}), by the model that hpclab "
        "validate scores. The picture is of links alone, without calls, copies and choices."
    )

"""Step through a collective: choose it, its algorithm and a machine, and watch who sends what to whom.

Playing is the browser's: its clock moves the slider and the kernel only draws, so that nothing runs on when
the widget is closed or the kernel interrupted. A step redraws one SVG and nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any

import ipywidgets as widgets

from hpclab import checks, schedules
from hpclab.figures import finish_times, style
from hpclab.figures.collective_side import words
from hpclab.figures.collectives import MOST_DRAWN, StepPicture
from hpclab.models.collectives import Timing, simulate
from hpclab.models.communication import predict
from hpclab.models.nccl import Job
from hpclab.models.network import with_slow_link
from hpclab.models.presets import PRESETS
from hpclab.units import format_bytes, format_seconds
from hpclab.widgets import projected

RANKS = (*range(2, MOST_DRAWN + 1), 32, 64, 128, 256, 512, 1024)
SIZES = tuple(2**power for power in range(10, 33, 2))
SLOWER = 10.0
_MOST = {"all_to_all": 256}  # p² messages: more take the model many seconds
# The player's buttons have no names of their own, only icons.
_NAMES = (
    "<style onload=\"const root=this.closest('.hpclab-projected');const name=()=>{for(const [icon,said] of "
    "[['play','Play or pause'],['pause','Play or pause'],['stop','Back to the start']])"
    "root.querySelectorAll('button > i.fa-'+icon).forEach("
    "i=>i.parentElement.setAttribute('aria-label',said))};"
    'setTimeout(name,200);setTimeout(name,2000)"></style>'
)
_EACH = 16  # elements a rank: enough for every algorithm to cut the vector evenly


class MessageStepper(widgets.VBox):
    """Controls for collective, algorithm, ranks, size, machine and one slow link; play, pause, step.

    Up to 16 ranks are drawn step by step; above, when each rank is done. The first timing of a session
    compiles the model, which takes some seconds.
    """

    def __init__(
        self,
        collective: str = "all_reduce",
        algorithm: str = "ring",
        ranks: int = 8,
        size: int = 2**24,
        machine: str = "dgx-h100",
    ) -> None:
        collective = checks.choice("collective", collective, schedules.ALGORITHMS)
        algorithm = checks.choice(
            f"The algorithm of {collective}", algorithm, schedules.ALGORITHMS[collective]
        )
        machine = checks.choice("machine", machine, PRESETS)
        if ranks not in RANKS or size not in SIZES:
            raise ValueError(
                f"ranks must be 2 to {MOST_DRAWN} or a power of two up to {RANKS[-1]}, and size "
                f"a power of four from {SIZES[0]} to {SIZES[-1]} bytes, not {ranks!r} and {size!r}."
            )
        super().__init__()
        natural = {"style": {"description_width": "initial"}, "layout": {"width": "auto"}}
        names = [(words(name), name) for name in schedules.ALGORITHMS]
        sizes = [(format_bytes(size), size) for size in SIZES]
        machines = [(preset.title, name) for name, preset in PRESETS.items()]
        self.collective = widgets.Dropdown(
            options=names, value=collective, description="Collective", **natural
        )
        self.algorithm = widgets.Dropdown(options=self._algorithms(), description="Algorithm", **natural)
        self.algorithm.value = algorithm
        self.ranks = widgets.SelectionSlider(
            options=[(f"{count:,}", count) for count in RANKS], value=ranks, description="Ranks", **natural
        )
        self.size = widgets.SelectionSlider(options=sizes, value=size, description="Message size", **natural)
        self.machine = widgets.Dropdown(options=machines, value=machine, description="Machine", **natural)
        self.slow = widgets.Checkbox(False, description=f"One link {SLOWER:g}× slower", indent=False)
        self.step = widgets.IntSlider(0, min=0, max=1, description="Step", **natural)
        self.play = widgets.Play(0, min=0, max=1, interval=1000, show_repeat=False)
        self.ranks.layout.flex = self.size.layout.flex = self.step.layout.flex = "1 1 300px"
        self.picture, self.note = widgets.HTML(), widgets.HTML()
        self._spoken, self._changing = projected.Announcer(), False
        self._shown: StepPicture | None = None
        self._link = widgets.jslink((self.play, "value"), (self.step, "value"))
        line = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        rows = ([self.collective, self.algorithm, self.machine], [self.ranks, self.size, self.slow])
        sheet = projected.look(self)
        names_of_buttons = widgets.HTML(_NAMES, layout={"height": "0", "margin": "0"})
        self._player = widgets.HBox([self.play, self.step], layout=line)
        self.children = [
            *(widgets.HBox(row, layout=line) for row in rows),
            self._player, self.picture, self.note, self._spoken, names_of_buttons, sheet,
        ]  # fmt: skip
        self.collective.observe(lambda _change: self._another(), "value")
        for control in (self.algorithm, self.ranks, self.size, self.machine, self.slow):
            control.observe(lambda _change: self._time(), "value")
        self.step.observe(lambda _change: self._draw(), "value")
        self._time()

    def _algorithms(self) -> list[tuple[str, str]]:
        return [(words(name), name) for name in schedules.ALGORITHMS[self.collective.value]]

    def _another(self) -> None:
        """Another collective: its own algorithms, the same one where it exists."""
        before, options = self.algorithm.value, self._algorithms()
        known = [name for _, name in options]
        self._changing = True  # a new list selects its first entry, which nobody asked for
        self.algorithm.options = options
        self.algorithm.value = before if before in known else "ring" if "ring" in known else known[0]
        self._changing = False
        self._time()

    def _time(self) -> None:
        """New settings: time them, and go back to the first step."""
        if self._changing:
            return
        chosen = (
            self.collective.value,
            self.algorithm.value,
            self.ranks.value,
            self.size.value,
            self.machine.value,
        )
        self._say(f"Timing {self.ranks.value:,} ranks …")
        try:
            timing = timed(*chosen, self.slow.value)
            healthy = timed(*chosen, False) if self.slow.value else None
        except ValueError as error:
            self._shown, self.picture.value, self._player.layout.display = None, "", "none"
            self._say(str(error), "alert")
            return
        drawn = self.ranks.value <= MOST_DRAWN
        self._shown = StepPicture(timing, PRESETS[self.machine.value].ranks_per_node) if drawn else None
        self._player.layout.display = "flex" if drawn else "none"
        self._say(_said(timing, healthy))
        if self._shown is None:
            self.picture.value = finish_times.draw(timing, healthy)
            return
        self.step.max = self.play.max = timing.schedule.steps
        if self.step.value:
            self.step.value = self.play.value = 0  # draws
        else:
            self._draw()

    def _draw(self) -> None:
        if self._shown is not None and self.step.value <= self._shown.steps:
            self.picture.value = self._shown.draw(self.step.value)
            self._spoken.say(self._shown.title(self.step.value))

    def _say(self, sentence: str, role: str = "status") -> None:
        self.note.value = f'<div role="{role}" style="color:{style.INK}">{escape(sentence)}</div>'


def timed(collective: str, algorithm: str, ranks: int, size: int, machine: str, slow: bool) -> Timing:
    """The modelled times of one setting of the controls. ValueError says why there are none."""
    settings = collective, algorithm, ranks, size, machine, slow
    return _remembered(*settings) if ranks <= MOST_DRAWN else _timed(*settings)


@lru_cache(maxsize=32)  # stepping asks again and again; many ranks are asked once, and take 100 MB and more
def _remembered(*settings: Any) -> Timing:
    return _timed(*settings)


def _timed(collective: str, algorithm: str, ranks: int, size: int, machine: str, slow: bool) -> Timing:
    most = _MOST.get(collective, max(RANKS))
    if ranks > most:
        raise ValueError(f"An {words(collective)} is timed for at most {most} ranks here: choose fewer.")
    preset, elements = PRESETS[machine], _EACH * ranks
    topology = preset(ranks)
    if topology.ranks < ranks:
        raise ValueError(
            f"This machine has at most {topology.ranks} ranks, not {ranks}: choose fewer, or another machine."
        )
    if slow:
        topology = with_slow_link(topology, *slowed(ranks, preset.ranks_per_node), SLOWER)
    schedule = schedules.collective(
        collective, algorithm, ranks, elements, ranks_per_node=preset.ranks_per_node
    )
    return simulate(schedule, topology, size / elements)


def slowed(ranks: int, per_node: int) -> tuple[int, int]:
    """Between whom the slow link lies: out of the middle node, or of the middle rank where there is one node;
    not of the root, so that a tree has healthy branches."""
    if ranks > per_node > 1:
        last = max(1, ranks // 2 // per_node) * per_node - 1
        return last, last + 1
    return ranks // 2, (ranks // 2 + 1) % ranks


def _said(timing: Timing, healthy: Timing | None) -> str:
    """The outcome in a sentence or two, for everybody."""
    text = f"{format_seconds(timing.time)} in all, modelled"
    if healthy is not None:
        text += f"; {timing.time / healthy.time:.3g} times as long as with all links healthy"
        late = int((timing.finish > 1.05 * healthy.finish).sum())
        text += f", and {late:,} of {timing.schedule.ranks:,} ranks are done later"
    met = "Messages met on shared links." if timing.shared else "No two messages met on a link."
    return f"{text}. {met} {_whole(healthy or timing)}"


def _whole(timing: Timing) -> str:
    """What a library makes of it, by the model that published rows are held against, and why that differs."""
    place, schedule = timing.topology.place, timing.schedule
    if place is None:
        return "That is the links alone: no published measurement holds for this machine."
    answer = predict(schedule.collective, schedule.elements * timing.itemsize, place)
    library = "NCCL" if isinstance(place, Job) else "MPI"
    return (
        f"{library} as a whole takes {format_seconds(answer.seconds)} ({answer.how}), by the model that "
        "hpclab validate scores. The picture shows this algorithm on links alone, without the library's "
        "calls, copies and choices."
    )

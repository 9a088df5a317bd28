"""Step through the learner's own kernel: what each warp asks of memory, drawn, and what is wrong, said.

A step redraws one SVG and nothing else, at one height, so that the slider can be held down.
"""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from hpclab.figures import style, warp_memory
from hpclab.figures.warp_memory import WarpPicture
from hpclab.kernels import tracer
from hpclab.models.gpu_memory import Finding, KernelTrace
from hpclab.widgets import projected

Index = tuple[int, int, int]


class KernelTracer(widgets.VBox):
    """Controls for block, warp and step of a `KernelTrace`, one picture of that step, and all findings."""

    def __init__(self, trace: KernelTrace) -> None:
        super().__init__()
        self.trace = trace
        self._warps: dict[Index, list[int]] = {}
        for block, warp in sorted(warp_memory.warps(trace), key=lambda one: (one[0][::-1], one[1])):
            self._warps.setdefault(block, []).append(warp)
        self._pictures: dict[tuple[Index, int], WarpPicture] = {}
        natural = {"description_width": "initial"}
        self.block = widgets.Dropdown(
            options=[(_short(block), block) for block in self._warps], description="Block", style=natural
        )
        self.warp = widgets.Dropdown(options=[], description="Warp", style=natural)
        self.step = widgets.IntSlider(
            1, min=1, max=1, description="Step", style=natural, layout={"width": "auto", "flex": "1 1 320px"}
        )
        for chooser in (self.block, self.warp):
            chooser.layout.width = "auto"
        self.picture, self.findings = widgets.HTML(), widgets.HTML(_list(trace))
        self._spoken = projected.Announcer()
        line = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        controls = widgets.HBox([self.block, self.warp, self.step], layout=line)
        sheet = projected.look(self)
        shown = [controls, self.picture] if self._warps else []
        self.children = [*shown, self.findings, self._spoken, sheet]
        self.block.observe(lambda _change: self._block_chosen(), "value")
        self.warp.observe(lambda _change: self._warp_chosen(), "value")
        self.step.observe(lambda _change: self._draw(), "value")
        if self._warps:
            self._block_chosen()

    @classmethod
    def of(cls, kernel: Any, grid: Any, block: Any, *args: Any, **options: Any) -> widgets.Widget:
        """Trace a launch and show it; what cannot be traced gives one sentence instead of a picture.

        The launch is ``kernel[grid, block](*args)``; arrays are left as they are. `options` are the tracer's.
        """
        try:
            return cls(tracer.trace(kernel, grid, block, *args, **options))
        except (ValueError, TypeError) as error:
            look = f"font-size:{style.TEXT:g}px;color:{style.INK}"
            return widgets.HTML(f'<div role="alert" style="{look}">{escape(str(error))}</div>')

    @property
    def shown(self) -> WarpPicture:
        """The steps of the chosen warp."""
        key = (self.block.value, self.warp.value)
        if key not in self._pictures:
            self._pictures[key] = WarpPicture(self.trace, *key)
        return self._pictures[key]

    def _block_chosen(self) -> None:
        before, options = self.warp.value, self._warps[self.block.value]
        self.warp.options = options
        self.warp.value = before if before in options else options[0]
        self._warp_chosen()

    def _warp_chosen(self) -> None:
        if self.warp.value is not None:  # None between two lists of options
            self.step.max = len(self.shown)
            self._draw()

    def _draw(self) -> None:
        number = self.step.value - 1
        self.picture.value = self.shown.draw(number)
        self._spoken.say(self.shown.titles[number])


def _short(index: Index) -> str:
    """An index without the extents that nobody uses: 3, or (3, 1)."""
    x, y, z = index
    return str(index) if z else f"({x}, {y})" if y else str(x)


def _list(trace: KernelTrace) -> str:
    """The findings as a list, errors first, each with the word that says which it is."""
    look = f"font-size:{style.TEXT:g}px;color:{style.INK}"
    if not trace.requests and not trace.findings:
        said = f"<p>{escape(trace.kernel)} touched no memory: is the launch as large as you meant it?</p>"
    elif not trace.findings:
        said = "<p><b>Nothing to find:</b> no race, nothing out of bounds, no sector moved for nothing.</p>"
    else:
        rows = "".join(f"<li>{_row(finding)}</li>" for finding in trace.findings)
        said = f'<ul style="margin:4px 0;padding-left:1.2em">{rows}</ul>'
    return f'<div role="group" aria-label="Findings" style="{look}">{said}</div>'


def _row(finding: Finding) -> str:
    colour = style.ink(style.COLOUR["transfer" if finding.error else "queue wait"])
    word = f"{'Error' if finding.error else 'Cost'}, {finding.kind}"
    return f'<b style="color:{colour}">{word}</b>: {escape(finding.message)}'

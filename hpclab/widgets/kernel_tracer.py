"""Step through the learner's own kernel: what each warp asks of memory, drawn, and what is wrong, said."""

from functools import cache
from html import escape
from typing import Any

import ipywidgets as widgets

from hpclab.figures import style, warp_memory
from hpclab.figures.warp_memory import WarpPicture
from hpclab.kernels import tracer
from hpclab.models.gpu_memory import KernelTrace
from hpclab.widgets.explorer import Explorer, choose, control, offer

Index = tuple[int, int, int]


class KernelTracer(Explorer):
    """Controls for block, warp and step of a `KernelTrace`, one picture of that step, and all findings."""

    def __init__(self, trace: KernelTrace) -> None:
        self.trace = trace
        self._warps: dict[Index, list[int]] = {}
        for block, warp in sorted(warp_memory.warps(trace), key=lambda one: (one[0][::-1], one[1])):
            self._warps.setdefault(block, []).append(warp)
        self._steps = cache(lambda block, warp: WarpPicture(trace, block, warp))
        self.findings = widgets.HTML(_list(trace))
        rows = []
        if self._warps:
            blocks, warps = (
                [(_short(block), block) for block in self._warps],
                next(iter(self._warps.values())),
            )
            step = control(widgets.IntSlider, "Step", value=1, min=1, max=1)
            rows = [{"block": choose("Block", blocks), "warp": choose("Warp", warps), "step": step}]
        super().__init__(rows, under=[self.findings])

    def draw(self, *at: Any) -> str:
        return self._steps(*at[:2]).draw(at[2] - 1) if at else ""

    def describe(self, *at: Any) -> str:
        return self._steps(*at[:2]).titles[at[2] - 1] if at else ""

    def adapt(self, changed: str) -> None:
        if self.controls and changed != "step":
            block = self.at.block
            offer(self.controls["warp"], self._warps[block], self.at.warp)
            self.controls["step"].max = len(self._steps(block, self.at.warp))

    @classmethod
    def of(cls, kernel: Any, grid: Any, block: Any, *args: Any) -> widgets.Widget:
        """Trace a launch and show it; what cannot be traced gives one sentence instead of a picture. The
        launch is ``kernel[grid, block](*args)``; arrays are left as they are."""
        try:
            return cls(tracer.trace(kernel, grid, block, *args))
        except (ValueError, TypeError) as error:
            css = f"font-size:{style.TEXT:g}px;color:{style.INK}"
            return widgets.HTML(f'<div role="alert" style="{css}">{escape(str(error))}</div>')


def _short(index: Index) -> str:
    """A block's index without its unused trailing dimensions: 3 for (3, 0, 0), (3, 1) for (3, 1, 0)."""
    x, y, z = index
    return str(index) if z else f"({x}, {y})" if y else str(x)


def _list(trace: KernelTrace) -> str:
    """HTML of the findings as a list, errors first, each with the word that says which it is."""
    if not trace.requests and not trace.findings:
        said = f"<p>{escape(trace.kernel)} touched no memory: is the launch as large as you meant it?</p>"
    elif not trace.findings:
        moved = trace.counts().sectors
        spare = sum(one.sectors - one.fewest_sectors for one in trace.select(space="global"))
        saved = "no sector moved for nothing"
        if spare:
            saved = f"{spare} of {moved} sectors could be saved, too few to count as a cost"
        said = f"<p><b>Nothing to mend:</b> no race, nothing out of bounds, {saved}.</p>"
    else:
        rows = ""
        for finding in trace.findings:
            colour = style.ink(style.COLOUR["transfer" if finding.is_error else "queue wait"])
            word = f"{'Error' if finding.is_error else 'Cost'}, {finding.kind}"
            rows += f'<li><b style="color:{colour}">{word}</b>: {escape(finding.message)}</li>'
        said = f'<ul style="margin:4px 0;padding-left:1.2em">{rows}</ul>'
    return f'<div role="group" aria-label="Findings">{said}</div>'

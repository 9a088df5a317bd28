"""Your kernels under a device's roof, and one of them to be moved there: fewer bytes an item, more use of
each.

Every change redraws one SVG and nothing else; the axes stay for a device. What is modelled says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import ipywidgets as widgets

from hpclab.experiments.kernel_ladder import catalogue_name
from hpclab.figures import roofline, style
from hpclab.figures.roofline_points import Kernel, kernels, modelled
from hpclab.models.device import PRECISIONS, Device, devices, from_catalogue
from hpclab.models.roofline import Prediction, Work, predict
from hpclab.results import Origin, Result
from hpclab.units import format_seconds
from hpclab.widgets import projected

ITEM = 4  # bytes of a float32, in which the works are counted
_HERE = "here"


class Roofline(widgets.VBox):
    """Draws `works` on a device of the catalogue, or on `here`, this machine's measured one.

    `results` are of a KernelLadder: those that were measured on the device chosen (on this machine's cores,
    or on a GPU that the catalogue knows) are drawn as such, in the precision they were measured in;
    everywhere else the works are modelled. Sliders move one kernel: bytes per item instead of a float32's
    four, and how often each byte that was fetched is used again before it is gone. ValueError for no works.
    """

    def __init__(
        self, works: Sequence[Work], results: Sequence[Result] = (), here: Device | None = None
    ) -> None:
        super().__init__()
        self._works = {work.name or f"kernel {number + 1}": work for number, work in enumerate(works)}
        if not self._works:
            raise ValueError("Roofline needs at least one Work: its bytes and its operations.")
        self._works = {name: replace(work, name=name) for name, work in self._works.items()}
        self._here = here
        self._measured: dict[str, list[Result]] = {}
        for result in results:
            self._measured.setdefault(_device_of(result), []).append(result)
        natural = {"description_width": "initial"}
        named = [(entry.title, name) for name, entry in devices().items()]
        if here is not None:
            named.insert(0, (here.title, _HERE))
        self.device = widgets.Dropdown(
            options=named,
            value=_HERE if here is not None else "a100-80gb",
            description="Device",
            style=natural,
        )
        # A slider, because its keys are left and right: JupyterLab takes up and down from lists and buttons.
        self.precision = widgets.SelectionSlider(
            options=[("float32", "fp32")], description="Precision", style=natural
        )
        self._wanted, self._changing = "fp32", False
        self.kernel = widgets.Dropdown(options=list(self._works), description="Move", style=natural)
        self.item = widgets.SelectionSlider(
            options=[8, 4, 2, 1], value=ITEM, description="Bytes per item", style=natural
        )
        self.reuse = widgets.SelectionSlider(
            options=[2**n for n in range(11)], description="Times each byte is used", style=natural
        )
        for control in (self.device, self.kernel):
            control.layout.width = "auto"
        for slider in (self.precision, self.item, self.reuse):
            slider.layout = {"width": "auto", "flex": "1 1 330px"}
        self.picture, self.note = widgets.HTML(), widgets.HTML()
        self._spoken = projected.Announcer()
        line = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        sheet = projected.look(self)
        self.children = [
            widgets.HBox([self.device, self.precision], layout=line),
            widgets.HBox([self.kernel, self.item, self.reuse], layout=line),
            self.picture, self.note, self._spoken, sheet,
        ]  # fmt: skip
        self.device.observe(lambda _change: self._chosen(), "value")
        self.precision.observe(lambda _change: self._precision_chosen(), "value")
        for control in (self.kernel, self.item, self.reuse):
            control.observe(lambda _change: self._draw(), "value")
        self._chosen()

    def _chosen(self) -> None:
        """Another device: its precisions, and the one that was last chosen by hand if it has it."""
        found = self._device().precisions
        self._changing = True  # a new list selects its first entry, which nobody asked for
        self.precision.options = [(PRECISIONS[name], name) for name in found]
        fallback = "fp32" if "fp32" in found else found[-1]
        self.precision.value = self._wanted if self._wanted in found else fallback
        self._changing = False
        self._draw()

    def _precision_chosen(self) -> None:
        if not self._changing:
            self._wanted = self.precision.value
            self._draw()

    def _device(self) -> Device:
        if self.device.value == _HERE and self._here is not None:
            return self._here
        return from_catalogue(self.device.value)

    def _draw(self) -> None:
        device, precision = self._device(), self.precision.value
        found = {
            name: predict(replace(work, precision=precision), device) for name, work in self._works.items()
        }
        before, after = found[self.kernel.value], predict(self._changed(precision), device)
        under = self._shown(found, precision)
        moved = None
        if after.work != before.work:
            moved = (modelled(before), modelled(after, style.COLOUR["what if"]))
            under = [kernel for kernel in under if kernel.origin is not Origin.MODELLED or kernel != moved[0]]
        self.picture.value = roofline.draw(device, under, (precision,), moved=moved)
        said = _said(before, after)
        caveats = " ".join(after.roof.caveats)
        self.note.value = (
            f'<div>{escape(said)} <span style="color:{style.MUTED}">{escape(caveats)}</span></div>'
        )
        self._spoken.say(f"{PRECISIONS[precision]}. {said}")

    def _changed(self, precision: str) -> Work:
        """The chosen kernel as the sliders make it."""
        work = self._works[self.kernel.value]
        if (self.item.value, self.reuse.value) == (ITEM, 1):
            return replace(work, precision=precision)
        scale = self.item.value / ITEM / self.reuse.value
        return replace(work, precision=precision, bytes=max(1.0, work.bytes * scale), name="moved")

    def _shown(self, found: dict[str, Prediction], precision: str) -> list[Kernel]:
        mine = [
            result
            for result in self._measured.get(self.device.value, ())
            if result.parameters.get("precision") == precision
        ]
        return kernels(mine) or [modelled(one) for one in found.values()]


def _device_of(result: Result) -> str:
    """Which choice of the device's control a result was measured on; "" where none."""
    if result.origin is Origin.MODELLED:
        return ""
    if "gpu" not in result.environment:
        return _HERE
    try:
        return catalogue_name(str(result.environment["gpu"]), float(result.environment["memory"]))
    except ValueError:
        return ""


def _said(before: Prediction, after: Prediction) -> str:
    text = f"Modelled. {before}."
    if after.work != before.work:
        ratio = before.seconds / after.seconds
        change = f"{ratio:.3g} times as fast" if ratio >= 1 else f"{1 / ratio:.3g} times as slow"
        text += f" Moved: {format_seconds(after.seconds)}, {after.bound}-bound, {change}"
        text += f", at {after.work.intensity:.3g} FLOP per byte; the ridge is at {after.roof.ridge:.3g}."
    return text

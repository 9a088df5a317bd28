"""Your kernels under a device's roof, and one of them to be moved there: fewer bytes an item, more use of
each. Or their bytes a second, also of those that compute nothing. The axes stay for a device. What is
modelled says so."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes

from hpclab.experiments.kernel_ladder import catalogue_name
from hpclab.figures import bandwidth, roofline
from hpclab.figures.overlay import Overlay
from hpclab.figures.roofline_points import Kernel, kernels, modelled_kernel
from hpclab.models.device import PRECISIONS, Device, devices, from_catalogue
from hpclab.models.roofline import KernelTime, Work, predict
from hpclab.results import Origin, Result
from hpclab.units import format_seconds
from hpclab.widgets.explorer import Explorer, choose, offer, slide

ITEM = 4  # bytes of a float32, in which the works are counted
_HERE = "here"


class Roofline(Explorer):
    """Draws `works` on a device of the catalogue, or on `here`, this machine's measured one. `results` are of
    a KernelLadder: those that were measured on the device chosen (on this machine's cores, or on a GPU that
    the catalogue knows) are drawn as such, in the precision they were measured in; everywhere else the works
    are modelled. Sliders move one kernel: bytes per item instead of a float32's four, and how often each byte
    that was fetched is used again before it is gone. ValueError for no works."""

    HEIGHT = 360

    def __init__(
        self, works: Sequence[Work], results: Sequence[Result] = (), here: Device | None = None
    ) -> None:
        names = [work.name or f"kernel {number + 1}" for number, work in enumerate(works)]
        self._works = {name: replace(work, name=name) for name, work in zip(names, works, strict=True)}
        if not self._works:
            raise ValueError("Roofline needs at least one Work: its bytes and its operations.")
        self._results, self._devices = results, {_HERE: here} if here is not None else {}
        first = _HERE if here is not None else "a100-80gb"
        self._devices |= {name: from_catalogue(name) for name in devices()}
        machines = [(device.title, name) for name, device in self._devices.items()]
        self._wanted = "fp32"  # what was last chosen by hand
        chooser = choose("Device", machines, first)
        chooser.layout.max_width = "440px"  # its longest title would take a row
        super().__init__(
            [
                # A slider: its keys are left and right, and JupyterLab takes up and down from lists.
                {"device": chooser, "precision": slide("Precision", [("float32", "fp32")])},
                {"view": choose("Show", ["FLOP/s", "bytes/s"]), "kernel": choose("Move", names)},
                {
                    "item": slide("Bytes per item", [1, 2, 4, 8], ITEM),
                    "reuse": slide("Uses of a byte", [2**n for n in range(11)]),
                },
            ]
        )

    def adapt(self, changed: str) -> None:
        if changed == "precision":
            self._wanted = self.at.precision
        found = self._devices[self.at.device].precisions
        offer(
            self.controls["precision"], [(PRECISIONS[name], name) for name in found],
            self._wanted, "fp32", found[-1],
        )  # fmt: skip

    def _predicted(self) -> tuple[KernelTime, KernelTime]:
        """The chosen kernel as it is, and as the sliders make it."""
        at = self.at
        device, work = self._devices[at.device], self._works[at.kernel]
        before = replace(work, precision=at.precision)
        scale = at.item / ITEM / at.reuse
        after = replace(before, bytes=max(1.0, work.bytes * scale), name="moved") if scale != 1 else before
        return predict(before, device), predict(after, device)

    def draw(self, ax: Axes, device: str, precision: str, view: str) -> Axes:
        machine, under = self._devices[device], self._under(device, precision)
        if view == "bytes/s":
            return bandwidth.draw(ax, machine, under)
        return roofline.draw(ax, machine, under, precision)

    def move(self, ax: Axes) -> Overlay | None:
        before, after = (modelled_kernel(found) for found in self._predicted())
        shown = before != after and before.on_axis and self.at.view == "FLOP/s"
        return roofline.over(ax, before, after) if shown else None

    def _under(self, device: str, precision: str) -> list[Kernel]:
        """The kernels measured on this device in this precision, or else the works, modelled."""
        mine = [
            result for result in self._results
            if result.parameters.get("precision") == precision and _device_of(result) == device
        ]  # fmt: skip
        works = [replace(work, precision=precision) for work in self._works.values()]
        return kernels(mine) or [modelled_kernel(predict(work, self._devices[device])) for work in works]

    def describe(self, device: str, precision: str, view: str) -> str:
        return f"{self._devices[device].title}, {PRECISIONS[precision]}, {view}"

    def notes(self, *_every: object) -> list[str]:
        before, after = self._predicted()
        text = f"Modelled. {before}."
        if not modelled_kernel(before).on_axis and self.at.view == "FLOP/s":
            text += " It computes nothing: see its bytes/s."
        if after.work != before.work:
            ratio = before.seconds / after.seconds
            change = f"{ratio:.3g} times as fast" if ratio >= 1 else f"{1 / ratio:.3g} times as slow"
            text += f" Moved: {format_seconds(after.seconds)}, {change}, {after.bound}-bound at"
            text += f" {after.work.intensity:.3g} FLOP per byte ({roofline.ridge_of(after.roof)})."
        return [text, *filter(None, [after.roof.caveat])]


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

"""The loss of trainings against time: which learns sooner, not which steps faster."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from hpclab import checks
from hpclab.figures import direct_labels, scales, style, wording
from hpclab.results import Result

_AXES = {"elapsed": "Time since training began", "step": "Step", "tokens": "Tokens seen"}


def draw(
    ax: Axes, losses: Sequence[Result], *, by: str = "ranks", along: str = "elapsed", title: str = ""
) -> Axes:
    """Draw a line of Results "loss" (nats a token) for each value of the parameter `by`, against the
    parameter `along`: "elapsed", in seconds, "step" or "tokens"."""
    lines: dict[Any, dict[float, float]] = {}
    for one in checks.instances("losses", losses, Result):
        lines.setdefault(one.parameters[by], {})[one.parameters[along]] = one.value
    labels, least = [], []
    for name, points in sorted(lines.items()):
        places = sorted(points.items())
        (line,) = ax.plot(*zip(*places, strict=True))
        text = wording.counted(name, by.removesuffix("s")) if by.endswith("s") else f"{by} {name}"
        labels.append(direct_labels.Label(*places[-1], text, to_hex(line.get_color())))
        least.append((min(points.values()), text))
    most = max((place for points in lines.values() for place in points), default=1.0)
    ax.set(xlabel=_AXES[along], ylabel="Loss, nats a token", xlim=(0, most))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    if along == "elapsed":
        scales.duration(ax.xaxis, most)
    direct_labels.at_right(ax, labels)
    said = ", ".join(f"{text}: {value:.2f}" for value, text in least)
    answer = f"The loss comes down to {min(least)[0]:.2f} nats a token" if least else "No loss yet"
    return style.describe(ax, title or answer, f"Least loss: {said}." if said else "Empty axes: train first.")

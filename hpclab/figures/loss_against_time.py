"""The loss of trainings against the time that they took: which learns sooner, not which steps faster."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.results import Result

WORK = ("compute", "communication", "storage", "queue wait", "optimizer")


def draw(
    ax: Axes, losses: Sequence[Result], *, by: str = "ranks", along: str = "elapsed", title: str = ""
) -> Axes:
    """A line for each value of the parameter `by` of Results "loss" (nats a token), against the parameter
    `along`: "elapsed", in seconds, "step" or "tokens". Nothing yet gives empty axes that say so."""
    lines: dict[Any, dict[float, float]] = {}
    for one in checks.instances("losses", losses, Result):
        lines.setdefault(one.parameters[by], {})[one.parameters[along]] = one.value
    labels = []
    for number, (name, points) in enumerate(sorted(lines.items(), key=lambda item: str(item[0]))):
        colour = style.COLOUR[WORK[number % len(WORK)]]
        places = sorted(points.items())
        ax.plot(*zip(*places, strict=True), color=colour)
        text = style.counted(name, by.removesuffix("s")) if by.endswith("s") else f"{by} {name}"
        labels.append(direct_labels.Label(*places[-1], text, colour))
    most = max((place for points in lines.values() for place in points), default=1.0)
    words = {"elapsed": "Time since training began", "step": "Step", "tokens": "Tokens seen"}
    ax.set(xlabel=words[along], ylabel="Loss, nats a token", xlim=(0, most))
    if along == "elapsed":
        scales.duration(ax.xaxis, most)
    else:
        ax.xaxis.set_major_formatter("{x:,.0f}")
    direct_labels.at_right(ax, labels)
    least = {name: min(points.values()) for name, points in lines.items()}
    said = ", ".join(f"{name} {by}: {value:.2f}" for name, value in sorted(least.items(), key=str))
    answer = title or (
        f"The loss comes down to {min(least.values()):.2f} nats a token" if least else "No loss yet"
    )
    return style.describe(ax, answer, f"Least loss: {said}." if said else "Empty axes: train first.")

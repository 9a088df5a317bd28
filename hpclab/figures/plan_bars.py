"""What a step consists of under each plan: bars across, fastest first, and what the parts are for."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from hpclab.figures import scales, stacks, style
from hpclab.models.plan import Plan
from hpclab.units import format_seconds

_OF = {
    "recompute": "recompute", "tensor parallel": "tensor and context",
    "context parallel": "tensor and context", "gradients": "data", "sharded parameters": "data",
    "bubble": "pipeline", "pipeline messages": "pipeline", "optimizer": "optimizer",
}  # fmt: skip
"""What is drawn of the parts of `models.training_step.Step`; what is not named here is computing."""
_LOOKS = {
    "compute": style.part("compute"),
    "recompute": style.part("compute") | {"hatch": ".."},
    "tensor and context": style.part("communication"),
    "data": style.part("storage"),
    "pipeline": style.part("idle"),
    "optimizer": style.part("optimizer"),
}


def grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each part that is drawn."""
    found = dict.fromkeys(_LOOKS, 0.0)
    for name, seconds in parts.items():
        found[_OF.get(name, "compute")] += seconds
    return found


def name(plan: Plan) -> str:
    """``"DP 4 · TP 8 · PP 16"``, with what else is not usual."""
    words = [f"DP {plan.data}", f"TP {plan.tensor}", f"PP {plan.pipeline}"]
    words += [f"CP {plan.context}"] * (plan.context > 1)
    more = [f"{plan.chunks} chunks"] * (plan.chunks > 1) + [f"micro-batch {plan.micro_batch}"]
    more += [f"ZeRO {plan.zero}"] * (plan.zero > 1) + ["recomputed"] * (plan.recompute == "full")
    return " · ".join(words) + "\n" + ", ".join(more)


def draw(ax: Axes, steps: Mapping[str, Mapping[str, float]], title: str) -> Axes:
    """A bar for each name, from its step's seconds by part; there is at least one."""
    bars = {label: grouped(parts) for label, parts in steps.items()}
    totals = [sum(bar.values()) for bar in bars.values()]
    top = max(totals)
    text = stacks.draw(ax, bars, _LOOKS, format_seconds, 1.15 * top, across=True)
    for row, total in enumerate(totals):
        ax.annotate(format_seconds(total), (total, row), (5, 0), textcoords="offset points", va="center")
    ax.set(ylim=(len(bars) - 0.5, -0.5))
    ax.set_yticks(range(len(bars)), list(bars), linespacing=1.1)
    ax.tick_params(axis="y", length=0)
    scales.duration(ax.xaxis, top)
    seen = [part for part in _LOOKS if any(bar[part] > 0.002 * top for bar in bars.values())]
    legend = ax.legend(
        handles=[Patch(**_LOOKS[part], label=part) for part in seen], loc="lower left", ncols=4,
        bbox_to_anchor=(0, 1), borderaxespad=0.1, columnspacing=0.9,
        bbox_transform=blended_transform_factory(ax.figure.transSubfigure, ax.transAxes),  # names take room
    )  # fmt: skip
    legend.set_in_layout(False)
    return style.describe(ax, title, text.replace("\n", ", "), above=-(-len(seen) // 4))

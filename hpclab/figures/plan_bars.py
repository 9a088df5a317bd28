"""What a step consists of under each plan: bars across, fastest first, and what the parts are for."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab import checks
from hpclab.figures import scales, style
from hpclab.models.plan import Plan
from hpclab.units import format_seconds

PARTS: dict[str, tuple[str, ...]] = {
    "compute": ("matrix products", "attention", "element-wise", "embedding and logits", "host"),
    "recompute": ("recompute",),
    "tensor and context": ("tensor parallel", "context parallel"),
    "data": ("gradients", "sharded parameters"),
    "pipeline": ("bubble", "pipeline messages"),
    "optimizer": ("optimizer",),
}
"""What is drawn, of the parts of `models.training_step.Step`; what none of them names is computing."""
_LOOK = {
    "compute": style.part("compute"),
    "recompute": style.part("compute") | {"hatch": ".."},
    "tensor and context": style.part("communication"),
    "data": style.part("storage"),
    "pipeline": style.part("idle"),
    "optimizer": style.part("compute") | {"facecolor": style.COLOUR["optimizer"]},
}


def grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each of PARTS."""
    of = {name: drawn for drawn, names in PARTS.items() for name in names}
    found = dict.fromkeys(PARTS, 0.0)
    for name, seconds in parts.items():
        found[of.get(name, "compute")] += seconds
    return found


def name(plan: Plan) -> str:
    """``"DP 4 · TP 8 · PP 16"``, with what else is not usual."""
    words = [f"DP {plan.data}", f"TP {plan.tensor}", f"PP {plan.pipeline}"]
    words += [f"CP {plan.context}"] * (plan.context > 1)
    more = [f"{plan.chunks} chunks"] * (plan.chunks > 1) + [f"micro-batch {plan.micro_batch}"]
    more += [f"ZeRO {plan.zero}"] * (plan.zero > 1) + ["recomputed"] * (plan.recompute == "full")
    return " · ".join(words) + "\n" + ", ".join(more)


def draw(ax: Axes, steps: Mapping[str, Mapping[str, float]], *, title: str = "") -> Axes:
    """A bar for each name, from its step's seconds by part; ValueError where there is nothing to draw."""
    bars = {label: grouped(parts) for label, parts in checks.instance("steps", steps, Mapping).items()}
    if not bars:
        raise ValueError("There is no plan to draw: none fits, or none was asked for.")
    totals = {label: sum(bar.values()) for label, bar in bars.items()}
    top = max(totals.values())
    for row, (label, bar) in enumerate(bars.items()):
        edge = 0.0
        for part, seconds in bar.items():
            (drawn,) = ax.barh(row, seconds, 0.62, edge, **_LOOK[part])
            style.tips(drawn, f"{label}, {part}: {format_seconds(seconds)}")
            edge += seconds
        ax.annotate(format_seconds(edge), (edge, row), (5, 0), textcoords="offset points", va="center")
    ax.set(xlim=(0, top * 1.15), ylim=(len(bars) - 0.5, -0.5), xlabel="One step")
    ax.set_yticks(range(len(bars)), list(bars), linespacing=1.1)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    scales.duration(ax.xaxis, top)
    seen = [part for part in PARTS if any(bar[part] > 0.002 * top for bar in bars.values())]
    legend = ax.legend(
        [Patch(**_LOOK[part]) for part in seen], seen, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3,
        borderaxespad=0.1, columnspacing=0.9,
    )  # fmt: skip
    legend.set_in_layout(False)
    first = next(iter(bars))
    said = "; ".join(f"{label}: {format_seconds(total)}" for label, total in totals.items()).replace(
        "\n", ", "
    )
    answer = title or f"{first.splitlines()[0]}: {format_seconds(totals[first])} a step (modelled)"
    return style.describe(ax, answer, f"{said}.", above=-(-len(seen) // 3))

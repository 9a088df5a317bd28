"""What a training step consists of: a bar for each number of ranks, measured or emulated beside predicted.
Hidden communication takes no time of its own: it is a pattern on the part of computing that hides it."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab import checks, quality
from hpclab.figures import scales, stacks, style, wording
from hpclab.results import Origin, Result
from hpclab.units import format_seconds

_HIDDEN = {"hatch": "//", "edgecolor": style.COLOUR["communication"]}
_ATTRIBUTES = {  # from the bottom up
    "compute": style.part("compute"),
    "hidden communication": style.part("compute") | _HIDDEN,
    "exposed communication": style.part("communication"),
    "input wait": style.part("storage"),
    "optimizer": style.part("optimizer"),
    "idle": style.part("idle"),
}


def parts(results: Sequence[Result]) -> dict[tuple[int, bool], dict[str, float]]:
    """Mean seconds of each part of a step, by (ranks, whether modelled), from Results "seconds"."""
    found = defaultdict[tuple[int, bool], dict[str, list[float]]](lambda: defaultdict(list))
    for one in checks.instances("results", results, Result):
        if one.quantity == "seconds":
            found[one.parameters["ranks"], one.origin is Origin.MODELLED][one.component].append(one.value)
    bars = {}
    for at in sorted(found):
        mean = defaultdict(float, {name: fmean(values) for name, values in found[at].items()})
        computed = mean["forward"] + mean["backward"]
        hidden = min(mean["hidden"], computed)
        others = (mean[name] for name in ("exposed", "input", "optimizer", "idle"))
        bars[at] = dict(zip(_ATTRIBUTES, (computed - hidden, hidden, *others), strict=True))
    return bars


def draw(ax: Axes, results: Sequence[Result]) -> Axes:
    """Draw bars of the "seconds" in `results`: at each number of ranks what was run, and paler what is
    modelled. The title says where the time goes at the most ranks that were run, else that are modelled."""
    bars = parts(results)
    counts = sorted({ranks for ranks, _ in bars})
    both = [ranks for ranks in counts if {(ranks, True), (ranks, False)} <= bars.keys()]
    came = {one.origin for one in results if one.quantity == "seconds"} - {Origin.MODELLED}
    origins = " and ".join(sorted(came)), str(Origin.MODELLED)
    names = {at: f"{wording.counted(at[0], 'rank')}, {origins[at[1]]}" for at in bars}
    top = max((sum(bar.values()) for bar in bars.values()), default=0.0) or 1.0
    text = stacks.draw(
        ax, {names[at]: bar for at, bar in bars.items()}, _ATTRIBUTES, format_seconds, 1.05 * top, thick=0.36,
        at=[counts.index(at[0]) + (0.2 if at[1] else -0.2) * (at[0] in both) for at in bars],
        pale=[names[at] for at in bars if at[1]],
    )  # fmt: skip
    ax.set(xlim=(-0.6, max(len(counts), 1) - 0.4), xlabel="Ranks", ylabel="One step")
    ax.set_xticks(range(len(counts)), [f"{count}" for count in counts])
    scales.duration(ax.yaxis, top)
    if both:
        shades = [Patch(facecolor=style.COLOUR["compute"], alpha=alpha) for alpha in (1, 0.5)]
        ax.legend(shades, origins, loc="upper left", frameon=False)
    answer = "What does a step consist of? No run yet"
    if bars:
        ranks, modelled = max((at for at in bars if not at[1]), default=max(bars))
        bar = bars[ranks, modelled]
        total = sum(bar.values()) or 1.0
        hidden, exposed = bar["hidden communication"] / total, bar["exposed communication"] / total
        answer = f"{wording.counted(ranks, 'rank')}: {exposed:.0%} of a step is exposed communication"
        answer += f", {hidden:.0%} hidden" * (hidden > 0.005) + ", modelled" * modelled
    text = text or "Empty axes: run at a number of ranks to see its bar."
    return style.describe(ax, wording.doubted(answer, quality.doubt(results)), text)

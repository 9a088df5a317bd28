"""What a training step consists of: a bar for each number of ranks, what came beside what was predicted.

Communication that runs behind the backward pass takes no time of its own: it is drawn as a pattern on the
part of computing that hides it. Notice what more ranks do to both kinds of communication, and to computing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab import checks, quality
from hpclab.figures import scales, stacks, style
from hpclab.results import Origin, Result
from hpclab.units import format_seconds

_LOOKS = {  # from the bottom up
    "compute": style.part("compute"),
    "hidden communication": style.part("compute")
    | {"hatch": "//", "edgecolor": style.COLOUR["communication"]},
    "exposed communication": style.part("communication"),
    "input wait": style.part("storage"),
    "optimizer": style.part("optimizer"),
    "idle": style.part("idle"),
}


def parts(results: Sequence[Result]) -> dict[tuple[int, bool], dict[str, float]]:
    """Mean seconds of each part of a step, by (ranks, whether modelled), from a training's Results "seconds".

    What is hidden is hidden by computing, and so a part of the time that takes.
    """
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
        bars[at] = dict(zip(_LOOKS, (computed - hidden, hidden, *others), strict=True))
    return bars


def draw(ax: Axes, results: Sequence[Result]) -> Axes:
    """Bars of the "seconds" in `results`: at each number of ranks what came, and paler what is modelled.

    Nothing yet gives empty axes that say so. The title says where the time of the most ranks goes.
    """
    bars = parts(results)
    counts = sorted({ranks for ranks, _ in bars})
    both = [ranks for ranks in counts if {(ranks, True), (ranks, False)} <= bars.keys()]
    came = {one.origin for one in results if one.quantity == "seconds"} - {Origin.MODELLED}
    origins = " and ".join(sorted(came)), str(Origin.MODELLED)
    names = {at: f"{style.counted(at[0], 'rank')}, {origins[at[1]]}" for at in bars}
    top = max((sum(bar.values()) for bar in bars.values()), default=0.0) or 1.0
    text = stacks.draw(
        ax, {names[at]: bar for at, bar in bars.items()}, _LOOKS, format_seconds, 1.05 * top, thick=0.36,
        at=[counts.index(at[0]) + (0.2 if at[1] else -0.2) * (at[0] in both) for at in bars],
        pale=[names[at] for at in bars if at[1]],
    )  # fmt: skip
    ax.set(xlim=(-0.6, max(len(counts), 1) - 0.4), xlabel="Ranks", ylabel="One step")
    ax.set_xticks(range(len(counts)), [f"{count}" for count in counts])
    scales.duration(ax.yaxis, top)
    if both:
        shades = [Patch(facecolor=style.COLOUR["compute"], alpha=alpha) for alpha in (1, 0.5)]
        ax.legend(shades, origins, loc="upper left", frameon=False)
    answer = style.doubted(_answer(bars), quality.doubt(results))
    return style.describe(ax, answer, text or "Empty axes: run at a number of ranks to see its bar.")


def _answer(bars: Mapping[tuple[int, bool], Mapping[str, float]]) -> str:
    """At the most ranks that were run, else at the most that are modelled."""
    if not bars:
        return "What does a step consist of? No run yet"
    ranks, modelled = max((at for at in bars if not at[1]), default=max(bars))
    bar = bars[ranks, modelled]
    total = sum(bar.values()) or 1.0
    hidden, exposed = bar["hidden communication"] / total, bar["exposed communication"] / total
    text = f"{style.counted(ranks, 'rank')}: {exposed:.0%} of a step is exposed communication"
    return text + f", {hidden:.0%} hidden" * (hidden > 0.005) + ", modelled" * modelled

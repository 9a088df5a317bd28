"""What a training step consists of: a bar for each number of ranks, what came beside what was predicted.

Communication that runs behind the backward pass takes no time of its own: it is drawn as a pattern on the
part of computing that hides it. Notice what more ranks do to both kinds of communication, and to computing.
"""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab import checks, quality
from hpclab.figures import direct_labels, scales, style
from hpclab.results import Origin, Result
from hpclab.units import format_seconds

PARTS = (
    "compute", "hidden communication", "exposed communication", "input wait", "optimizer", "idle",
)  # fmt: skip
"""From the bottom up; what is hidden is hidden by computing, and so a part of the time that takes."""
_OF = {
    "forward": PARTS[0], "backward": PARTS[0], "exposed": PARTS[2], "input": PARTS[3],
    "optimizer": PARTS[4], "idle": PARTS[5],
}  # fmt: skip
_LOOK = {
    PARTS[0]: style.part("compute"),
    PARTS[1]: style.part("compute") | {"hatch": "//", "edgecolor": style.COLOUR["communication"]},
    PARTS[2]: style.part("communication"),
    PARTS[3]: style.part("storage"),
    PARTS[4]: style.part("compute") | {"facecolor": style.COLOUR["optimizer"]},
    PARTS[5]: style.part("idle"),
}


def parts(results: Sequence[Result]) -> dict[tuple[int, bool], dict[str, float]]:
    """Mean seconds of each of PARTS, by (ranks, whether modelled), from a training's Results "seconds"."""
    found: dict[tuple[int, bool], dict[str, list[float]]] = {}
    for one in checks.instances("results", results, Result):
        if one.quantity == "seconds":
            at = one.parameters["ranks"], one.origin is Origin.MODELLED
            found.setdefault(at, {}).setdefault(one.component, []).append(one.value)
    bars = {}
    for at in sorted(found):
        bar = dict.fromkeys(PARTS, 0.0)
        mean = {name: statistics.fmean(values) for name, values in found[at].items()}
        for name, part in _OF.items():
            bar[part] += mean.get(name, 0.0)
        bar[PARTS[1]] = min(mean.get("hidden", 0.0), bar[PARTS[0]])
        bar[PARTS[0]] -= bar[PARTS[1]]
        bars[at] = bar
    return bars


def draw(ax: Axes, results: Sequence[Result], *, title: str = "") -> Axes:
    """Bars of the "seconds" in `results`: at each number of ranks what came, and paler what is modelled.

    Nothing yet gives empty axes that say so. The title says where the time of the most ranks goes.
    """
    bars = parts(results)
    counts = sorted({ranks for ranks, _ in bars})
    both = {ranks for ranks in counts if {(ranks, True), (ranks, False)} <= bars.keys()}
    places = {at: counts.index(at[0]) + (0.2 if at[1] else -0.2) * (at[0] in both) for at in bars}
    top = max((sum(bar.values()) for bar in bars.values()), default=0.0) or 1.0
    labels, origins = list[direct_labels.Label](), _origins(results)
    for at, bar in bars.items():
        edge, name = 0.0, f"{style.counted(at[0], 'rank')}, {origins[at[1]]}"
        for part, seconds in bar.items():
            (drawn,) = ax.bar(places[at], seconds, 0.36, edge, alpha=0.5 if at[1] else 1, **_LOOK[part])
            style.tips(drawn, f"{name}: {part} {format_seconds(seconds)}")
            if at == max(bars) and seconds > 0.02 * top:
                text = f"{part} {format_seconds(seconds)}"
                labels.append(direct_labels.Label(places[at] + 0.2, edge + seconds / 2, text))
            edge += seconds
    ax.set(xlim=(-0.6, max(len(counts), 1) - 0.4), ylim=(0, top * 1.05), xlabel="Ranks", ylabel="One step")
    ax.set_xticks(range(len(counts)), [f"{count}" for count in counts])
    ax.grid(visible=False, axis="x")
    scales.duration(ax.yaxis, top)
    direct_labels.at_right(ax, labels)
    if both:
        shades = [Patch(facecolor=style.COLOUR["compute"], alpha=alpha) for alpha in (1, 0.5)]
        ax.legend(shades, [origins[False], origins[True]], loc="upper left", frameon=False)
    answer = style.doubted(title or said(bars), quality.doubt(_came(results)))
    text = " ".join(
        f"{style.counted(ranks, 'rank')}, {origins[modelled]}: "
        + ", ".join(f"{part} {format_seconds(seconds)}" for part, seconds in bar.items() if seconds > 0) + "."
        for (ranks, modelled), bar in bars.items()
    )  # fmt: skip
    return style.describe(ax, answer, text or "Empty axes: run at a number of ranks to see its bar.")


def said(bars: Mapping[tuple[int, bool], Mapping[str, float]]) -> str:
    """The answer at the most ranks that were run, else at the most that are modelled."""
    at = max((at for at in bars if not at[1]), default=max(bars, default=None))
    if at is None:
        return "What does a step consist of? No run yet"
    bar = bars[at]
    total = sum(bar.values()) or 1.0
    hidden, exposed = bar[PARTS[1]] / total, bar[PARTS[2]] / total
    text = f"{style.counted(at[0], 'rank')}: {exposed:.0%} of a step is exposed communication"
    return text + f", {hidden:.0%} hidden" * (hidden > 0.005) + ", modelled" * at[1]


def _came(results: Sequence[Result]) -> list[Result]:
    return [one for one in results if one.origin is not Origin.MODELLED]


def _origins(results: Sequence[Result]) -> dict[bool, str]:
    came = sorted({one.origin for one in _came(results) if one.quantity == "seconds"})
    return {False: " and ".join(came), True: str(Origin.MODELLED)}

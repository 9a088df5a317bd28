"""The class's wall: everybody's speedups, faint, with the median in bold; and the class's use of the queue.
Measured points stand left of their count and emulated ones right of it, spread so that all are seen."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hpclab.figures import direct_labels, scales, style, wording
from hpclab.figures.direct_labels import Label
from hpclab.figures.speedup import times
from hpclab.models.speedups import typical
from hpclab.results import Origin, Result

SHOWN = {Origin.MEASURED: -1, Origin.EMULATED: 1}  # and on which side of the count
_NEAR, _WIDTH = 0.075, 0.225  # where a strip begins and how wide it is, in parts of the way to the next count
_GOLDEN = 0.618  # whose multiples, without their whole part, fill a width evenly, neighbours far apart


def draw(ax: Axes, shared: Sequence[Sequence[Result]], along: str = "nodes") -> Axes:
    """Draw each learner's Results of a speedup by the parameter `along`. Those with ``environment["doubt"]``
    are pale and not in the median. The axes end at the largest count that two learners have, so that one
    alone cannot move them."""
    people = [kept for one in shared if (kept := [point for point in one if along in point.parameters])]
    largest = sorted((max(point.parameters[along] for point in one) for one in people), reverse=True)
    most, who = max([4, *largest[:2][-1:]]), wording.counted(len(people), "learner")
    points = [point for one in people for point in one if point.parameters[along] <= most]
    scales.counts(ax, most, along.capitalize())
    ax.set_xlim(*((0.93, most * 1.3) if most > 16 else (0.95, most + 0.42)))
    ax.set_ylabel("Speedup over one, ×")
    ax.plot([1, most], [1, most], color=style.COLOUR["ideal"], linewidth=1.2)
    labels, answers, said = [Label(most, most, "ideal", style.COLOUR["ideal"])], list[str](), list[str]()
    for origin, side in SHOWN.items():
        sound, spoilt = (
            [one for one in points if one.origin is origin and one.environment["doubt"] is doubt]
            for doubt in (False, True)
        )
        mark = style.mark(origin, style.INK)
        _strip(ax, sound, along, side, mark | {"alpha": 0.4})
        _strip(ax, spoilt, along, side, mark | {"alpha": 0.12})
        middle = typical(sound, along, origin)
        if len(middle) > 1:
            last, answer = max(middle), times(middle[max(middle)])
            bold = {"linestyle": "-", "linewidth": 3.2, "alpha": 1, "markersize": 11, "zorder": 6}
            ax.plot([*middle], [*middle.values()], **mark | bold)
            several = len(people) > 1
            labels.append(Label(last, middle[last], "median\n" * several + f"{origin}: {answer}"))
            answers.append(f"{last} {along} are {answer} as fast as one ({'median, ' * several}{origin})")
            values = ", ".join(f"{count}: {times(value)}" for count, value in middle.items())
            said.append(f"Median {origin} speedup of {who} by {along}: {values}.")
    direct_labels.at_right(ax, labels)
    if doubted := sum(any(point.environment["doubt"] for point in one) for one in people):
        note = f"{wording.counted(doubted, 'learner')} in doubt: pale, and not in the median"
        ax.annotate(note, (0.99, 0.03), xycoords="axes fraction", ha="right", color=style.MUTED)
    style.key(ax, [point.origin for point in points])
    title = f"{who}: {[*answers, 'no speedup to rely on yet'][0]}" if people else "Nobody shows points yet"
    return style.describe(ax, title, " ".join(said) or "Empty axes with the ideal line.")


def queue(ax: Axes, samples: Sequence[tuple[float, int, int]]) -> Axes:
    """Draw on how many nodes jobs ran and how many jobs waited: `samples` are (seconds, nodes, jobs)."""
    (first, _, _), (last, now, left) = samples[0], samples[-1]
    span = max(10.0, last - first)
    seconds, nodes, waiting = zip(*samples, (first + span, now, left), strict=True)
    since = [one - first for one in seconds]
    blue, orange = style.COLOUR["compute"], style.COLOUR["queue wait"]
    ax.fill_between(since, nodes, step="post", color=blue, alpha=0.18, linewidth=0)
    ax.step(since, nodes, where="post", color=blue)
    ax.step(since, waiting, where="post", color=orange, linestyle=(0, (4, 1.5)))
    scales.duration(ax.xaxis, span)
    ax.set(xlim=(0, span), ylim=(0, max(4, *nodes, *waiting) * 1.1), xlabel="Since the wall was opened")
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    direct_labels.at_right(ax, [
        Label(span, now, f"nodes with jobs: {now:,}", blue),
        Label(span, left, f"jobs waiting: {left:,}", orange),
    ])  # fmt: skip
    title = (
        f"Jobs run on {wording.counted(now, 'node')}, {wording.counted(left, 'job')} wait{'s' * (left == 1)}"
    )
    return style.describe(ax, title, f"At most {max(nodes)} nodes and {max(waiting)} waiting jobs so far.")


def _strip(ax: Axes, points: Sequence[Result], along: str, side: int, mark: dict[str, Any]) -> None:
    """Draw the points of counts above one on this `side` (-1 or 1) of it, spread so that all are seen."""
    every = sorted((one.parameters[along], one.value, one.origin) for one in points)
    placed = [one for one in every if one[0] > 1]
    if not placed:
        return
    parts = [side * (_NEAR + _WIDTH * (rank * _GOLDEN % 1)) for rank in range(len(placed))]
    by_ratio, counts = ax.get_xscale() == "log", [count for count, _, _ in placed]
    across = [n * 2**part if by_ratio else n + part for n, part in zip(counts, parts, strict=True)]
    note = ", in doubt" * points[0].environment["doubt"]
    texts = (f"{count} {along}: {times(value)} {origin}{note}" for count, value, origin in placed)
    style.plot(ax, across, [value for _, value, _ in placed], mark | {"markersize": 7, "zorder": 3}, texts)

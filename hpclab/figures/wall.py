"""The class's wall: everybody's speedups, faint, with the median in bold; and the class's use of the queue.

Measured points stand left of their count and emulated ones right of it, spread so that forty learners are
forty marks and not one.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.figures.direct_labels import Label
from hpclab.figures.speedup import times
from hpclab.models.speedups import typical
from hpclab.results import Origin, Result

SHOWN = {Origin.MEASURED: -1, Origin.EMULATED: 1}  # and on which side of the count
_WIDTH = 0.3  # of the way to the next count
_GOLDEN = 0.618  # whose multiples, without their whole part, fill a width evenly, neighbours far apart


def draw(ax: Axes, shared: Sequence[Sequence[Result]], along: str = "nodes", lesson: str = "") -> Axes:
    """Draw what each learner shows: Results of a speedup, whose parameter `along` counts.

    What a learner's own machine spoilt (``environment["doubt"]``) is pale and not in the median.
    """
    people = [checks.instances("what a learner shows", one, Result) for one in shared]
    people = [kept for one in people if (kept := [point for point in one if along in point.parameters])]
    most = _most(people, along)
    scales.counts(ax, most, along.capitalize())
    ax.set_xlim(*((0.93, most * 1.3) if most > 16 else (0.95, most + 0.42)))
    ax.set_ylabel("Speedup over one, ×")
    ax.plot([1, most], [1, most], color=style.COLOUR["ideal"], linewidth=1.2)
    labels, medians = [Label(most, most, "ideal", style.COLOUR["ideal"])], {}
    doubted = sum(any(point.environment["doubt"] for point in one) for one in people)
    for origin, side in SHOWN.items():
        sound = [p for one in people for p in one if p.origin is origin and not p.environment["doubt"]]
        spoilt = [p for one in people for p in one if p.origin is origin and p.environment["doubt"]]
        for points, pale in ((sound, False), (spoilt, True)):
            _strip(ax, points, along, most, side, pale)
        middle = {n: value for n, value in typical(sound, along, origin).items() if n <= most}
        if len(middle) > 1:
            medians[origin] = middle
            _median(ax, middle, origin)
            last = max(middle)
            name = "median\n" * (len(people) > 1)
            labels.append(Label(last, middle[last], f"{name}{origin}: {times(middle[last])}"))
    direct_labels.at_right(ax, labels)
    if doubted:
        note = f"{style.counted(doubted, 'learner')} in doubt: pale, and not in the median"
        ax.annotate(note, (0.99, 0.03), xycoords="axes fraction", ha="right", color=style.MUTED)
    style.key(ax, [point.origin for one in people for point in one])
    said = [
        f"Median {origin} speedup of {style.counted(len(people), 'learner')} by {along}: "
        + ", ".join(f"{count}: {times(value)}" for count, value in middle.items()) + "."
        for origin, middle in medians.items()
    ]  # fmt: skip
    text = " ".join(said) or "Empty axes with the ideal line."
    return style.describe(ax, _title(len(people), medians, along, lesson), text)


def queue(ax: Axes, samples: Sequence[tuple[float, int, int]]) -> Axes:
    """Draw on how many nodes jobs ran and how many jobs waited: `samples` are (seconds, nodes, jobs)."""
    seconds, nodes, waiting = zip(*samples, strict=True)
    since = [one - seconds[0] for one in seconds]
    since[-1] = span = max(10.0, since[-1])
    if len(since) == 1:
        since, nodes, waiting = [0.0, span], nodes * 2, waiting * 2
    ax.fill_between(since, nodes, step="post", color=style.COLOUR["compute"], alpha=0.18, linewidth=0)
    ax.step(since, nodes, where="post", color=style.COLOUR["compute"])
    ax.step(since, waiting, where="post", color=style.COLOUR["queue wait"], linestyle=(0, (4, 1.5)))
    scales.duration(ax.xaxis, span)
    ax.set(xlim=(0, span), ylim=(0, max(4, *nodes, *waiting) * 1.1), xlabel="Since the wall was opened")
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    direct_labels.at_right(ax, [
        Label(since[-1], nodes[-1], f"nodes with jobs: {nodes[-1]:,}", style.COLOUR["compute"]),
        Label(since[-1], waiting[-1], f"jobs waiting: {waiting[-1]:,}", style.COLOUR["queue wait"]),
    ])  # fmt: skip
    wait = f"{style.counted(waiting[-1], 'job')} wait{'s' * (waiting[-1] == 1)}"
    title = f"Jobs run on {style.counted(nodes[-1], 'node')}, {wait}"
    return style.describe(ax, title, f"At most {max(nodes)} nodes and {max(waiting)} waiting jobs so far.")


def _most(people: Sequence[Sequence[Result]], along: str) -> int:
    """Where the axes end: at the largest count that two learners have, so that one alone cannot move them."""
    counts = sorted((max(point.parameters[along] for point in one) for one in people), reverse=True)
    return max([4, *counts[:2][-1:]])


def _strip(ax: Axes, points: Sequence[Result], along: str, most: int, side: int, pale: bool) -> None:
    """The points of one origin at each count, beside one another."""
    for count in sorted({p.parameters[along] for p in points if 1 < p.parameters[along] <= most}):
        values = sorted(p.value for p in points if p.parameters[along] == count)
        parts = [side * _WIDTH * (0.25 + 0.75 * (rank * _GOLDEN % 1)) for rank in range(len(values))]
        across = [count * 2**part if most > 16 else count + part for part in parts]
        origin = Origin.MEASURED if side < 0 else Origin.EMULATED
        look = style.mark(origin, style.INK) | {"alpha": 0.12 if pale else 0.4, "markersize": 7, "zorder": 3}
        (line,) = ax.plot(across, values, **look)
        note = ", in doubt" * pale
        style.tips(line, *(f"{count} {along}: {times(value)} {origin}{note}" for value in values))


def _median(ax: Axes, middle: dict[int, float], origin: Origin) -> None:
    ax.plot([*middle], [*middle.values()], color=style.INK, linewidth=3.2, zorder=5)
    look = style.mark(origin, style.INK) | {"alpha": 1, "markersize": 11, "zorder": 6}
    ax.plot([*middle], [*middle.values()], **look)


def _title(people: int, medians: dict[Origin, dict[int, float]], along: str, lesson: str) -> str:
    """The answer at the largest count, or what is missing."""
    who = style.counted(people, "learner")
    if not people:
        return f"Nobody shows points{f' of lesson {lesson}' if lesson else ''} yet"
    if not medians:
        return f"{who}: no speedup to rely on yet"
    origin, middle = next(iter(medians.items()))
    most = max(middle)
    how = f"median, {origin}" if people > 1 else origin
    return f"{who}: {most} {along} are {times(middle[most])} as fast as one ({how})"

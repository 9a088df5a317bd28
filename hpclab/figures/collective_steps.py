"""A collective step by step: ranks in an oval with their buffers, and messages as arrows. A part of a buffer
is filled as high as the share of ranks whose values are summed in it; dark is what belongs to the rank's
result. An arrow is thick where the message shared a link, and slowed links are dashed."""

import math
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.figures import collective_side as side
from hpclab.figures import diagram, style, wording
from hpclab.models.schedule_time import ScheduleTime
from hpclab.schedules import layout, place, replay
from hpclab.units import format_bytes, format_seconds

MOST_DRAWN = 16
HEIGHT = 376  # with three rows of controls and the outcome it fits a screen of 720 pixels
_CENTRE, _RADII, _BOX = 284 + 203j, (233.0, 149.0), (90.0, 32.0)  # a place is x + y i
_NUMBER = 33.0  # pixels for a rank's number, beside its strip
_MANY = 3  # messages for each rank: more are drawn as faint lines
_MOVE = (
    "<style>@keyframes hpclab-move{from{transform:translate(var(--dx),var(--dy))}}"
    ".hpclab-moving{animation:hpclab-move .7s ease-in-out}"
    "@media (prefers-reduced-motion:reduce){.hpclab-moving{animation:none}}</style>"
)


class StepPicture:
    """The pictures of one timed schedule of 1 to 16 ranks; ``draw(0)`` is before the first step."""

    def __init__(self, timing: ScheduleTime, ranks_per_node: int = 1) -> None:
        self.timing, self.schedule, self.per_node = timing, timing.schedule, ranks_per_node
        self.adds = bool(self.schedule.messages["reduce"].any())

    @cached_property
    def held(self) -> list[NDArray[numpy.int64]]:
        """What all buffers hold before the first step and after each: arrays of shape (ranks, buffer). An
        element is a bit mask of the ranks whose values are summed in it, or in an all-to-all a number that
        stands for its source and target; 0 is empty."""
        count = self.schedule.ranks
        buffers = []
        for rank in range(count):
            width = layout(self.schedule, rank).input
            values = numpy.full(width.stop - width.start, 1 << rank, numpy.int64)
            if self.schedule.collective == "all_to_all":
                target = numpy.arange(len(values)) * count // max(1, len(values))
                values = 1 + rank * count + target
            buffers.append(place(self.schedule, rank, values))
        states = [numpy.stack(buffers)]
        replay(self.schedule, buffers, lambda _step: states.append(numpy.stack(buffers)))
        return states

    def _wanted(self, rank: int) -> NDArray[numpy.int64]:
        """What the rank's buffer holds in the end where its result lies, -1 elsewhere: shape (buffer,)."""
        wanted = numpy.full(self.schedule.buffer, -1, numpy.int64)
        wanted[layout(self.schedule, rank).result] = self.held[-1][rank][layout(self.schedule, rank).result]
        return wanted

    def elapsed(self, step: int) -> float:
        """Seconds until the last message of the first `step` steps has arrived."""
        if step >= self.schedule.steps:
            return self.timing.time
        return float(self.timing.end[: self.schedule.bounds[step]].max(initial=0.0))

    @cached_property
    def slowed(self) -> tuple[tuple[int, int], ...]:
        """The pairs of ranks whose messages cross a slowed link: source, target."""
        topology, ranks = self.timing.topology, self.schedule.ranks
        slow = [number for number, link in enumerate(topology.links) if "slower" in link.name]
        if not slow:
            return ()
        pairs = numpy.divmod(numpy.arange(ranks * ranks), ranks)
        crosses = numpy.isin(topology.ways(*pairs)[0], slow).any(axis=1)
        return tuple(zip(*(end[crosses].tolist() for end in pairs), strict=True))

    def title(self, step: int) -> str:
        schedule = self.schedule
        name, steps = wording.algorithm_of(schedule.collective, schedule.algorithm), schedule.steps
        where = f"step {step} of {steps}" if step else f"before the first of {steps} steps"
        return f"{name}, {where}: {format_seconds(self.elapsed(step))} (modelled)"

    def draw(self, step: int) -> str:
        """SVG of the buffers after `step` steps, with the messages of the last of them."""
        sent = self.sent(step)
        body = [_MOVE, *self._grounds(), *self._ranks(step)]
        body += [self._arrow(message, len(sent)) for message in sent]
        body += side.panel(sent, self.schedule.collective, self.adds, self.per_node > 1, self.slowed)
        body += side.clock([self.elapsed(number) for number in range(self.schedule.steps + 1)], step)
        return diagram.document(self.title(step), self._described(step, sent), body, height=HEIGHT)

    def sent(self, step: int) -> list[side.Sent]:
        """The messages between ranks in a step, counted from 1; those of one pair are added up."""
        if not step:
            return []
        messages, together = self.schedule.messages, dict[tuple[int, int], list[int]]()
        for row in range(self.schedule.bounds[step - 1], self.schedule.bounds[step]):
            source, target = int(messages["source"][row]), int(messages["target"][row])
            if source != target:
                together.setdefault((source, target), []).append(row)
        found = []
        for pair, rows in together.items():
            size = float(messages["size"][rows].sum()) * self.timing.itemsize
            took = float(self.timing.end[rows[0]] - self.timing.begin[rows[0]])
            alpha, beta = self.timing.topology.alpha_beta(*pair)
            times = max(1.0, (took - alpha) / (size * beta)) if size else 1.0
            found.append(side.Sent(*pair, size, took, times, pair in self.slowed))
        return found

    def _at(self, rank: float) -> complex:
        """The middle of a rank's box on the oval, as x + y i in pixels."""
        turn = 2 * math.pi * rank / self.schedule.ranks - math.pi / 2
        return _CENTRE + complex(_RADII[0] * math.cos(turn), _RADII[1] * math.sin(turn))

    def _grounds(self) -> list[str]:
        """SVG of a band behind the ranks of each node."""
        markup = []
        for first in range(0, self.schedule.ranks, self.per_node) if self.per_node > 1 else ():
            last = min(first + self.per_node, self.schedule.ranks) - 1
            path = "L".join(_xy(self._at(rank)) for rank in numpy.linspace(first, last, 61))
            line = f'fill="none" stroke="{side.GROUND}" stroke-width="56" stroke-linecap="round"'
            markup.append(f'<path d="M{path}" {line}><title>one node</title></path>')
        return markup

    def _ranks(self, step: int) -> list[str]:
        """SVG of every rank's box: its number and its buffer after `step` steps."""
        markup, (width, height) = [], _BOX
        slow = {source for source, _ in self.slowed}
        for rank in range(self.schedule.ranks):
            corner = self._at(rank) - complex(width / 2, height / 2)
            left, top = corner.real, corner.imag
            edge: dict[str, Any] = {"stroke": style.GRID}
            if rank in slow:
                edge = {"stroke": side.SHARED, "stroke_width": 3, "stroke_dasharray": "3 4"}
            markup.append(diagram.box(left, top, width, height, style.GROUND, rx=6, **edge))
            number = left + _NUMBER / 2 + 1, top + height / 2 + style.TEXT * 0.36
            markup.append(diagram.text(*number, str(rank), anchor="middle", bold=True))
            strip = left + _NUMBER, top + 4, width - _NUMBER - 5, height - 8
            markup += self._strip(step, rank, *strip)
            markup.append(diagram.box(*strip, "none", stroke=style.INK))
        return markup

    def _strip(self, step: int, rank: int, left: float, top: float, width: float, height: float) -> list[str]:
        """SVG of a rank's buffer: a box for each run of elements with the same contents."""
        held, wanted, first = self.held[step][rank], self._wanted(rank), self.held[0][rank]
        still = held == first if self.schedule.collective == "all_to_all" else numpy.zeros(len(held), bool)
        markup, begin, scale = list[str](), 0, width / max(1, len(held))
        cells = zip(held.tolist(), (held == wanted).tolist(), still.tolist(), strict=True)
        for (value, done, input_), run in groupby(cells):
            end = begin + sum(1 for _ in run)
            if value:
                share = value.bit_count() / self.schedule.ranks if self.adds else 0.5
                high = height if done or input_ else max(3.0, share * height)
                fill = side.DONE if done else side.INPUT if input_ else side.PARTIAL
                place = left + begin * scale, top + height - high, (end - begin) * scale, high
                markup.append(diagram.box(*place, fill, stroke=style.GROUND, stroke_width=0.6))
            begin = end
        return markup

    def _inside(self, rank: int, along: float) -> complex:
        """Where arrows touch a rank's box: on the oval's inside, `along` pixels along its edge."""
        at = self._at(rank)
        way = (_CENTRE - at) / abs(_CENTRE - at)
        sides = zip(_BOX, (abs(way.real), abs(way.imag)), strict=True)
        return at + way * complex(min((length / 2 + 5) / max(part, 1e-9) for length, part in sides), along)

    def _arrow(self, message: side.Sent, among: int) -> str:
        """SVG of a message: an arrow with a token that travels along it; `among` very many, a faint line."""
        many = among > _MANY * self.schedule.ranks
        apart = 9.0 if self.schedule.ranks > 2 and not many else 0.0
        start, end = self._inside(message.source, -apart), self._inside(message.target, apart)
        bend, bent = 0.35 if abs(end - start) < 190 else 0.12, (start + end) / 2
        bent += (_CENTRE - bent) * bend
        arriving = (end - bent) / (abs(end - bent) or 1.0)
        neck, wing = end - 10 * arriving, 6j * arriving
        colour = side.SHARED if message.slow or message.shared else side.FREE
        wide = min(7.0, 2.5 + 1.5 * math.log2(message.times)) if message.shared else 2.5
        dash = ' stroke-dasharray="3 4"' if message.slow else ""
        tip = f"{message.source} to {message.target}: {format_bytes(message.size)}"
        tip += f" in {format_seconds(message.took)}"
        tip += f", {message.times:.2g} times as long as alone" if message.shared else ""
        line = f'<g><title>{tip}</title><path d="M{_xy(start)}Q{_xy(bent)} {_xy(neck)}" fill="none"'
        if many:
            return f'{line} stroke="{colour}" stroke-width="{wide / 2:.1f}" stroke-opacity=".4"{dash}/></g>'
        token = 0.09 * start + 0.42 * bent + 0.49 * neck  # at 0.7 of the curve
        back = start - token
        return (
            f'{line} stroke="{colour}" stroke-width="{wide:.1f}"{dash}/>'
            f'<path d="M{_xy(end)}L{_xy(neck + wing)}L{_xy(neck - wing)}z" fill="{colour}"/>'
            f'<circle class="hpclab-moving" style="--dx:{back.real:.0f}px;--dy:{back.imag:.0f}px"'
            f' cx="{token.real:.1f}" cy="{token.imag:.1f}" r="6" fill="{colour}" stroke="{style.GROUND}"'
            ' stroke-width="2"/></g>'
        )

    def _described(self, step: int, sent: list[side.Sent]) -> str:
        """The text for screen readers."""
        shares = []
        for rank in range(self.schedule.ranks):
            wanted = self._wanted(rank)
            if (wanted >= 0).any():
                shares.append(float((self.held[step][rank] == wanted).sum() / (wanted >= 0).sum()))
        pairs = ", ".join(f"{one.source} to {one.target}" for one in sent[:8])
        said = f"Messages in this step: {pairs}{' and more' if len(sent) > 8 else ''}. " if sent else ""
        said += "".join(f"{one.source} to {one.target} crosses the slowed link. " for one in sent if one.slow)
        worst = max((one.times for one in sent), default=1.0)
        said += f"Shared links make messages up to {worst:.2g} times as long. " if worst > 1.05 else ""
        low, high = min(shares, default=1.0), max(shares, default=1.0)
        between = f"{low:.0%}" if low == high else f"{low:.0%} to {high:.0%}"
        return f"{said}Ranks hold {between} of their results."


def _xy(place: complex) -> str:
    """``"x,y"`` in pixels, for the path of an SVG."""
    return f"{place.real:.1f},{place.imag:.1f}"

"""A collective step by step: ranks in a circle, what each holds, what is sent, what the links make of it.

A rank's strip is its work buffer. Where sums are built up, a part is filled as high as the share of ranks
whose values are in it; what is part of the rank's result, and whole, is full and dark. So a ring fills all
strips evenly, and a tree one after another. An arrow is a message; it is thick where it had to share a link.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import groupby

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.figures import collective_side as side
from hpclab.figures import diagram, style
from hpclab.models.collectives import Timing
from hpclab.schedules import layout, place, replay
from hpclab.units import format_bytes, format_seconds

MOST_DRAWN = 16
HEIGHT = 600
_CENTRE, _RADII, _BOX = (287.0, 318.0), (240.0, 218.0), (78.0, 30.0)
_MOVE = (
    "<style>@keyframes hpclab-move{from{transform:translate(var(--dx),var(--dy))}}"
    ".hpclab-moving{animation:hpclab-move .7s ease-in-out}"
    "@media (prefers-reduced-motion:reduce){.hpclab-moving{animation:none}}</style>"
)


class StepPicture:
    """The pictures of one timed schedule of 1 to 16 ranks; `ranks_per_node` neighbours stand on one ground.

    ``draw(0)`` is before the first step, ``draw(steps)`` after the last.
    """

    def __init__(self, timing: Timing, ranks_per_node: int = 1) -> None:
        self.timing = checks.instance("timing", timing, Timing)
        self.schedule = timing.schedule
        self.per_node = checks.integer("ranks_per_node", ranks_per_node, 1, 2**16)
        checks.integer("The ranks of a picture", self.schedule.ranks, 1, MOST_DRAWN)
        self.adds = bool(self.schedule.messages["reduce"].any())

    @property
    def steps(self) -> int:
        return self.schedule.steps

    @cached_property
    def held(self) -> list[NDArray[numpy.int64]]:
        """After each step, what is where: shape (ranks, buffer). A sum is the bits of the ranks in it; in an
        all-to-all a block is named by source and target."""
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
        """What the rank's buffer holds in the end where its result lies, -1 elsewhere."""
        wanted = numpy.full(self.schedule.buffer, -1, numpy.int64)
        wanted[layout(self.schedule, rank).result] = self.held[-1][rank][layout(self.schedule, rank).result]
        return wanted

    def elapsed(self, step: int) -> float:
        """Seconds until the last message of the first `step` steps has arrived."""
        step = checks.integer("step", step, 0, self.steps)
        until = self.schedule.bounds[step] if self.steps else 0
        return float(self.timing.end[:until].max(initial=0.0)) if step < self.steps else self.timing.time

    def title(self, step: int) -> str:
        name = f"{side.words(self.schedule.algorithm)} {side.words(self.schedule.collective)}".capitalize()
        where = f"step {step} of {self.steps}" if step else f"before the first of {self.steps} steps"
        return f"{name}, {where}: {format_seconds(self.elapsed(step))} (modelled)"

    def draw(self, step: int) -> str:
        """The picture after `step` steps, with the messages of the last of them."""
        step = checks.integer("step", step, 0, self.steps)
        sent = self.sent(step)
        body = [_MOVE, *self._grounds(), *self._ranks(step), *(self._arrow(message) for message in sent)]
        body += side.panel(sent, self.schedule.collective, self.adds, self.per_node > 1)
        body += side.clock([self.elapsed(number) for number in range(self.steps + 1)], step)
        return diagram.document(self.title(step), self._described(step, sent), body, height=HEIGHT)

    def sent(self, step: int) -> list[side.Sent]:
        """The messages between ranks of a step, counted from 1; rows from one rank to one other are one."""
        if not step:
            return []
        rows = range(self.schedule.bounds[step - 1], self.schedule.bounds[step])
        messages, together = self.schedule.messages, dict[tuple[int, int], list[int]]()
        for row in rows:
            source, target = int(messages["source"][row]), int(messages["target"][row])
            if source != target:
                together.setdefault((source, target), []).append(row)
        return [self._one(source, target, rows) for (source, target), rows in together.items()]

    def _one(self, source: int, target: int, rows: list[int]) -> side.Sent:
        topology = self.timing.topology
        size = float(self.schedule.messages["size"][rows].sum()) * self.timing.itemsize
        took = float(self.timing.end[rows[0]] - self.timing.begin[rows[0]])
        alpha, beta = topology.alpha_beta(source, target)
        slow = any("slower" in topology.links[link].name for link in topology.route(source, target))
        return side.Sent(
            source, target, size, took, max(1.0, (took - alpha) / (size * beta)) if size else 1.0, slow
        )

    def _at(self, rank: float) -> tuple[float, float]:
        turn = 2 * math.pi * rank / self.schedule.ranks - math.pi / 2
        return _CENTRE[0] + _RADII[0] * math.cos(turn), _CENTRE[1] + _RADII[1] * math.sin(turn)

    def _grounds(self) -> list[str]:
        """A pale ground under the ranks of each node."""
        markup = []
        for first in range(0, self.schedule.ranks, self.per_node) if self.per_node > 1 else ():
            last = min(first + self.per_node, self.schedule.ranks) - 1
            steps = [first + (last - first) * n / 60 for n in range(61)]
            path = "L".join("{:.1f},{:.1f}".format(*self._at(rank)) for rank in steps)
            look = f'fill="none" stroke="{side.GROUND}" stroke-width="70" stroke-linecap="round"'
            markup.append(f'<path d="M{path}" {look}><title>one node</title></path>')
        return markup

    def _ranks(self, step: int) -> list[str]:
        markup, (width, height) = [], _BOX
        for rank in range(self.schedule.ranks):
            x, y = self._at(rank)
            left, top = x - width / 2, y - height / 2 + 10
            name = diagram.text(x, top - 5, str(rank), anchor="middle", bold=True)
            ground = (
                f'<rect x="{left - 3:.1f}" y="{top - 24:.1f}" width="{width + 6:g}" height="{height + 28:g}"'
            )
            markup.append(f'{ground} rx="6" fill="{style.GROUND}" stroke="{style.GRID}"/>{name}')
            markup += self._strip(step, rank, left, top)
            box = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:g}" height="{height:g}"'
            markup.append(f'{box} fill="none" stroke="{style.INK}"/>')
        return markup

    def _strip(self, step: int, rank: int, left: float, top: float) -> list[str]:
        """The buffer: runs of elements that hold the same thing."""
        held, wanted, first = self.held[step][rank], self._wanted(rank), self.held[0][rank]
        still = held == first if self.schedule.collective == "all_to_all" else numpy.zeros(len(held), bool)
        markup, (width, height), begin = [], _BOX, 0
        scale = width / max(1, len(held))
        cells = zip(held.tolist(), (held == wanted).tolist(), still.tolist(), strict=True)
        for (value, done, input_), run in groupby(cells):
            end = begin + sum(1 for _ in run)
            if value:
                share = value.bit_count() / self.schedule.ranks if self.adds else 0.5
                high = height if done or input_ else max(3.0, share * height)
                fill = side.DONE if done else side.INPUT if input_ else side.PARTIAL
                box = f'x="{left + begin * scale:.1f}" y="{top + height - high:.1f}"'
                size = f'width="{(end - begin) * scale:.1f}" height="{high:.1f}"'
                look = f'fill="{fill}" stroke="{style.GROUND}" stroke-width=".6"'
                markup.append(f"<rect {box} {size} {look}/>")
            begin = end
        return markup

    def _inside(self, rank: int, along: float) -> tuple[float, float]:
        """Where arrows touch a rank: on the side of the circle's middle, `along` pixels along its edge."""
        x, y = self._at(rank)
        dx, dy = _CENTRE[0] - x, _CENTRE[1] - y
        length = math.hypot(dx, dy)
        ux, uy = dx / length, dy / length
        reach = min((_BOX[0] / 2 + 7) / max(abs(ux), 1e-9), (_BOX[1] / 2 + 17) / max(abs(uy), 1e-9))
        return x + ux * reach - uy * along, y + 2 + uy * reach + ux * along

    def _arrow(self, message: side.Sent) -> str:
        """A message as an arrow bent to the middle, and a token that travels along it."""
        apart = 9.0 if self.schedule.ranks > 2 else 0.0
        (x1, y1), (x2, y2) = self._inside(message.source, -apart), self._inside(message.target, apart)
        bend = 0.35 if math.hypot(x2 - x1, y2 - y1) < 250 else 0.12
        mx, my = (x1 + x2) / 2, (y1 + y2) / 2
        mx, my = mx + (_CENTRE[0] - mx) * bend, my + (_CENTRE[1] - my) * bend
        length = math.hypot(x2 - mx, y2 - my) or 1.0
        ux, uy = (x2 - mx) / length, (y2 - my) / length  # the direction in which it arrives
        ex, ey = x2 - ux * 10, y2 - uy * 10
        colour = side.CROWDED if message.slow or message.crowded else side.FREE
        wide = min(7.0, 2.5 + 1.5 * math.log2(message.times)) if message.crowded else 2.5
        dash = ' stroke-dasharray="3 4"' if message.slow else ""
        head = f"M{x2:.1f},{y2:.1f}L{ex - uy * 6:.1f},{ey + ux * 6:.1f}L{ex + uy * 6:.1f},{ey - ux * 6:.1f}z"
        tip = f"{message.source} to {message.target}: {format_bytes(message.size)}"
        tip += f" in {format_seconds(message.took)}"
        tip += f", {message.times:.2g} times as long as alone" if message.crowded else ""
        x, y = 0.09 * x1 + 0.42 * mx + 0.49 * ex, 0.09 * y1 + 0.42 * my + 0.49 * ey  # at 0.7 of the curve
        shift = f"--dx:{x1 - x:.0f}px;--dy:{y1 - y:.0f}px"
        return (
            f'<g><title>{tip}</title><path d="M{x1:.1f},{y1:.1f}Q{mx:.1f},{my:.1f} {ex:.1f},{ey:.1f}"'
            f' fill="none" stroke="{colour}" stroke-width="{wide:.1f}"{dash}/>'
            f'<path d="{head}" fill="{colour}"/><circle class="hpclab-moving" style="{shift}" cx="{x:.1f}"'
            f' cy="{y:.1f}" r="6" fill="{colour}" stroke="{style.GROUND}" stroke-width="2"/></g>'
        )

    def _described(self, step: int, sent: list[side.Sent]) -> str:
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

"""What stands beside a collective's picture: this step in numbers, a key to the marks, and a clock."""

from collections.abc import Sequence
from dataclasses import dataclass

from hpclab.figures import diagram, style, wording
from hpclab.units import format_bytes, format_seconds

LEFT, WIDTH = 580.0, 219.0
INPUT, PARTIAL, DONE = style.COLOUR["idle"], style.COLOUR["waiting"], style.COLOUR["compute"]
GROUND = "#e8e8e8"  # of a node
FREE, SHARED = style.MUTED, style.COLOUR["communication"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message: `size` in bytes, `took` in seconds, `times` as long as alone; `slow`: over a slowed link."""

    source: int
    target: int
    size: float
    took: float
    times: float
    slow: bool

    @property
    def shared(self) -> bool:
        """Whether other messages slowed it down."""
        return self.times > 1.05


def panel(
    sent: list[Sent], collective: str, adds: bool, nodes: bool, slowed: Sequence[tuple[int, int]]
) -> list[str]:
    """SVG elements: the messages `sent` in this step in numbers, and the key. `adds`: the collective reduces;
    `nodes`: nodes are drawn; `slowed`: the (source, target) whose messages cross a slowed link."""
    sizes, worst = [one.size for one in sent], max((one.times for one in sent if one.shared), default=0.0)
    each = f"{'up to ' * (min(sizes) < max(sizes))}{format_bytes(max(sizes))}" if sent else ""
    moves = collective == "all_to_all"
    rows = {  # what is said of a kind of mark, where there is one
        "": sent and f"{wording.counted(len(sent), 'message')}, {each}{' each' * (len(sent) > 1)}",
        "slow": slowed and f"slow link {_where(slowed)}",
        "shared": worst and f"shared: up to {worst:.2g}× as long",
        "input": moves and "input",
        "partial": "partial sum" if adds else moves and "on its way",
        "done": "whole, to keep" if adds else "where it belongs",
        "node": nodes and "one node",
    }
    markup, y, line = [], 62.0, style.TEXT * 1.15
    for kind, sentence in rows.items():
        if not sentence:
            continue
        indent = 36 if kind else 0
        lines = diagram.wrap(sentence, WIDTH - indent)
        markup += [_key(kind, LEFT, y - 6)] * bool(kind)
        markup += [diagram.text(LEFT + indent, y + n * line, s) for n, s in enumerate(lines)]
        y += line * len(lines) + 6
    return markup


def _where(slowed: Sequence[tuple[int, int]]) -> str:
    """Name the ranks that send over a slowed link: "3 to 4", "out of 3" or "out of 3 to 5"."""
    (first, target), (last, _) = slowed[0], slowed[-1]
    if len(slowed) == 1:
        return f"{first} to {target}"
    return f"out of {first}" if first == last else f"out of {first} to {last}"


def clock(elapsed: list[float], step: int) -> list[str]:
    """SVG of a bar of modelled time: ``elapsed[n]`` is the time after n steps, of which `step` are done."""
    whole, y = elapsed[-1] or 1.0, 322.0
    ticks = "".join(f"M{LEFT + time / whole * WIDTH:.1f},{y + 12}v5" for time in elapsed[1:-1])
    return [
        diagram.text(LEFT, y - 8, format_seconds(elapsed[step]), bold=True),
        diagram.box(LEFT, y, WIDTH, 12, GROUND),
        diagram.box(LEFT, y, elapsed[step] / whole * WIDTH, 12, SHARED),
        diagram.text(LEFT, y + 35, f"of {format_seconds(elapsed[-1])} modelled", colour=style.MUTED),
        f'<path d="{ticks}" stroke="{style.MUTED}"/>',
    ]


def _key(kind: str, x: float, y: float) -> str:
    """SVG of a sample of the mark `kind` for the key, 26 pixels wide from `x`, its middle at `y`."""
    if kind in ("slow", "shared"):
        line = 'stroke-dasharray="3 4" stroke-width="2.5"' if kind == "slow" else 'stroke-width="6"'
        return f'<path d="M{x:.0f},{y:.1f}h26" stroke="{SHARED}" {line}/>'
    if kind == "node":
        return diagram.box(x, y - 10, 26, 20, GROUND, rx=9)
    high, fill = (9, PARTIAL) if kind == "partial" else (20, DONE if kind == "done" else INPUT)
    filled = diagram.box(x, y + 10 - high, 26, high, fill)
    return filled + diagram.box(x, y - 10, 26, 20, "none", stroke=style.INK)

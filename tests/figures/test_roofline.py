"""What the roofline says: roofs where they belong, every repeat and origin, no label on another."""

import itertools
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import pytest
from matplotlib.path import Path
from matplotlib.text import Text

from hpclab.figures import bandwidth, roofline, style
from hpclab.figures.diagram import text_width
from hpclab.figures.roofline_points import Kernel, kernels, modelled_kernel
from hpclab.models.device import Device, from_catalogue
from hpclab.models.roofline import Work, predict
from hpclab.results import Origin, Result

pytestmark = pytest.mark.slow

A100 = from_catalogue("a100-80gb")
HERE = Device("this machine", Origin.MEASURED, reached_bandwidth=2e10, reached={"fp32": 1e11})


def timed(ladder, step, seconds, flops=2e9, origin=Origin.MEASURED, repeat=0):
    return Result(
        "kernel ladder", "time", seconds, origin, repeat=repeat,
        parameters={"ladder": ladder, "step": step, "bytes": 1e9, "flops": flops, "precision": "fp32"},
    )  # fmt: skip


def notes(ax):
    """The labels at marks, and the lines that lead to them, in points."""
    return [text for text in ax.texts if getattr(text, "anncoords", "") == "figure points"]


def test_results_become_one_kernel_with_all_its_repeats():
    results = [timed("sum", "tree", 0.1, repeat=0), timed("sum", "tree", 0.2, repeat=1)]
    results += [timed("sum", "tree", 0.05, origin=Origin.MODELLED), timed("sum", "naive", 0.4)]
    results += [replace(results[0], quantity="bandwidth"), replace(results[0], parameters={"step": "tree"})]
    found = kernels(results)
    assert [(k.name, k.origin, len(k.rates)) for k in found] == [
        ("sum, tree", Origin.MEASURED, 2), ("sum, tree", Origin.MODELLED, 1),
        ("sum, naive", Origin.MEASURED, 1),
    ]  # fmt: skip
    assert found[0].intensity == 2.0  # 2e9 / 1e9
    assert found[0].place == (2.0, pytest.approx(1.5e10))  # the median of 2e10 and 1e10
    assert found[0].bandwidths == (1e10, 5e9)


def test_roofs_ridge_and_origins_are_drawn_and_said(ax, marks, words):
    found = kernels([timed("sum", "tree", 0.1), timed("sum", "tree", 0.1, origin=Origin.MODELLED)])
    roofline.draw(ax, A100, found, "bf16")
    assert "BF16: achievable ridge at 154" in ax.get_title("left")  # 271.2e12 / 1.76e12
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2  # the achievable slope and flat
    assert marks(ax) == 2 + 1  # and the ridge
    said = words(ax)
    for text in ("BF16 peak\n312 TFLOP/s", "BF16 measured", "2.04 TB/s peak", "modelled", "sum: tree"):
        assert text in said
    text = style.description(ax.figure)
    assert "sum, tree: 2 FLOP per byte, 20 GFLOP/s, 10 GB/s, measured." in text
    ax.clear()
    assert "float32 assumed" in words(roofline.draw(ax, A100))
    assert "Achievable is assumed: 74% of the peak rate." in style.description(ax.figure)

    ax.clear()
    roofline.draw(ax, HERE)  # a measured machine has one solid roof
    assert not [line for line in ax.lines if line.get_linestyle() == "--"]
    assert "float32 measured" in words(ax)
    assert "20 GB/s measured" in words(ax)


def test_a_kernel_without_operations_stands_among_the_bytes_per_second_and_nowhere_else(
    ax, marks, words, apart
):
    steps = [("naive", 0.4), ("tiled", 0.1), ("padded", 0.1)]
    found = kernels([timed("transpose", step, seconds, flops=0) for step, seconds in steps])
    roofline.draw(ax, HERE, found)
    assert marks(ax) == 1  # the ridge
    assert "transpose, tiled: no place here, measured." in style.description(ax.figure)
    ax.clear()
    bandwidth.draw(ax, HERE, found)
    assert marks(ax) == 3
    assert "measured 20 GB/s" in words(ax)
    assert "transpose, naive: 2.5 GB/s, 12% of achievable, measured." in style.description(ax.figure)
    ax.clear()
    bandwidth.draw(ax, A100, found)
    assert "peak 2.04 TB/s" in words(ax)
    apart(ax, [*ax.texts, *ax.get_yticklabels()])


def test_no_label_lies_on_another_and_kernels_on_one_spot_share_theirs(ax, words, apart):
    works = [Work(1e9, 10 ** (n / 4) * 1e8, name=f"kernel {n}, step") for n in range(12)]
    works += [Work(1e9, 1e8, name="kernel 0, other")]  # on the spot of the first
    ax.figure.set_figheight(520 / 96)  # as in the lesson
    roofline.draw(ax, A100, [modelled_kernel(predict(work, A100)) for work in works])
    apart(ax, [text for text in ax.texts if text.get_rotation_mode() != "anchor"])
    assert "step, other" in words(ax)
    shown = [note for note in notes(ax) if not note.get_text() and note.get_visible()]
    leaders = [Path([ax.transData.transform(note.xy) * 72 / 96, note.xyann]) for note in shown]
    assert len(leaders) > 3
    pairs = itertools.combinations(leaders, 2)
    assert not any(one.intersects_path(other, filled=False) for one, other in pairs)


@pytest.mark.parametrize("precision", ["fp64", "fp32", "fp8"])  # ridges from 9 to 482
def test_names_of_roofs_ridge_and_key_are_apart_wherever_the_ridge_lies(ax, apart, precision):
    h100, works = from_catalogue("h100-80gb"), [Work(1e9, 10**n, precision, f"k, {n}") for n in (8, 10, 12)]
    roofline.draw(ax, h100, [modelled_kernel(predict(work, h100)) for work in works], precision)
    key = ax.get_legend().get_texts()
    apart(ax, [*key, *(text for text in ax.texts if text.get_rotation_mode() != "anchor")])


def test_axes_stay_while_precision_and_kernels_change_and_the_what_if_lies_over_them(ax):
    kernel = Kernel("k", 4.0, (1e12,), (2.5e11,), Origin.MODELLED)
    moved = Kernel("moved", 400.0, (1e13,), (2.5e10,), Origin.MODELLED)
    roofline.draw(ax, A100)
    first = ax.get_xlim(), ax.get_ylim()
    ax.clear()
    roofline.draw(ax, A100, [kernel], "bf16")
    assert (ax.get_xlim(), ax.get_ylim()) == first
    style.svg(ax.figure)
    layer = roofline.over(ax, kernel, moved).svg()
    assert ">moved</text>" in layer
    assert layer.count(style.COLOUR["what if"]) >= 2  # the arrow and the mark
    ax.clear()
    assert roofline.draw(ax, from_catalogue("b200-180gb")).get_ylim() != first[1]


CROWDED = {  # GFLOP/s of three ladders' steps on two busy cores, the first three at 0.25 FLOP per byte
    ("reduction", 0.25): (0.131, 0.793, 0.614), ("stencil", 0.625): (0.061, 1.403, 1.48),
    ("matrix multiply", 85): (0.371, 3.456, 2.895),
}  # fmt: skip


@pytest.mark.parametrize("threads", [2.7, 4.6])
def test_no_kernel_of_a_crowded_figure_is_left_without_its_name(ax, words, apart, threads):
    device = replace(HERE, reached_bandwidth=3.29e9, reached={"fp64": 7e9, "fp32": 1.41e10})
    rates = CROWDED | {("matrix multiply", 85): (0.371, 3.456, threads)}
    found = [
        timed(ladder, step, intensity / rate, intensity * 1e9)
        for (ladder, intensity), at in rates.items()
        for step, rate in zip(("scalar", "vectorised", "threads"), at, strict=True)
    ]
    roofline.draw(ax, device, kernels(found))
    words(ax)
    steps = [step for note in notes(ax) if note.get_visible() for step in note.get_text().split(", ") if step]
    assert Counter(steps) == dict.fromkeys(("scalar", "vectorised", "threads"), 3)
    key = ax.get_legend()
    assert [text.get_text() for text in key.get_texts()] == [*(name for name, _ in rates), "measured"]
    series = [(line.get_color(), line.get_marker()) for line in key.get_lines()[:3]]
    assert len(set(dict(series).values())) == len(dict(series)) == 3  # colours and marks differ
    assert {note.get_color() for note in notes(ax) if note.get_text()} == {style.ink(c) for c, _ in series}
    apart(ax, [text for text in ax.texts if text.get_rotation_mode() != "anchor"])
    for kernel in kernels(found):  # what is laid over it is on none of these names
        layer = ET.fromstring(roofline.over(ax, kernel, replace(kernel, name="moved")).svg())
        (moved,) = layer.iter("{http://www.w3.org/2000/svg}text")
        left, low = float(moved.get("x")), ax.figure.get_figheight() * 72 - float(moved.get("y"))
        for note in filter(Text.get_text, notes(ax)):
            right = note.xyann[0] + 0.95 * text_width(note.get_text(), 14.25)
            assert abs(note.xyann[1] - low - 5) > 14 or left > right or left + 50 < note.xyann[0]

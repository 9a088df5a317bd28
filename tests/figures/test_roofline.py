"""What the roofline says: roofs where they belong, every repeat and origin, no label on another."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from hpclab.figures.labels import Labels

from hpclab.figures import roofline, style
from hpclab.figures.roofline_points import Kernel, joined, kernels, modelled
from hpclab.models.device import Device, from_catalogue
from hpclab.models.roofline import Work, predict
from hpclab.results import Origin, Result

A100 = from_catalogue("a100-80gb")
HERE = Device("this machine", Origin.MEASURED, reached_bandwidth=2e10, reached={"fp32": 1e11})


def timed(ladder, step, seconds, flops=2e9, origin=Origin.MEASURED, repeat=0):
    return Result(
        "kernel ladder", "time", seconds, origin, repeat=repeat,
        parameters={"ladder": ladder, "step": step, "bytes": 1e9, "flops": flops, "precision": "fp32"},
    )  # fmt: skip


def texts(svg):
    """(left, top, right, bottom, words) of every upright text of a figure."""
    found = []
    for x, y, anchor, words in re.findall(
        r'<text x="([-\d.]+)" y="([-\d.]+)"(?: text-anchor="(\w+)")?[^>]*>([^<]*)</text>', svg
    ):
        if (float(x), float(y)) == (0.0, 0.0):
            continue  # turned along the slope
        width = style.text_width(words)
        left = float(x) - {"end": width, "middle": width / 2}.get(anchor, 0)
        found.append((left, float(y) - style.TEXT * 0.7, left + width, float(y) + style.TEXT * 0.1, words))
    return found


def test_results_become_one_kernel_with_all_its_repeats():
    results = [timed("sum", "tree", 0.1, repeat=0), timed("sum", "tree", 0.2, repeat=1)]
    results += [timed("sum", "tree", 0.05, origin=Origin.MODELLED), timed("sum", "naive", 0.4)]
    results.append(Result("kernel ladder", "bandwidth", 1e9, Origin.MEASURED))
    found = kernels(results)
    assert [(k.name, k.origin, len(k.rates)) for k in found] == [
        ("sum, tree", Origin.MEASURED, 2), ("sum, tree", Origin.MODELLED, 1),
        ("sum, naive", Origin.MEASURED, 1),
    ]  # fmt: skip
    assert found[0].intensity == 2.0  # 2e9 / 1e9
    assert found[0].place == (2.0, pytest.approx(1.5e10))  # the median of 2e10 and 1e10
    assert found[0].bandwidths == (1e10, 5e9)


def test_roofs_ridge_and_origins_are_drawn_and_said():
    found = kernels([timed("sum", "tree", 0.1), timed("sum", "tree", 0.1, origin=Origin.MODELLED)])
    svg = roofline.draw(A100, found, ("bf16",))
    ElementTree.fromstring(svg)
    assert "BF16: ridge at 153 FLOP per byte" in svg  # 312e12 / 2.039e12
    assert svg.count('stroke-dasharray="9 6"') == 2  # the achievable slope and flat
    assert "BF16 peak" in svg
    assert "BF16 measured" in svg
    assert "2.04 TB/s peak" in svg
    assert "sum, tree: 2 FLOP per byte, 20 GFLOP/s, 10 GB/s, measured." in svg
    assert {words for *_, words in texts(svg)} >= {"measured", "modelled"}  # the key
    assert "float32 assumed" in roofline.draw(A100)
    assert "The achievable rate is assumed: 74% of the peak" in roofline.draw(A100)


def test_a_measured_machine_has_one_solid_roof():
    svg = roofline.draw(HERE, title="Here")
    assert "9 6" not in svg
    assert "float32 measured" in svg
    assert "20 GB/s measured" in svg


def test_a_kernel_without_operations_stands_at_the_left_edge_at_its_bandwidth():
    (kernel,) = kernels([timed("transpose", "naive", 0.1, flops=0)])
    assert kernel.place == (0.05, pytest.approx(1e10 * 0.05))


def test_no_label_lies_on_another_and_kernels_on_one_spot_share_theirs():
    works = [Work(1e9, 10 ** (n / 4) * 1e8, name=f"kernel {n}, step") for n in range(12)]
    works += [Work(1e9, 1e8, name="kernel 0, other")]
    under = [modelled(predict(work, A100)) for work in works]
    for precisions in (("fp32",), ("fp32", "tf32", "bf16")):
        svg = roofline.draw(A100, under, precisions)
        boxes = texts(svg)
        for number, one in enumerate(boxes):
            assert one[0] >= 0
            assert one[2] <= style.WIDTH + 1
            for other in boxes[:number]:
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert apart, (one, other)
    assert "kernel 0: step, other" in svg
    assert joined(["a, b", "a, c", "d"]) == "a: b, c; d"


def test_axes_stay_while_precision_kernels_and_what_if_change():
    def ticks(svg):
        return re.findall(r">([\d.]+)</text>", svg)

    kernel = Kernel("k", 4.0, (1e12,), (2.5e11,), Origin.MODELLED)
    moved = Kernel("k", 400.0, (1e13,), (2.5e10,), Origin.MODELLED, style.COLOUR["what if"])
    first = ticks(roofline.draw(A100))
    assert first == ticks(roofline.draw(A100, [kernel], ("bf16",), moved=(kernel, moved)))
    assert "100" in first
    assert first != ticks(roofline.draw(from_catalogue("b200-180gb")))


def test_labels_give_up_only_without_any_room():
    full = Labels((0, 0, 60, 30))
    assert full.beside(30, 15, "a label much too long for this") == ""
    room = Labels((0, 0, 600, 300))
    first, *more = (room.beside(100, 100, "here") for _ in range(12))
    assert "<path" not in first  # beside its point
    assert all(more)
    assert "<path" in more[-1]  # led to it


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="needs a precision"):
        roofline.draw(A100, (), ())
    with pytest.raises(ValueError, match="must be one of fp64"):
        roofline.draw(A100, (), ("fp8",))


CROWDED = {  # GFLOP/s of three ladders' steps on two busy cores, the first three at 0.25 FLOP per byte
    ("reduction", 0.25): (0.131, 0.793, 0.614), ("stencil", 0.625): (0.061, 1.403, 1.48),
    ("matrix multiply", 85): (0.371, 3.456, 2.895),
}  # fmt: skip


def crowded(threads):
    device = Device(
        "this machine", Origin.MEASURED, reached_bandwidth=3.29e9, reached={"fp64": 7e9, "fp32": 1.41e10}
    )
    rates = CROWDED | {("matrix multiply", 85): (0.371, 3.456, threads)}
    found = [
        timed(ladder, step, intensity / rate, intensity * 1e9)
        for (ladder, intensity), at in rates.items()
        for step, rate in zip(("scalar", "vectorised", "threads"), at, strict=True)
    ]
    return roofline.draw(device, kernels(found))


@pytest.mark.parametrize("threads", [2.7, 2.895, 4.6])
def test_no_kernel_of_a_crowded_figure_is_left_without_its_name(threads):
    named = "; ".join(words for *_, words in texts(crowded(threads)))
    steps = re.findall(r"matrix multiply: ([\w, ]+)", named)
    assert sorted(", ".join(steps).split(", ")) == ["scalar", "threads", "vectorised"]


def test_no_line_leads_along_the_axis():
    def kernel(name, intensity, rate, bandwidth):
        return Kernel(name, intensity, (rate,), (bandwidth,), Origin.MODELLED)

    steps = (("naive", 0, 2e12), ("tiled", 0, 1.93e12), ("padded", 0, 2.9e12))
    found = [kernel(f"transpose, {step}", 0, rate, at) for step, rate, at in steps]
    steps = (("naive", 5.5e12), ("shared tiles", 7e12), ("register-blocked", 3.6e13))
    found += [kernel(f"matrix multiply, {step}", 683, rate, 1e10) for step, rate in steps]
    svg = roofline.draw(from_catalogue("h100-80gb"), found)
    leads = re.findall(rf'd="M([\d.]+),([\d.]+)L([\d.]+),([\d.]+)" stroke="{style.MUTED}"', svg)
    assert leads
    for x, y, to, down in ([float(number) for number in lead] for lead in leads):
        assert x > 100 or abs(to - x) > abs(down - y) / 4


def test_a_label_on_the_left_ends_beside_its_mark_whatever_the_font():
    svg = crowded(2.895)
    circles = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]
    ends = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end"[^>]*>matrix multiply: scalar<', svg)
    assert [round(max(circles) - float(end)) for end in ends] == [13]

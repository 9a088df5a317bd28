"""The roofline widget without a browser: devices, precisions and sliders draw; what is modelled says so."""

import pytest

from hpclab.figures import style
from hpclab.models.device import Device, devices, from_catalogue
from hpclab.models.roofline import Work
from hpclab.results import Origin, Result
from hpclab.widgets.roofline import Roofline
from tests.widgets.conftest import put

pytestmark = pytest.mark.slow

WORKS = [Work(1e9, 1e8, name="add, one"), Work(1e8, 1e11, name="multiply, two"), Work(1e9, 0, name="copy")]
HERE = Device("This machine", Origin.MEASURED, reached_bandwidth=2e10, reached={"fp64": 5e10, "fp32": 1e11})


def timed(step, seconds, **environment):
    return Result(
        "kernel ladder", "time", seconds, Origin.MEASURED, environment=environment,
        parameters={"ladder": "add", "step": step, "bytes": 1e9, "flops": 1e8, "precision": "fp32"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def made():
    gpu = {"gpu": "NVIDIA A100-SXM4-80GB", "memory": 85e9}
    return Roofline(WORKS, [timed("one", 0.1), timed("on a GPU", 1e-3, **gpu)], HERE)


@pytest.fixture
def shown(made):
    first = {"precision": "fp32", "item": 4, "reuse": 1, "view": "FLOP/s", "kernel": "add, one"}
    put(made, device="a100-80gb", **first)
    return made


def said(shown):
    return style.description(shown.shown.figure)


def test_what_was_measured_stands_on_the_device_it_was_measured_on(shown):
    put(shown, device="here")
    assert "add, one: 0.1 FLOP per byte, 1 GFLOP/s, 10 GB/s, measured" in said(shown)
    assert "on a GPU" not in said(shown)
    put(shown, device="a100-80gb")
    assert "add, on a GPU: 0.1 FLOP per byte, 100 GFLOP/s, 1 TB/s, measured" in said(shown)
    assert "Achievable is assumed: 74% of the peak rate" in shown.note.value
    put(shown, precision="bf16")
    assert "assumed" not in shown.note.value
    assert "BF16, FLOP/s. Modelled." in shown.announcer.value
    put(shown, device="h100-80gb", precision="fp32")
    assert "measured." not in said(shown).split("add, one")[1]
    assert "memory-bound" in said(shown)


def test_every_device_is_drawn_in_a_precision_that_it_has(shown):
    for name in devices():
        put(shown, device=name)
        offered = [value for _, value in shown.controls["precision"].options]
        assert offered == list(from_catalogue(name).precisions)
        assert from_catalogue(name).title in shown.shown.get_title(loc="left")


def test_the_precision_chosen_by_hand_comes_back_after_a_device_without_it(shown):
    for device, precision in (("tpu-v5e-16gb", "bf16"), ("a100-80gb", "fp32")):  # nobody chose BF16
        put(shown, device=device)
        assert shown.at.precision == precision
    put(shown, precision="tf32")
    for device, precision in (("v100-16gb", "fp32"), ("h100-80gb", "tf32")):
        put(shown, device=device)
        assert shown.at.precision == precision


def test_reuse_moves_a_kernel_to_the_ridge_and_redraws_nothing_else(shown):
    before, words = shown.shown, shown.note.value
    assert shown.moving.value == ""
    put(shown, reuse=1024)
    # 1e9 bytes over 1,024 leave 102 FLOP per byte, right of float32's ridge: 1e8 FLOP at 14.5 TFLOP/s.
    assert "compute-bound" in shown.note.value
    assert "at 102 FLOP per byte" in shown.announcer.value
    assert "<svg" in shown.moving.value
    put(shown, item=2)
    assert "at 205 FLOP per byte" in shown.note.value
    assert shown.shown is before
    put(shown, item=4, reuse=1)
    assert shown.note.value == words
    assert shown.moving.value == ""


def test_a_kernel_that_computes_nothing_is_seen_among_the_bytes_per_second(shown):
    put(
        shown, device="h100-80gb", kernel="copy", reuse=2
    )  # takes half the bytes, and has no place to move to
    assert shown.moving.value == ""
    assert "copy: no place here" in said(shown)
    assert "see its bytes/s" in shown.note.value
    put(shown, view="bytes/s")
    assert "copy: 2.89 TB/s, 99% of achievable, modelled." in said(shown)
    assert "see its bytes/s" not in shown.note.value
    assert shown.announcer.value.startswith("<span>NVIDIA H100 SXM5 80 GB, float32, bytes/s.")


def test_no_works_are_refused():
    with pytest.raises(ValueError, match="at least one Work"):
        Roofline([])
    assert Roofline([Work(1e9, 1e9)]).at.kernel == "kernel 1"

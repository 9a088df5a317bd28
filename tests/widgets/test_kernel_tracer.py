"""The kernel tracer without a browser: each warp can be stepped through, and findings are read."""

import ipywidgets
import numpy
import pytest

from hpclab.kernels.cuda import cuda
from hpclab.widgets.kernel_tracer import KernelTracer
from tests.widgets.conftest import put

ITEMS = 100


@cuda.jit
def add(a, b, total):
    i = cuda.grid(1)
    if i < total.size:
        total[i] = a[i] + b[i]


@cuda.jit
def racing(a, out):
    tile = cuda.shared.array(64, numpy.float32)
    t = cuda.threadIdx.x
    tile[t] = a[2 * t]
    out[t] = tile[63 - t]


@cuda.jit
def ahead(a, out):
    i = cuda.grid(1)
    out[i] = a[i + 1]


@cuda.jit
def idle(a):
    pass


@cuda.jit
def untraceable(a):
    print("<b>")
    yield a


@pytest.fixture
def shown():
    a = numpy.arange(ITEMS, dtype=numpy.float32)
    return KernelTracer.of(add, 2, 64, a, a, a.copy())


def test_each_step_is_a_picture_with_its_title_read_out(shown):
    pictures, titles = {shown.picture.value}, [shown.announcer.value]
    last = shown.controls["step"].max
    for step in range(2, last + 1):
        put(shown, step=step)
        pictures.add(shown.picture.value)
        titles.append(shown.announcer.value)
    assert len(pictures) == last
    assert "32 lanes, 4 sectors, as few as can be" in " ".join(titles)
    assert "writes total" in titles[-1]


def test_another_block_and_warp_have_their_own_steps(shown):
    assert [label for label, _ in shown.controls["block"].options] == ["0", "1"]
    put(shown, step=shown.controls["step"].max)
    before = shown.picture.value
    put(shown, block=(1, 0, 0))
    assert shown.at.warp == 0
    assert shown.picture.value != before
    put(shown, warp=1)
    assert "4 lanes" in shown.picture.value, "100 items leave four for the last warp"
    put(shown, block=(0, 0, 0))
    assert shown.at.warp == 1, "the warp stays where the block has one"
    assert repr(shown.trace) == "<add, 2 blocks of 64 threads: 12 requests, 39 sectors, found nothing>"


def test_findings_are_read_with_the_word_that_says_which_they_are():
    a = numpy.zeros(128, numpy.float32)
    shown = KernelTracer.of(racing, 1, 64, a, a[:64].copy())
    assert "Error, race</b>: Thread" in shown.findings.value
    assert "Cost, uncoalesced</b>" in shown.findings.value
    assert shown.findings.value.count("<li>") == len(shown.trace.findings)


def test_a_clean_kernel_an_idle_one_and_one_over_the_limits_say_so(shown):
    assert "no sector moved for nothing" in shown.findings.value
    a = numpy.zeros(65, numpy.float32)
    shifted = KernelTracer.of(ahead, 1, 64, a, a.copy())
    assert "5 sectors where 4 would do" in shifted.announcer.value
    assert "2 of 18 sectors could be saved" in shifted.findings.value
    nothing = KernelTracer.of(idle, 1, 32, numpy.zeros(4))
    assert "idle touched no memory" in nothing.findings.value
    large = KernelTracer.of(add, 1, 2048, *(numpy.zeros(4),) * 3)
    assert "at most 1024" in large.findings.value
    assert nothing.controls == large.controls == {}
    assert nothing.picture.value == large.picture.value == ""


def test_what_cannot_be_traced_is_one_sentence():
    for shown, said in (
        (KernelTracer.of(untraceable, 1, 32, 1), "tracer does not know"),
        (KernelTracer.of(add, "<b>", 32, *(numpy.zeros(4),) * 3), "grid"),
    ):
        assert isinstance(shown, ipywidgets.HTML)
        assert said in shown.value
        assert shown.value.count("<") == 2, "no markup of the kernel's own"

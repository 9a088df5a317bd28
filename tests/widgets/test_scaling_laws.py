"""The widget of lesson 01 without a browser: sliders draw, the fit is the model's, no curve has a reason."""

import re

import pytest

from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, NoCurve
from hpclab.results import Origin, Result
from hpclab.widgets.scaling_laws import ScalingLaws


def made(law, origin, counts, along, cores=2):
    weak = isinstance(law, Gustafson)
    return [
        Result(
            "measure speedup", "makespan", (1 + 0.01 * k) * float((n if weak else 1) / law.speedup(n)),
            origin, repeat=k, parameters={along: n, "work": "w", "scaling": "weak" if weak else "strong"},
            environment={"cores": cores}, condition="stated" if origin is Origin.EMULATED else "",
        )
        for n in counts for k in range(2)
    ]  # fmt: skip


@pytest.fixture
def laws():
    processes = made(USL(0.07, 0.004), Origin.EMULATED, (1, 2, 3, 4, 6), "processes")
    processes += made(Amdahl(0.5), Origin.MEASURED, (1, 2, 3, 4, 6), "processes")
    return ScalingLaws(
        {
            "primes": processes,
            "triad": made(Amdahl(0.5), Origin.MEASURED, (1, 2), "threads"),
            "grown": made(Gustafson(0.2), Origin.MEASURED, (1, 2, 4), "threads", cores=4),
        }
    )


def test_the_fit_is_the_models_and_the_sliders_go_there(laws):
    laws.law.value = "USL"
    found = laws.fit()
    assert isinstance(found, Fit)
    assert "emulated points" in laws.note.value
    assert "Emulated: stated." in laws.note.value
    laws.to_fit.click()
    assert laws.sliders["USL", "contention"].value == pytest.approx(0.07, abs=0.01)
    assert laws.sliders["USL", "coherency"].value == pytest.approx(0.004, abs=0.001)
    assert [slider.description for slider in laws._row.children[:-1]] == ["Contention σ", "Coherency κ"]


def test_a_fit_moves_the_slider_to_a_whole_step_as_the_page_shows_it(laws):
    laws.to_fit.click()
    slider, serial = laws.sliders["Amdahl", "serial"], laws.fit().law.serial
    assert abs(slider.value - serial) <= slider.step / 2
    assert slider.value / slider.step == pytest.approx(round(slider.value / slider.step))


def test_a_slider_changes_the_curve_and_not_the_axes(laws):
    def ticks():
        return re.findall(r">(\d+)</text>", laws.picture.value)

    before, axes = laws.picture.value, ticks()
    laws.sliders["Amdahl", "serial"].value = 0.5
    assert laws.picture.value != before
    assert "s = 0.5: 1.88× on 16 processes" in laws.picture.value
    assert ticks() == axes
    laws.axis.value = 64
    assert ticks() != axes
    laws.axis.value = 1024
    laws.sliders["Amdahl", "serial"].value = 0
    assert "s = 0: 1024× on 1024 processes" in laws.picture.value


def test_no_curve_comes_with_its_reason(laws):
    laws.run.value = "triad"
    assert isinstance(laws.fit(), NoCurve)
    assert "no curve from 1, 2 alone" in laws.note.value
    assert laws.to_fit.disabled
    laws.law.value = "Gustafson"
    assert "work that grows" in laws.note.value
    laws.run.value = "grown"
    assert laws.fit().law.serial == pytest.approx(0.2, abs=0.01)
    assert not laws.to_fit.disabled


@pytest.mark.parametrize("runs", [{}, {"x": []}, {"x": [Result("e", "cpu", 1.0, Origin.MEASURED)]}])
def test_runs_that_hold_nothing_are_refused(runs):
    with pytest.raises(ValueError, match="measure"):
        ScalingLaws(runs)

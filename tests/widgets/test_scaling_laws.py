"""The widget of lesson 01 without a browser: sliders draw, the fit is the model's, no curve has a reason."""

import pytest

from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, NoCurve
from hpclab.results import Origin, Result
from hpclab.widgets.scaling_laws import ScalingLaws
from tests.models.makespans import makespans, of_law
from tests.widgets.conftest import put

pytestmark = pytest.mark.slow


def made(law, counts, origin=Origin.MEASURED, along="threads", scaling="strong", **more):
    return makespans(of_law(law, counts, spread=0.01), origin, along, scaling=scaling, **more)


@pytest.fixture
def laws():
    processes = made(USL(0.07, 0.004), (1, 2, 3, 4, 6), Origin.EMULATED, "processes")
    processes += made(Amdahl(0.513), (1, 2, 3, 4, 6), along="processes", cores=8)
    grown = made(Gustafson(0.2), (1, 2, 4), scaling="weak")
    return ScalingLaws({"primes": processes, "triad": made(Amdahl(0.5), (1, 2)), "grown": grown})


@pytest.mark.parametrize(
    ("law", "sliders"), [("Amdahl", ["Serial share s"]), ("USL", ["Contention σ", "Coherency κ"])]
)
def test_each_law_has_its_sliders_and_the_fit_moves_them_to_whole_steps(laws, law, sliders):
    put(laws, law=law)
    on_the_page = [one.description for one in laws.sliders.values() if one.layout.display != "none"]
    assert on_the_page == sliders
    found = laws.fit()
    assert isinstance(found, Fit)
    laws.to_fit.click()
    for name in found.law.parameters:
        slider = laws.sliders[law, name]
        assert abs(slider.value - getattr(found.law, name)) <= slider.step / 2
        assert slider.value / slider.step == pytest.approx(round(slider.value / slider.step))
        assert f"= {slider.value:.3g}" in laws.announcer.value


def test_a_slider_moves_the_curve_and_not_the_points(laws):
    shown = laws.shown
    laws.sliders["Amdahl", "serial"].value = 0.5
    assert laws.shown is shown
    assert "s = 0.5: 1.88× on 16 processes" in laws.announcer.value
    put(laws, most=1024)
    assert laws.shown is not shown
    laws.sliders["Amdahl", "serial"].value = 0
    assert "s = 0: 1024× on 1024 processes" in laws.announcer.value


def test_no_curve_comes_with_its_reason(laws):
    put(laws, run="triad")
    assert isinstance(laws.fit(), NoCurve)
    assert "no curve from 1, 2 alone" in laws.announcer.value
    assert laws.to_fit.disabled
    put(laws, law="Gustafson")
    assert "work that grows" in laws.note.value
    put(laws, run="grown")
    assert laws.fit().law.serial == pytest.approx(0.2, abs=0.01)
    assert not laws.to_fit.disabled


@pytest.mark.parametrize("runs", [{}, {"x": []}, {"x": [Result("e", "cpu", 1.0, Origin.MEASURED)]}])
def test_runs_that_hold_nothing_are_refused(runs):
    with pytest.raises(ValueError, match="measure"):
        ScalingLaws(runs)

"""A training step's constants come from the shipped rows, and sources that were left out are predicted too.

`pytest -s` on this file prints every refit. All that is fitted is `layer_kernels.Fitted`.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache

import numpy
import pytest
from scipy.optimize import least_squares

from hpclab.models.layer_kernels import FITTED, Fitted
from hpclab.models.training_step import predict
from hpclab.validation import predictions, training_rows
from hpclab.validation.score import Observation

pytestmark = pytest.mark.slow

PLAUSIBLE = {  # what each can be, whatever the rows say
    "sustained": (0.6, 1.0),  # nobody holds more than the best rate that was ever measured
    "hopper": (0.6, 1.0),
    "streamed": (0.4, 1.0),  # dropout draws random numbers, norms sum over rows; a copy does neither
    "launch": (5e-6, 100e-6),  # a launch is 5 µs in C++; Python, autograd and a profiler multiply it
    "gap": (1e-6, 15e-6),  # 2.5 µs between empty kernels of a queue, and little ones that are not listed
    "misaligned": (0.1, 1.0),  # 2 of 16 bytes at a time, or no difference
}
START = Fitted(sustained=0.9, hopper=0.9, streamed=0.7, launch=40e-6, gap=5e-6, misaligned=0.5)
SOURCES = {  # every how manieth row a fit takes; the mean error that is allowed when it takes none
    "llm_foundry": (4, 0.08), "dgxc_v25_02": (1, 0.15), "megatron_sc21": (1, 0.05),
    "megatron_2020": (1, 0.09), "korthikanti_tab5": (1, 0.07), "bigscience_tr11": (4, 0.11),
    "vtrain_single": (24, 0.3),  # nothing else is bound by its host, so nothing else knows `launch`
}  # fmt: skip


@cache
def rows() -> dict[str, list[Observation]]:
    """By source, those that say enough."""
    tables = [training_rows.read(predictions.load(path)) for path in predictions.shipped("train")]
    enough = [one for table in tables for one in table if isinstance(one.case, training_rows.Case)]
    return {name: [one for one in enough if one.row.text("source") == name] for name in SOURCES}


def error(one: Observation, fitted: Fitted) -> float:
    case = one.case
    seconds = predict(case.model, case.plan, case.cluster, case.software, fitted).seconds
    return (seconds if one.unit == "s" else case.tokens / seconds) / one.value - 1


def mean_error(ones: Sequence[Observation], fitted: Fitted) -> float:
    return float(numpy.mean([abs(error(one, fitted)) for one in ones]))


@cache
def refit(without: str = "") -> Fitted:
    """The constants with the smallest relative errors; each source has one vote, and odd rows a small one."""
    groups = [rows()[name][::step] for name, (step, _) in SOURCES.items() if name != without]
    scale = numpy.array(list(asdict(START).values()))
    bounds = numpy.array(list(PLAUSIBLE.values())).T / scale

    def errors(parts: numpy.ndarray) -> numpy.ndarray:
        fitted = Fitted(*(parts * scale).tolist())
        return numpy.array([error(one, fitted) / len(ones) ** 0.5 for ones in groups for one in ones])

    found = least_squares(errors, numpy.ones(len(scale)), bounds=bounds, loss="soft_l1", f_scale=0.03,
                          diff_step=1e-3, max_nfev=12)  # fmt: skip
    return Fitted(*(found.x * scale).tolist())


def test_the_shipped_constants_are_few_plausible_and_the_fitted_ones():
    assert list(asdict(FITTED)) == list(PLAUSIBLE)
    assert len(PLAUSIBLE) <= 8
    assert all(low <= asdict(FITTED)[name] <= high for name, (low, high) in PLAUSIBLE.items())
    for name, value in asdict(FITTED).items():
        other = replace(FITTED, **{name: 0.8 * value})
        assert any(error(one, other) != error(one, FITTED) for ones in rows().values() for one in ones), name
    found = refit()
    here, best = ([mean_error(ones, fitted) for ones in rows().values()] for fitted in (FITTED, found))
    print("\n", found, dict(zip(rows(), zip(here, best, strict=True), strict=True)))
    assert numpy.mean(here) <= numpy.mean(best) + 0.01
    for name, value in asdict(found).items():
        assert asdict(FITTED)[name] == pytest.approx(value, rel=0.5 if name == "gap" else 0.2)


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_that_is_left_out_is_predicted_from_the_others(source):
    found = refit(source)
    assert found != refit(), "its rows were among those of the fit"
    if source == "dgxc_v25_02":  # nothing else ran on an H100
        found = replace(found, hopper=found.sustained)
    left = mean_error(rows()[source], found)
    print(f"\n{source}: {len(rows()[source])} rows, {left:.3f} from {found}")
    assert left < SOURCES[source][1]

"""The laws of speedup fitted to what an experiment measured."""

from collections.abc import Sequence

from hpclab import checks
from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, Law, NoCurve, fit_times
from hpclab.quality import doubt
from hpclab.results import Origin, Result

Calibration = dict[str, Fit | NoCurve]
"""Each law by its name, or why it has no curve."""


def fit(results: Sequence[Result], along: str) -> Calibration:
    """Each law by name, fitted to makespans `along` "threads" or "processes", or why there is no curve.

    Amdahl and USL take strong scaling, Gustafson weak scaling.
    """
    fits: Calibration = {}
    results = checks.instances("results", results, Result)
    strong, weak = ("strong", "a fixed amount of work"), ("weak", "work that grows")
    for law, (scaling, work) in ((Amdahl, strong), (Gustafson, weak), (USL, strong)):
        chosen = [result for result in results if result.parameters.get("scaling") == scaling]
        none = f"{law.name}: no curve, for it is about {work} ({scaling} scaling); none was measured."
        fits[law.name] = fit_law(law, chosen, along) if chosen else NoCurve(none)
    return fits


def fit_law(law: type[Law], results: Sequence[Result], along: str) -> Fit | NoCurve:
    """Fit `law` to the measured makespans, with no more threads, processes or nodes (`along`) than cores
    where they share these; or to the emulated ones where those give no curve. Where the measured ones are in
    doubt there is no curve through the emulated ones either: they have the pauses of the same runs."""
    if doubt(results):
        return fit_times(law, results, along)  # says why there is none
    emulated = [result for result in results if result.origin is Origin.EMULATED]
    measured = [
        result for result in results if result.origin is not Origin.EMULATED
        and (not result.environment.get("shared", True)
             or result.parameters.get(along, 0) <= result.environment.get("cores", 1e9))
    ]  # fmt: skip
    found = fit_times(law, measured, along)
    return fit_times(law, emulated, along) if isinstance(found, NoCurve) and emulated else found

"""The laws of speedup fitted to what an experiment measured, and what they say of more workers than that."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpclab import checks
from hpclab.machine import Machine
from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, Law, NoCurve, fit_times
from hpclab.quality import doubt
from hpclab.results import Origin, Result, Results

AT = (1, 2, 4, 8, 16, 32, 64)  # workers, where nobody says which
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
    """One law through the makespans measured on no more than the cores there were, where they share them;
    through the emulated ones where those identify no law. Where the measured ones are in doubt there is no
    curve through the emulated ones either: they have the pauses of the same runs."""
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


def predict(
    machine: Machine | None, calibration: Mapping[str, Fit | NoCurve], along: str, experiment: str,
    at: Sequence[int] = AT, **settings: object,
) -> Results:  # fmt: skip
    """The speedup that each fitted law gives `at` so many workers `along` the experiment's parameter.

    The workers are processes or threads of `machine`, where more than its cores are worth no more than its
    cores; with None each has a core of its own. `settings` are further parameters of the Results.
    """
    cores = checks.instance("machine", machine, Machine).cores.whole if machine is not None else 4096
    asked = checks.integers(f"number of {along}", at, 1, 4096)
    checks.instance("calibration", calibration, Mapping, "what fit() returned")
    results = Results()
    for law in calibration.values():
        if isinstance(law, Fit):
            said = law.predict([min(count, cores) for count in asked], experiment, along)
            results += [
                replace(one, parameters={along: count, **settings})
                for count, one in zip(asked, said, strict=True)
            ]
    return results

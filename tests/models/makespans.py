"""Makespans in seconds, or as a law has them, for the tests of what fits, compares and draws them."""

from hpclab.models.scaling import Gustafson
from hpclab.results import Result


def makespans(times, origin="measured", along="nodes", cores=4, **parameters):
    """A Result for each of `times`: lists of seconds by count, one value a repeat."""
    return [
        Result(
            "e", "makespan", value, origin, repeat=repeat, parameters={along: n, **parameters},
            condition="stated" if origin == "emulated" else "", environment={"cores": cores},
        )
        for n, values in times.items() for repeat, value in enumerate(values)
    ]  # fmt: skip


def of_law(law, counts, repeats=2, spread=0.0):
    """Seconds by count, each repeat a little longer; of work that grows where the law is Gustafson's."""
    work = {n: n if isinstance(law, Gustafson) else 1 for n in counts}
    return {n: [(1 + spread * k) * float(work[n] / law.speedup(n)) for k in range(repeats)] for n in counts}

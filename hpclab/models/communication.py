"""`predict`: what a message or a collective takes on a place; what lessons show and `hpclab validate` scores.

A place is GPUs that NCCL joins (`nccl.Job`), processes that MPI joins (`mpi.Fabric`), or the straight line
through what was measured here (`latency_bandwidth.Line`). `collectives.simulate` is beside it: what a
schedule costs on links alone, and the same on the large end, where a library's calls and copies no longer
count.
"""

from hpclab import checks
from hpclab.models import mpi, nccl
from hpclab.models.latency_bandwidth import Line
from hpclab.models.mpi import Fabric
from hpclab.models.nccl import Answer, Job

Place = Job | Fabric | Line


def predict(what: str, size: float, place: Place) -> Answer:
    """Seconds of `what` (a collective, or one of `mpi.TESTS`) of `size` bytes on `place`, and how it is done.

    `size` is what the field quotes (nccl-tests: the whole vector; of an all-to-all what one rank sends
    altogether). The library chooses the algorithm.
    """
    size = checks.number("size", size, 0, 2**60, "bytes")
    if isinstance(place, Line):
        return Answer(float(place.time(size)), "the line measured here")
    if isinstance(place, Job):
        return nccl.predict(what, size, place)
    return mpi.predict(what, size, checks.instance("place", place, Fabric, "a Job, a Fabric or a Line"))

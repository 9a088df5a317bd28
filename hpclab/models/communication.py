"""`predict`: what a message or a collective takes on a place; what lessons show and `hpclab validate` scores.

`schedule_time.simulate` says what a schedule costs on links alone, and the same for large messages, where a
library's calls and copies no longer count.
"""

from hpclab import checks
from hpclab.models import mpi, nccl
from hpclab.models.formulas import Answer
from hpclab.models.latency_bandwidth import Line
from hpclab.models.mpi import Fabric
from hpclab.models.nccl import Job

Place = Job | Fabric | Line
"""GPUs that NCCL joins, processes that MPI joins, or the straight line through what was measured here."""


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

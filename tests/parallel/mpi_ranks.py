"""The same through MPI: mpiexec -n 5 python -m mpi4py mpi_ranks.py runs every algorithm on 1 to 5 ranks.

Rank 0 prints what went wrong on any, and "checked 5".
"""

import runpy
import sys
from pathlib import Path

from mpi4py import MPI

from hpclab.parallel.transports import MpiTransport

check_on_rank = runpy.run_path(str(Path(__file__).parents[1] / "schedules" / "meaning.py"))["check_on_rank"]


def main():
    world, found = MPI.COMM_WORLD, []
    for larger in range(world.size, world.size // 2, -1):
        transport = MpiTransport(world.Split(world.rank < larger, world.rank))
        check_on_rank(transport, lambda array: array, found.append)
    told = world.gather(found)
    if told is not None:
        print("\n".join([line for each in told for line in each] + [f"checked {world.size}"]), flush=True)
    return 1 if told is not None and any(told) else 0


sys.exit(main())

"""The same through MPI: mpiexec -n 5 python -m mpi4py mpi_ranks.py runs every algorithm on 1 to 5 ranks."""

import runpy
from pathlib import Path

from mpi4py import MPI

from hpclab.parallel.execution import MpiTransport

check_on_rank = runpy.run_path(str(Path(__file__).parents[1] / "schedules" / "meaning.py"))["check_on_rank"]
world, found = MPI.COMM_WORLD, []
assert world.size == 5
for larger in range(world.size, world.size // 2, -1):
    transport = MpiTransport(world.Split(world.rank < larger, world.rank))
    check_on_rank(transport, lambda array: array, found.append)
assert not found, found

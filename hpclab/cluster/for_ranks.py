"""A pool for a lesson's ranks: as many as fit here, and this machine's processes where the queue is long."""

from hpclab import checks
from hpclab.cluster.errors import BatchError, JoinError
from hpclab.cluster.pool import Pool
from hpclab.machine import capability, probe

SMALL = 4e9  # bytes: with less, JupyterLab, a kernel and four ranks with torch take nearly all memory


def pool_for(ranks: int = 4, *, replaces: Pool | None = None) -> Pool:
    """A Pool of `ranks` nodes, or of 2 where memory is under 4 GB or what is free now does not hold more.

    Where some nodes of Slurm do not join in a minute, 2 that did are taken. Where there are no
    two, or the site takes no job, has no place for a pool's files, or a setting that cannot be used, the
    ranks are processes of this machine. The reason is printed; `pool.label` says what they are. A pool that
    it `replaces`, because a cell is run again, is closed first, so that its nodes are free.
    """
    if replaces is not None:
        replaces.close()
    wanted = checks.integer("ranks", ranks, 1, 1024)
    machine = probe()
    enough = machine.memory.usable >= SMALL and capability.ranks(machine) >= wanted
    fitting = wanted if enough else min(2, wanted)
    try:
        return _scaled_pool(fitting)
    except (JoinError, BatchError, OSError, ValueError) as waiting:  # the arguments are right: it is the site
        print(f"{waiting}\nGoing on with this machine's processes.")
        return Pool(nodes=fitting, backend="local")


def _scaled_pool(ranks: int) -> Pool:
    """A Pool of `ranks` nodes, or of 2 where not all of them join; JoinError where fewer than 2 do."""
    pool = Pool(nodes=0)
    try:
        try:
            pool.scale(ranks)
        except JoinError as waiting:
            if pool.nodes < 2:
                raise
            print(f"{waiting}\nGoing on with 2 of them.")
            pool.scale(2)
    except BaseException:
        pool.close()
        raise
    return pool

"""Errors and warnings of pools; each is one sentence that names the cause and the next step."""


class PoolError(RuntimeError):
    """Something went wrong in a pool."""


class PoolBusy(PoolError):
    """The pool does one thing at a time, and is doing another one now."""


class PoolClosed(PoolError):
    """The pool has been closed."""


class JoinError(PoolError):
    """Nodes that were asked for did not join; says in which state their jobs were and why."""


class Cancelled(PoolError):
    """The operation was ended by `pool.cancel()`."""


class TaskExit(PoolError):
    """A task called sys.exit(), or interrupted itself, instead of returning a value."""


class NodeKilled(PoolError):
    """A task ended the node it ran on, every time it was tried; `item` is the index of its item."""

    def __init__(self, message: str, item: int):
        super().__init__(message)
        self.item = item


class RankError(PoolError):
    """A rank of a gang failed; `rank` is the guilty one, or None where no single rank is to blame."""

    def __init__(self, message: str, rank: int | None = None):
        super().__init__(message)
        self.rank = rank


class BatchError(RuntimeError):
    """A request to a batch system failed; the message quotes its error output, if there is any."""


class BatchMissing(BatchError):
    """There is no such batch system on this machine and none can be started."""


class NodeLost(UserWarning):
    """A node went away and is being replaced; finished work is kept, its unfinished task is run again."""


class SlowRank(UserWarning):
    """A rank keeps the others waiting in a collective, but is alive and working."""

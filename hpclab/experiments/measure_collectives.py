"""The experiment of lesson 06: what a message costs, by size, number of ranks and library."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpclab import checks, schedules
from hpclab.cluster.pool import Pool
from hpclab.cluster.slurm import Slurm
from hpclab.experiments.experiment import Experiment, Points, Progress, counts, environment
from hpclab.models import latency_bandwidth
from hpclab.models.latency_bandwidth import Line
from hpclab.models.scaling import NoCurve
from hpclab.parallel import mpi_launch, sweep
from hpclab.quality import doubt
from hpclab.results import Result, new_run_id, select
from hpclab.timing import Sample

LIBRARIES = ("gloo", "nccl", "mpi")
KINDS = (*schedules.COLLECTIVES, *sweep.TWO_RANKS)
SIZES = tuple(4**power for power in range(2, 13))  # 16 B to 16 MiB
_WARMUP = 2  # repeats that are not counted


@dataclass(frozen=True)
class MeasureCollective(Experiment):
    """A sweep of `collective` over message `sizes` in bytes and numbers of `ranks`.

    `collective` is one of schedules.COLLECTIVES; or "ping_pong", of which half a round trip is the time, as
    in osu_latency; or "stream", messages of one direction back to back, as in osu_bw: both on two ranks.
    `library` carries it: "gloo" and "nccl" through torch.distributed, "mpi" through mpi4py. With an
    `algorithm` (see schedules.ALGORITHMS) it is not the library's own collective but a schedule executed over
    its sends and receives. Sizes are what nccl-tests means by them: the whole vector, gathered or cut.
    `timeout` in seconds is that of one collective, for MPI of the whole sweep on one number of ranks.
    """

    NAME = "measure collectives"
    collective: str = checks.field(checks.choice, "all_reduce", allowed=KINDS)
    sizes: tuple[int, ...] = checks.field(counts, SIZES, low=1, high=2**34)
    ranks: tuple[int, ...] = checks.field(counts, (2,), low=2, high=1024)
    library: str = checks.field(checks.choice, "gloo", allowed=LIBRARIES)
    algorithm: str = ""
    ranks_per_node: int | None = None
    repeats: int = checks.field(checks.integer, 7, low=1, high=1000)
    timeout: float = checks.field(checks.number, 60.0, low=0.5, high=86400, unit="seconds")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collective in sweep.TWO_RANKS and (self.ranks != (2,) or self.algorithm):
            raise ValueError(f"A {self.collective} is between two ranks, ranks=(2,), and has no algorithm.")
        if self.algorithm:  # refuses what does not exist, and a missing ranks_per_node
            schedules.collective(
                self.collective, self.algorithm, self.ranks[0], 1, ranks_per_node=self.ranks_per_node
            )

    def points(self, where: Pool | Slurm | None, report: Progress) -> Points:
        """Yield a "time" in seconds for each number of ranks, size and repeat: of one of several calls, the
        mean over ranks (as nccl-tests and OSU report it). The first call is checked element by element.
        `where` is a Pool of at least max(ranks) nodes for gloo and NCCL; for MPI a Slurm, whose batch job it
        will be, or None for mpiexec on this machine."""
        for done, ranks in enumerate(self.ranks, start=1):
            yield self._results(ranks, *self._run(where, ranks))
            report(f"{ranks} ranks", done, len(self.ranks))

    def fit(self, results: Sequence[Result]) -> dict[int, Line | NoCurve]:
        """Latency and bandwidth (algbw) of this collective, library and algorithm, for each number of ranks,
        or a NoCurve that says why there is none."""
        mine = select(results, "time", **self.settings())
        lines: dict[int, Line | NoCurve] = {}
        for ranks in sorted({result.parameters["ranks"] for result in mine} | set(self.ranks)):
            chosen = [result for result in mine if result.parameters["ranks"] == ranks]
            if why := doubt(chosen):
                lines[ranks] = NoCurve(f"{ranks} ranks: no line, for what was measured is {why}.")
            else:
                sizes, seconds = [one.parameters["bytes"] for one in chosen], [one.value for one in chosen]
                lines[ranks] = latency_bandwidth.fit(sizes, seconds, [one.run for one in chosen])
        return lines

    def settings(self) -> dict[str, str]:
        return {"collective": self.collective, "library": self.library, "algorithm": self.algorithm}

    def _run(self, where: Any, ranks: int) -> tuple[list[list[Any]], dict[str, Any]]:
        """Run the sweep on `ranks` ranks; return what each measured, and the environment of the Results."""
        orders = self.settings() | {
            "sizes": self.sizes, "repeats": self.repeats, "warmup": _WARMUP,
            "ranks_per_node": self.ranks_per_node,
        }  # fmt: skip
        if self.library == "mpi":
            if where is not None and not isinstance(where, Slurm):
                raise ValueError(
                    "MPI runs under mpiexec: here with measure(), as a job with measure(slurm.connect())."
                )
            said = mpi_launch.run(orders, ranks, where, self.timeout)
            label = "this machine" if where is None else f"a job of the {where.kind} Slurm"
            of: dict[str, Any] = {"label": label, "shared": where is None or where.kind == "local"}
            return said["ranks"], environment(library=said["version"], **of)
        if not isinstance(where, Pool):
            raise ValueError(f"{self.library} needs a pool with a node for each rank, not {where!r:.60}.")
        import torch

        found = where.run(sweep.sweep, orders, ranks=ranks, timeout=self.timeout)
        gpu = {"gpu": "by NCCL"} if self.library == "nccl" else {}
        return found, environment(None, where, library=f"torch {torch.__version__}") | gpu

    def _results(self, ranks: int, found: list[list[Any]], where: dict[str, Any]) -> list[Result]:
        run, results = new_run_id(), list[Result]()
        for of_ranks in zip(*found, strict=True):
            size, repeat, *_ = of_ranks[0]
            _, _, seconds, wall, cpu, waited = map(statistics.fmean, zip(*of_ranks, strict=True))
            if self.collective == "ping_pong":
                seconds = of_ranks[0][2] / 2
            elif self.collective == "stream":
                seconds = of_ranks[0][2] / sweep.window(size // sweep.ITEM)
            of = {"run": run, "repeat": repeat, "environment": where | Sample(wall, cpu, waited).facts()}
            results += self.make_results({"time": seconds}, {"ranks": ranks, "bytes": size}, **of)
        return results

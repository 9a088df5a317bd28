"""How long a training job's loader takes for one pass over its samples: a few costs, and who bears them."""

from dataclasses import dataclass

from hpclab import checks


@dataclass(frozen=True)
class Costs:
    """What a loader's parts cost: seconds to open a file, decode a sample, start a worker, hand over a batch;
    B/s of reading."""

    open: float
    bandwidth: float
    decode: float
    start: float = 0.0
    handover: float = 0.0

    def __post_init__(self) -> None:
        for name in ("open", "decode", "start", "handover"):
            checks.number(name, getattr(self, name), 0, 1e6, "seconds")
        checks.number("bandwidth", self.bandwidth, 1e-6, 1e300, "B/s")


def loading_time(
    costs: Costs, *, samples: int, batches: int, opens: int, size: float, workers: int, cores: int
) -> float:
    """Predicted seconds to read `size` bytes in `opens` opens, decode `samples` and hand over `batches`.

    Without workers the training process does all itself. With them a batch costs the worker and the training
    process `costs.handover` each. After the workers' start the longest of three counts: the workers' part, at
    most `cores` of them at once; the training process's part; and both parts, spread evenly over `cores`.
    """
    loading = opens * costs.open + size / costs.bandwidth + samples * costs.decode
    if not workers:
        return loading
    handing = batches * costs.handover
    at_once = max((loading + handing) / min(workers, cores), handing, (loading + 2 * handing) / cores)
    return workers * costs.start + at_once

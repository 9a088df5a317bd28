"""Measured messages as text, in the columns of the field's own programs, so that lines can be compared.

Times are medians over repeats; each table is about one library, collective and number of ranks.
"""

import statistics
from collections.abc import Sequence

from hpclab.models.formulas import FORMULAS, Case, bus_factor, in_network
from hpclab.models.presets import PRESETS
from hpclab.parallel.sweep import ITEM, TWO_RANKS
from hpclab.results import Result, select
from hpclab.units import format_bytes, format_seconds
from hpclab.validation import predictions


def medians(results: Sequence[Result]) -> dict[int, float]:
    """The median time, in seconds, by bytes. ValueError where `results` are not all of one kind."""
    chosen, names = select(results, "time"), ("collective", "library", "algorithm", "ranks")
    kinds = {(result.origin, *(result.parameters.get(name) for name in names)) for result in chosen}
    if not all("bytes" in result.parameters for result in chosen):
        raise ValueError("A table holds times of messages with their bytes, as MeasureCollective gives them.")
    if len(kinds) != 1:
        one = "messages of one library, collective, algorithm and number of ranks"
        raise ValueError(f"A table holds {one}, not {len(kinds)} kinds.")
    sizes = sorted({result.parameters["bytes"] for result in chosen})
    return {size: statistics.median(result.value for result in select(chosen, bytes=size)) for size in sizes}


def nccl_table(results: Sequence[Result]) -> str:
    """A table as nccl-tests prints it: time in microseconds, algbw and busbw in GB/s (10^9), by size. What is
    not measured (in place or out of place) is N/A; `#wrong` is 0, for a wrong first call raises."""
    times = medians(results)
    collective, ranks, algorithm = (
        results[0].parameters[name] for name in ("collective", "ranks", "algorithm")
    )
    redop = "sum" if collective in ("reduce", "all_reduce", "reduce_scatter") else "none"
    root = 0 if collective in ("broadcast", "reduce") else -1
    in_place = bool(algorithm) or collective in ("broadcast", "reduce", "all_reduce")
    factor = 1.0 if collective in TWO_RANKS else bus_factor(collective, ranks)  # doc/PERFORMANCE.md
    head = f"{'time':>8}{'algbw':>8}{'busbw':>8}{'#wrong':>7}"
    units = f"{'(us)':>8}{'(GB/s)':>8}{'(GB/s)':>8}{'':>7}"
    lines = [
        f"#{'':51}{'out-of-place':^31}{'in-place':^31}".rstrip(),
        f"#{'size':>12}{'count':>14}{'type':>10}{'redop':>8}{'root':>8}{head}{head}",
        f"#{'(B)':>12}{'(elements)':>14}{'':26}{units}{units}".rstrip(),
    ]
    for size, seconds in times.items():
        micros = seconds * 1e6  # in four or five digits, as nccl-tests rounds
        algbw = size / seconds / 1e9
        measured = f"{micros:>8.{2 if micros < 1000 else 1 if micros < 100_000 else 0}f}"
        measured += f"{algbw:>8.2f}{factor * algbw:>8.2f}{0:>7}"
        other = f"{'N/A':>8}{'N/A':>8}{'N/A':>8}{'N/A':>7}"
        columns = other + measured if in_place else measured + other
        lines.append(f" {size:>12}{size // ITEM:>14}{'float':>10}{redop:>8}{root:>8}{columns}")
    return "\n".join(lines) + "\n"


def osu_table(results: Sequence[Result]) -> str:
    """A table as the OSU micro-benchmarks print it, two columns: osu_latency for a ping_pong, osu_bw for a
    stream (MB/s of 10^6 bytes), the average latency for a collective; microseconds."""
    times = medians(results)
    collective = results[0].parameters["collective"]
    unit = {"stream": "Bandwidth (MB/s)", "ping_pong": "Latency (us)"}.get(collective, "Avg Latency(us)")
    lines = [f"{'# Size':<10}{unit:>20}"]
    for size, seconds in times.items():
        value = size / seconds / 1e6 if collective == "stream" else seconds * 1e6
        lines.append(f"{size:<10}{value:>20.2f}")
    return "\n".join(lines) + "\n"


def nvls_table() -> str:
    """A table of the busbw of an 8 GiB all-reduce on H200s of one node, by rings and with the NVSwitch adding
    (NVLS): as published (Bekman, Machine Learning Engineering) and, in brackets, by the model."""
    said: dict[str, str] = {}
    for one in predictions.predict(predictions.shipped("nccl_peak")[0]):
        row = one.observation.row
        if "all_reduce busbw 8GiB" in row.text("measurement") and "H200" in row.text("link") and one.value:
            both = f"{row.text('nccl_algo'):4} {one.observation.value / 1e9:5.1f} ({one.value / 1e9:5.1f})   "
            said[row.text("gpus")] = both + said.get(row.text("gpus"), "")
    head = "busbw, GB/s: published (modelled); one GPU's NVLinks are sold as 450"
    return "\n".join([head, *(f"{gpus} GPUs   {both}" for gpus, both in said.items())])


def switches_table(machine: str, size: float) -> str:
    """A table of the modelled time of an all-reduce of `size` bytes by a ring and by switches that add at
    line rate; `machine` is one of MPI's in `models.presets`."""
    lines = [f"{format_bytes(size)} on {machine}, modelled"]
    for ranks in (8, 64, 256):
        case = Case(ranks, size, PRESETS[machine].place(ranks).one_way)  # type: ignore[union-attr]
        ring = format_seconds(FORMULAS["all_reduce", "ring"](case))
        lines.append(f"{ranks:3} nodes   ring {ring}   switches that add {format_seconds(in_network(case))}")
    return "\n".join(lines)

"""How long a matrix product takes on a GPU's matrix units, as a function of its shape.

The library cuts the result into tiles, one for each block of threads; as many tiles as there are
multiprocessors run at once, a wave. A tile larger than what is left at the border works for nothing (tile
quantisation), and so does a last wave that is not full (wave quantisation); a small tile
reads more bytes for an operation, and the last cache limits that; every tile waits for memory at first and
writes at last, which a long k (the summed dimension) hides; with few tiles and a long k the sum is split over
multiprocessors; rows that are no multiple of 16 bytes keep the units from loading whole words. NVIDIA, Matrix
Multiplication Background User's Guide; CUTLASS, Efficient GEMM in CUDA.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil, gcd, log2

from hpclab.models.device import Device, typical
from hpclab.models.plan import PRECISIONS

TILES = ((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64))
SPLITS = (1, 2, 4, 8, 16)
TURNS = 8  # memory latencies of a tile beside its products: its pipeline of loads fills, its result leaves
MISALIGNED = 0.38  # share of the rate where rows are a multiple of only 2 bytes (layer_kernels.Fitted)


@dataclass(frozen=True)
class Units:
    """What a product needs of a device: FLOP/s of all `multiprocessors`, bytes/s of memory and of the last
    cache, seconds of memory's `latency` and of a `launch`, and `element`, the bytes of a matrix element."""

    rate: float
    bandwidth: float
    cache: float
    latency: float
    multiprocessors: int
    element: int
    launch: float
    misaligned: float  # share of the rate where rows are a multiple of only 2 bytes
    plain: float  # FLOP/s without matrix units


def units(device: Device, precision: str, sustained: float = 1.0, misaligned: float = MISALIGNED) -> Units:
    """The Units of `device` for products in `precision`, at `sustained` times the best rate that a search
    over shapes reached (`Roof.rate`)."""
    name = "bf16" if precision == "fp16" and "bf16" in device.precisions else precision
    roof = device.roof(name)
    cache_bandwidth = device.cache_bandwidth or roof.bandwidth * typical("cache over stream bandwidth")
    return Units(
        roof.rate * sustained, roof.bandwidth, cache_bandwidth, device.latency or typical("memory latency"),
        device.multiprocessors or 100, PRECISIONS.get(precision, 4), device.launch_overhead, misaligned,
        device.roof("fp32", "peak").rate,
    )  # fmt: skip


def aligned(n: int, k: int, element: int) -> float:
    """1 where rows of n and k elements are multiples of 16 bytes, 0 where of 2, by powers of two between;
    −1/3 for single bytes."""
    return log2(gcd(n * element, k * element, 16) / 2) / 3


@cache
def seconds(m: int, n: int, k: int, unit: Units, batch: int = 1, result: int = 2) -> float:
    """Predicted seconds of `batch` products of an (m, k) by a (k, n) matrix on `unit`, a device's Units.

    The best of TILES and SPLITS counts. `result` is the bytes that are written, or read and written, for each
    element of the result.
    """
    per = unit.multiprocessors
    rate, cached = unit.rate / per, unit.cache / per
    share = aligned(n, k, unit.element)
    rate = unit.plain / per if batch > 1 and share < 1 else rate * unit.misaligned ** (1 - share)
    moved = batch * (unit.element * (m * k + k * n) + result * m * n) / unit.bandwidth
    best = float("inf")
    for tall, wide in TILES:
        tiles = batch * ceil(m / tall) * ceil(n / wide)
        step = max(2 * tall * wide / rate, (tall + wide) * unit.element / cached)
        ramp = TURNS * unit.latency + tall * wide * result / cached
        for split in SPLITS:
            if split > 1 and (tiles >= per or k < 256 * split):
                break
            added = 8 * batch * m * n * split / unit.bandwidth if split > 1 else 0.0
            waves = ceil(tiles * split / per)
            best = min(best, waves * (ceil(k / split) * step + ramp) + added)
    return unit.launch + max(best, moved)

"""The roofline against hand-worked cases and the occupancy sweeps that others published."""

import statistics
from dataclasses import replace

import pytest

from hpclab.models.device import Device, from_catalogue, typical
from hpclab.models.roofline import Launch, Work, predict
from hpclab.results import Origin

# GB/s of reading 8 bytes, of scaling (8 + 8) and of the triad (16 + 8) with two blocks of so many threads
# on a multiprocessor: Ernst, gpu-benches, gpu-stream/{v100,a100_40,a100_80,h100_pcie,h200}.txt @1c36d509ee71.
STREAM = {
    "v100-16gb": {32: (72, 128, 180), 128: (262, 423, 545), 256: (490, 673, 765), 512: (746, 784, 800),
                  1024: (866, 802, 814)},
    "a100-40gb": {32: (81, 151, 210), 128: (304, 548, 743), 256: (579, 954, 1231), 512: (1042, 1338, 1359),
                  1024: (1490, 1381, 1360)},
    "a100-80gb": {32: (85, 157, 221), 128: (325, 581, 799), 256: (619, 1026, 1372), 512: (1122, 1577, 1659),
                  1024: (1769, 1732, 1759)},
    "h100-pcie-80gb": {32: (96, 183, 254), 128: (368, 607, 821), 256: (702, 1037, 1399),
                       512: (1261, 1583, 1675), 1024: (1942, 1704, 1832)},
    "h200-141gb": {32: (123, 240, 334), 128: (485, 852, 1129), 256: (935, 1395, 1905),
                   512: (1707, 2263, 2919), 1024: (2756, 3165, 3534)},
}  # fmt: skip


def test_published_bandwidth_against_occupancy():
    errors, cases = [], []
    for name, rows in STREAM.items():
        device = from_catalogue(name)
        for threads, measured in rows.items():
            for moved, bandwidth in zip((8, 16, 24), measured, strict=True):
                launch = Launch(2 * device.multiprocessors, threads, in_flight=moved)  # two blocks on each
                found = predict(Work(1e12, 1e9), device, launch)
                errors.append(found.bandwidth / (bandwidth * 1e9) - 1)
                cases.append((threads, moved, found.bound))
    assert statistics.mean(map(abs, errors)) < 0.08
    assert max(map(abs, errors)) < 0.3
    full = [error for (threads, *_), error in zip(cases, errors, strict=True) if threads == 1024]
    assert abs(statistics.mean(full)) < 0.03  # no lean where nearly all kernels are
    assert {bound for threads, _, bound in cases if threads == 32} == {"latency"}
    assert {bound for threads, moved, bound in cases if (threads, moved) == (1024, 24)} == {"memory"}


def test_hand_worked():
    device = Device(
        "x", Origin.MEASURED, reached_bandwidth=1e12, reached={"fp32": 1e13}, launch_overhead=1e-6
    )
    roof = device.roof("fp32")
    assert roof.ridge == 10.0  # 1e13 FLOP/s / 1e12 B/s
    slope = predict(Work(1e9, 4e9), device)  # 1e9 B / 1e12 B/s = 1 ms; 4e9 / 1e13 = 0.4 ms; 1 µs to launch
    assert (slope.bound, slope.seconds) == ("memory", pytest.approx(1.001e-3))
    flat = predict(Work(1e9, 4e10), device)  # 4e10 / 1e13 = 4 ms
    assert (flat.bound, flat.rate) == ("compute", pytest.approx(4e10 / 4.001e-3))
    assert predict(Work(1e5, 1e5), device).bound == "launch"  # 0.1 µs of work
    assert "memory-bound (1 GB at 1 TB/s)" in str(slope)
    scattered = predict(Work(1e9, 0, cache_bytes=9e9), replace(device, cache_bandwidth=3e12))
    assert (scattered.bound, scattered.seconds) == ("cache", pytest.approx(3.001e-3))  # 9e9 B / 3e12 B/s


def test_peak_is_sold_and_achievable_measured_or_said_to_be_assumed():
    a100 = from_catalogue("a100-80gb")
    assert a100.roof("bf16", "peak").rate == 312e12
    assert a100.roof("bf16").rate == 271.2e12
    assert a100.roof("bf16").assumed == ()
    assert a100.roof("fp32").assumed == ("rate",)
    assert a100.roof("fp32").caveat == "Achievable is assumed: 74% of the peak rate."
    assert not a100.roof("bf16").caveat
    h100 = from_catalogue("h100-80gb").roof("bf16")
    assert h100.bandwidth == pytest.approx(3350e9 * typical("stream over memory bandwidth"))
    assert h100.assumed == ("bandwidth",)


def test_what_a_device_lacks_is_refused_with_what_it_has():
    with pytest.raises(ValueError, match=r"NVIDIA V100 .* must be one of fp64, fp32, fp16, not 'fp8'"):
        from_catalogue("v100-16gb").roof("fp8")
    with pytest.raises(ValueError, match="must be one of achievable, not 'peak'"):
        Device("x", Origin.MEASURED, reached_bandwidth=1e9, reached={"fp32": 1e9}).roof("fp32", "peak")
    with pytest.raises(ValueError, match="a100-80gb"):
        from_catalogue("a100")


def test_what_a_cell_ends_with_says_itself_in_a_line():
    h100 = from_catalogue("h100-80gb")
    assert repr(h100).startswith("Device(NVIDIA H100 SXM5 80 GB: memory 3.35 TB/s; fp64, fp32, tf32")
    assert repr(h100.roof()) == "Roof(achievable: 2.91 TB/s, fp32 49.6 TFLOP/s, ridge 17 FLOP per byte)"
    assert repr(predict(Work(12e9, 1e9, name="add"), h100)).startswith("add: 4.13 ms, memory-bound (12 GB at")

"""The ladders' experiment: measured and modelled in one shape, the simulator refused, sizes within limits."""

from unittest.mock import Mock

import pytest

from hpclab.experiments.kernel_ladder import (
    COPY,
    KernelLadder,
    catalogue_name,
    fastest,
    largest_shape,
    launch_of,
    work_of,
)
from hpclab.kernels import cuda as gpu
from hpclab.kernels.ladder import LADDERS
from hpclab.models.device import from_catalogue
from hpclab.models.roofline import BOUNDS
from hpclab.results import Origin, Result, select


@pytest.mark.slow
def test_measured_and_modelled_have_one_shape(doubling):
    ladder = KernelLadder(repeats=2)
    ((step, shape),) = ladder.steps()
    assert shape == (8192,)  # 8 × 8,192 bytes = 2¹⁶
    step.launch = Mock(wraps=step.launch)
    results = ladder.measure()
    mine = [result for result in results if result.parameters.get("ladder") == "double"]
    assert step.launch.call_count == 3  # a warm-up and two repeats
    assert [result.quantity for result in mine] == ["time", "bandwidth", "flop rate"] * 2
    time, bandwidth, rate = mine[:3]
    assert bandwidth.value == pytest.approx(2**16 / time.value)
    assert rate.value == pytest.approx(2**13 / time.value)
    device = ladder.fit(results)
    modelled = ladder.predict(device)
    assert set(modelled[0].parameters) == set(time.parameters)
    assert {r.origin for r in modelled} == {Origin.MODELLED}
    assert select(modelled, "time")[0].value == pytest.approx(2**16 / device.reached_bandwidth)
    assert {r.component for r in modelled} == {"memory"}
    assert fastest(results) == {"double, numpy": min(select(mine, "time"), key=lambda one: one.value)}
    assert repr(modelled) == (
        "3 Results of kernel ladder: 1 × time (modelled), 1 × bandwidth (modelled), 1 × flop rate (modelled)"
    )


def test_every_gpu_ladder_is_predicted_on_every_device_with_the_textbook_bounds():
    for name in ("v100-16gb", "rtx4070-laptop-8gb", "mi300x-192gb", "h100-80gb"):
        results = KernelLadder(on="gpu").predict(from_catalogue(name))
        assert len(results) == 3 * sum(map(len, LADDERS.values()))
        assert {result.component for result in results} <= set(BOUNDS)
    bound = {(r.parameters["ladder"], r.parameters["step"]): r.component for r in results}
    for ladder, step in (("vector add", "coalesced"), ("transpose", "padded"), ("stencil", "tiled")):
        assert bound[ladder, step] == "memory"
    assert bound["matrix multiply", "register-blocked"] == "compute"


def test_scattered_sectors_slow_the_step_they_belong_to():
    ladder, device = KernelLadder(on="gpu", ladders=("transpose",)), from_catalogue("a100-80gb")
    plain, counted = (
        {r.parameters["step"]: r for r in select(ladder.predict(device, sectors=sectors), "bandwidth")}
        for sectors in (None, {"transpose, naive": 4.5})
    )
    assert counted["naive"].component == "cache"
    assert counted["naive"].value < 0.8 * plain["naive"].value
    assert counted["padded"].value == plain["padded"].value


@pytest.mark.skipif(not gpu.simulated, reason="there is a GPU here")
def test_the_simulator_is_never_timed():
    with pytest.raises(RuntimeError, match="simulator"):
        KernelLadder(on="gpu").measure()


def test_a_gpu_is_calibrated_by_its_copy_alone():
    where = {"gpu": "NVIDIA A100-SXM4-80GB", "memory": 85e9}
    copies = [
        Result(
            "kernel ladder", "bandwidth", value, Origin.MEASURED, environment=where,
            parameters={"ladder": name},
        )
        for value, name in ((1.6e12, COPY), (1.7e12, COPY), (1.9e12, "vector add"))
    ]  # fmt: skip
    device = KernelLadder(on="gpu").fit(copies)
    assert device.roof("bf16").bandwidth == 1.7e12
    assert device.roof("bf16").rate == 271.2e12
    with pytest.raises(ValueError, match="no device copy"):
        KernelLadder(on="gpu").fit(copies[2:])


@pytest.mark.parametrize(
    ("said", "memory", "name"),
    [
        ("NVIDIA A100-SXM4-40GB", 42.4e9, "a100-40gb"), ("Tesla V100-SXM2-16GB", 16.9e9, "v100-16gb"),
        ("NVIDIA H100 80GB HBM3", 85e9, "h100-80gb"), ("NVIDIA H100 PCIe", 85e9, "h100-pcie-80gb"),
        ("NVIDIA H200", 150e9, "h200-141gb"), ("NVIDIA B200", 192e9, "b200-180gb"),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", 8.58e9, "rtx4070-laptop-8gb"),
    ],
)  # fmt: skip
def test_a_gpu_is_found_under_the_name_it_gives_itself(said, memory, name):
    assert catalogue_name(said, memory) == name
    with pytest.raises(ValueError, match="no NVIDIA T4 with 16 GB"):
        catalogue_name("NVIDIA T4", 16e9)


def test_a_cpus_arrays_are_past_every_cache_or_take_as_many_operations():
    for step, shape in KernelLadder(on="cpu").steps():
        assert 2**26 < max(step.problem.bytes(shape), step.problem.flops(shape)) <= 2**28


def test_sizes_are_the_largest_within_both_limits(doubling):
    # 8 bytes and one operation an item: 2¹⁷ items are 2²⁰ bytes; at most 1,000 operations are 512 items.
    assert largest_shape(doubling, 2**20, 2**40) == (2**17,)
    assert largest_shape(doubling, 2**20, 1000) == (512,)
    assert largest_shape(doubling, 1, 1) == (2,)
    step = LADDERS["vector add"][1]
    launch = launch_of(step, (2**20,), work_of(step, (2**20,)))
    assert (launch.blocks * launch.threads, launch.in_flight) == (2**20, 12.0)

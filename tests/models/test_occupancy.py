"""Occupancy against hand-worked cases and the examples that NVIDIA and others publish."""

import pytest

from hpclab.machine import catalogue
from hpclab.models.occupancy import occupancy

KIB = 1024


@pytest.mark.parametrize(("capability", "threads", "registers", "shared", "blocks", "share", "limit"), [
    # CUDA C++ Best Practices Guide, "Calculating Occupancy": 75 % with 12 blocks, and 63 % with 4.
    # 37 × 32 = 1,184 → 1,280 a warp; 16,384 a partition / 1,280 = 12 warps, × 4 = 48; 48 / 4 = 12 blocks.
    ("7.0", 128, 37, 0, 12, 0.75, "registers"),
    # 320 threads are 10 warps: 48 // 10 = 4 blocks, 40 of 64 warps. Plain division would say 5.
    ("7.0", 320, 37, 0, 4, 0.625, "registers"),
    # CUDA Programming Guide, compute capability 10.0: 32 blocks of 32 threads, 1,024 of 2,048 threads.
    ("10.0", 32, 32, 0, 32, 0.5, "blocks"),
    # Boehm, "How to Optimize a CUDA Matmul Kernel", A6000: 48 // 32 = 1 block by warps and by registers.
    ("8.6", 1024, 37, 8 * KIB, 1, 2 / 3, "warps"),
    # 40 KiB + 1 = 41; 164 // 41 = 4. One byte more: 41 KiB + 128 B; 164 // 41.125 = 3.
    ("8.0", 256, 32, 40 * KIB, 4, 0.5, "shared memory"),
    ("8.0", 256, 32, 40 * KIB + 1, 3, 24 / 64, "shared memory"),
    # 32 registers × 32 = 1,024: 16 warps a partition, 64 in all; 33 → 1,056 → 1,280: 12, 48 in all.
    ("9.0", 256, 32, 0, 8, 1.0, "registers"),
    ("9.0", 256, 33, 0, 6, 0.75, "registers"),
])  # fmt: skip
def test_hand_worked_and_published(capability, threads, registers, shared, blocks, share, limit):
    found = occupancy(capability, threads, registers, shared)
    assert found.blocks == blocks
    assert found.share == pytest.approx(share)
    assert limit in found.limits


def test_every_gpu_with_a_compute_capability_can_be_asked():
    for gpu in catalogue.entries("gpu").values():
        if "compute_capability" in gpu.figures:
            assert occupancy(gpu.value("compute_capability"), 256).warps >= 32
            assert gpu.value("multiprocessors") > 10


def test_what_cannot_be_launched_is_refused():
    # 72 registers → 2,304 a warp; 32 warps × 2,304 = 73,728 > 65,536; 64 registers fit exactly.
    with pytest.raises(ValueError, match="at most 64 registers"):
        occupancy("9.0", 1024, 72)
    assert occupancy("9.0", 1024, 64).blocks == 1
    with pytest.raises(ValueError, match=r"from 0 to 101376 bytes"):
        occupancy("8.9", 256, 32, 100 * KIB)
    with pytest.raises(ValueError, match=r"must be one of 7\.0, 7\.5, 8\.0"):
        occupancy("6.0", 256)

"""What CUDA_VISIBLE_DEVICES leaves of the GPUs, and what it leaves of one GPU."""

import pytest

from hpclab.machine import gpus
from hpclab.machine.description import Gpu

TWO = [Gpu(f"NVIDIA A100-SXM4-{size}GB", "NVIDIA", "cuda", size * 2**30) for size in (40, 80)]


@pytest.mark.parametrize("setting", ["MIG-0b7c", "MIG-GPU-0b7c/1/0", "MIG-0b7c,MIG-9"])
def test_a_slice_of_a_gpu_is_not_the_whole(setting, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    (found,) = gpus._visible(TWO)
    assert (found.name, found.memory) == ("NVIDIA A100-SXM4-40GB, a MIG slice", 0)

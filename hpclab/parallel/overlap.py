"""A step's gradients, summed over an emulated link while the next layer is computed: what is exposed."""

import time

import torch
import torch.distributed as dist

from hpclab.parallel.link import Link, Wire
from hpclab.timing import Sample, Stopwatch


def training_step(
    overlap: bool, link: float = 125e6, layers: int = 8, elements: int = 2**19
) -> tuple[float, float, Sample]:
    """Seconds of a step and those that this rank gives to messages, over a link of `link` bytes/s; and what
    the step got of the cores."""
    weights, wire, under_way, exposed = torch.rand(400, 400), Wire(Link(link)), [], 0.0
    dist.barrier()
    with Stopwatch() as watch:
        for layer in range(layers):
            for _ in range(10):
                weights @ weights  # this layer's part of the backward pass
            computed = time.perf_counter()
            under_way.append(wire.all_reduce(torch.ones(elements)))  # returns at once
            if not overlap or layer == layers - 1:
                for message in under_way:
                    message.result()
                exposed += time.perf_counter() - computed
    return watch.sample.wall, exposed, watch.sample

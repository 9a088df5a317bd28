"""A training step's gradients, summed while the next layer is computed: what of the communication is exposed.

Ranks of one machine have no wire between them, so the link is emulated: what is measured here is *emulated*.
"""

import time

import torch
import torch.distributed as dist

from hpclab.timing import Sample, Stopwatch


def training_step(
    overlap: bool, link: float = 125e6, layers: int = 8, elements: int = 2**19
) -> tuple[float, float, Sample]:
    """Seconds of a step and those that this rank waits for messages, over a link of `link` bytes/s; and what
    the step got of the cores."""
    weights, under_way, exposed, p = torch.rand(400, 400), [], 0.0, dist.get_world_size()
    busy = 2 * (p - 1) / p * 4 * elements / link  # seconds that a ring needs the link for a gradient
    dist.barrier()
    with Stopwatch() as watch:
        there = time.perf_counter()
        for layer in range(layers):
            for _ in range(10):
                weights @ weights  # this layer's part of the backward pass
            under_way.append(dist.all_reduce(torch.ones(elements), async_op=True))  # returns at once
            there = max(there, time.perf_counter()) + busy  # the link takes one gradient at a time
            if not overlap or layer == layers - 1:
                computed = time.perf_counter()
                for one in under_way:
                    one.wait()
                time.sleep(max(0, there - time.perf_counter()))
                exposed += time.perf_counter() - computed
    return watch.sample.wall, exposed, watch.sample

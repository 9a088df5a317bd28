"""Data parallel: every rank has the whole model and an equal part of the batch. The average of the ranks'
gradients is that of the whole batch, so ranks that began with the same weights keep the same weights.

    buckets = Buckets(model)
    loss(model(inputs), targets).backward()    # of this rank's part
    buckets.finish()
    optimizer.step()                           # the same on every rank
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hpclab import checks, trace
from hpclab.models import overlap
from hpclab.parallel.link import Link, Message, Wire
from hpclab.workloads import gpt


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Gradients of `parameters` after backward; RuntimeError if one has none: others would wait for it."""
    found = [one.grad for one in parameters if one.grad is not None]
    if len(found) < len(parameters):
        raise RuntimeError("A parameter got no gradient: freeze (requires_grad_) what the loss does not use.")
    return found


def share_of_loss(model: nn.Module, inputs: Tensor, targets: Tensor, group: Any = None) -> Tensor:
    """What this rank's sequences of a whole batch add to its loss: the sum over the ranks is the loss."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    return gpt.loss(model(inputs.chunk(ranks)[rank]), targets.chunk(ranks)[rank]) / ranks


class Buckets:
    """Gradients are sent while backward computes those of the layers before: what DDP does.

    Backward goes from the last layer to the first, so parameters are put into buckets in reverse order, and a
    bucket is sent over `link` as soon as all of its gradients are there; without `overlap` when backward has
    ended. `size` bytes fill a bucket, and one parameter is never cut: 1 makes a message a parameter, 2**40
    one message of all. `messages` are the last step's.
    """

    def __init__(self, model: nn.Module, size: int = 2**20, link: Link | None = None, overlap: bool = True):
        self.overlap, self.wire = overlap, Wire(link)
        self.messages: list[Message] = []
        self.buckets = in_buckets(trained(model), checks.integer("size", size, 1, 2**40))
        self.full: set[int] = set()
        self.sent: list[Future[Tensor]] = []
        for number, bucket in enumerate(self.buckets):
            when_complete(bucket, partial(self._filled, number))

    def _filled(self, number: int) -> None:
        if self.overlap:
            self.full.add(number)
            while len(self.sent) in self.full:  # in their order, which is that of all ranks
                self._send()

    def _send(self) -> None:
        flat = torch.cat([one.flatten() for one in gradients(self.buckets[len(self.sent)])])
        self.sent.append(self.wire.all_reduce(flat / self.wire.ranks, f"bucket {len(self.sent)}"))

    def finish(self) -> None:
        """Wait for what is still on its way, the exposed communication; gradients are then averaged."""
        while len(self.sent) < len(self.buckets):
            self._send()
        with trace.record("reduce", label="exposed"):
            for bucket, arrival in zip(self.buckets, self.sent, strict=True):
                parts = arrival.result().split([one.numel() for one in bucket])
                for parameter, part in zip(bucket, parts, strict=True):
                    parameter.grad = part.view_as(parameter)  # nothing is copied
        self.messages, self.wire.messages = self.wire.messages, []
        self.full, self.sent = set(), []


def in_buckets(parameters: list[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    """The parameters, last first, in lists of at least `size` bytes; the last list may have less."""
    last_first = parameters[::-1]
    places = overlap.group([one.nbytes for one in last_first], size)  # as the model has it
    return [[last_first[place] for place in bucket] for bucket in places]


def when_complete(parameters: list[nn.Parameter], call: Callable[[], None]) -> None:
    """Make every backward pass run `call()` as soon as all of `parameters` have their gradients."""
    missing = set(parameters)

    def tick_off(parameter: Tensor) -> None:
        missing.discard(parameter)
        if not missing:
            missing.update(parameters)
            call()

    for parameter in parameters:
        parameter.register_post_accumulate_grad_hook(tick_off)

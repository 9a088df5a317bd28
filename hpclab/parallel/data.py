"""Data parallel: every rank has the whole model and a part of the batch, and gradients are averaged.

    loss(model(inputs), targets).backward()    # of this rank's part
    average_each(model)                        # or average_all(model), or buckets.finish()
    optimizer.step()                           # the same on every rank

The parts are equally large, so the average of the ranks' gradients is the gradient of the whole batch, and
ranks that began with the same weights keep the same weights. Four ways to average, each sends the same bytes.
"""

from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.futures import Future

from hpclab import trace
from hpclab.parallel.link import Link, Message, Wire


def average_each(model: nn.Module, group: Any = None) -> None:
    """After backward, a message a parameter: the latency of the link is paid for each."""
    for gradient in gradients(trained(model)):
        dist.all_reduce(gradient, group=group)
        gradient /= dist.get_world_size(group)


def average_all(model: nn.Module, group: Any = None) -> None:
    """After backward, one message: the latency is paid once, and the link idles during all of backward."""
    parameters = trained(model)
    flat = torch.cat([one.flatten() for one in gradients(parameters)])
    dist.all_reduce(flat, group=group)
    hand_out(flat / dist.get_world_size(group), parameters)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Their gradients after backward; RuntimeError where one has none, for which other ranks would wait."""
    found = [one.grad for one in parameters if one.grad is not None]
    if len(found) < len(parameters):
        raise RuntimeError("A parameter got no gradient: freeze (requires_grad_) what the loss does not use.")
    return found


def hand_out(flat: Tensor, parameters: list[nn.Parameter]) -> None:
    """Each parameter's gradient becomes its part of `flat`; nothing is copied."""
    for parameter, part in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)


class Buckets:
    """Gradients are sent while backward computes those of the layers before: what DDP does.

    Backward goes from the last layer to the first, so parameters are put into buckets in reverse order, and
    a bucket is sent as soon as all of its gradients are there. `size` bytes fill a bucket; one parameter is
    never cut. ``finish()`` after backward waits for what is still on its way: the exposed communication.

    Without `overlap` all buckets are sent by `finish`. `link` emulates a link (None: the machine's own).
    While `enabled` is False backward sends nothing. `messages` are those of the last step.
    """

    def __init__(
        self, model: nn.Module, size: int = 25 * 2**20, group: Any = None, link: Link | None = None,
        overlap: bool = True,
    ):  # fmt: skip
        self.overlap, self.enabled, self.wire = overlap, True, Wire(link, group)
        self.messages: list[Message] = []
        self.buckets = in_buckets(model, size)
        self._begin()
        for number, bucket in enumerate(self.buckets):
            for parameter in bucket:
                parameter.register_post_accumulate_grad_hook(partial(self._count, number))

    def _begin(self) -> None:
        self.missing = [len(bucket) for bucket in self.buckets]
        self.sent: list[Future[Tensor]] = []

    def _count(self, number: int, parameter: Tensor) -> None:
        """Called by backward when a parameter of bucket `number` has its gradient."""
        if self.overlap and self.enabled:
            self.missing[number] -= 1
            # In their order, which all ranks share: a bucket that is full early waits for those before it.
            while len(self.sent) < len(self.buckets) and not self.missing[len(self.sent)]:
                self._send()

    def _send(self) -> None:
        number = len(self.sent)
        flat = torch.cat([one.flatten() for one in gradients(self.buckets[number])])
        self.sent.append(self.wire.all_reduce(flat.div_(self.wire.ranks), f"bucket {number}"))

    def finish(self) -> None:
        """Wait until every parameter has its averaged gradient; once after each backward that was enabled."""
        while len(self.sent) < len(self.buckets):
            self._send()
        with trace.record("reduce", label="exposed"):
            for bucket, arrival in zip(self.buckets, self.sent, strict=True):
                hand_out(arrival.wait(), bucket)
        self.messages, self.wire.messages = self.wire.messages, []
        self._begin()


def in_buckets(model: nn.Module, size: int) -> list[list[nn.Parameter]]:
    """The trained parameters, last first, in lists of at least `size` bytes; the last may have less."""
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in reversed(trained(model)):
        if room <= 0:
            buckets.append([])
            room = size
        buckets[-1].append(parameter)
        room -= parameter.nbytes
    return buckets


def over_wire(wire: Wire, bucket: dist.GradBucket) -> Future[Tensor]:
    """A hook for the real DDP: its buckets go over `wire`, and so over an emulated link.

    ``ddp = DistributedDataParallel(model, bucket_cap_mb=1); ddp.register_comm_hook(Wire(link), over_wire)``
    """
    return wire.all_reduce(bucket.buffer().div_(wire.ranks), f"bucket {bucket.index()}")

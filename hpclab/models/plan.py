"""A plan: how a training step is spread over GPUs, as one checked description for every model and widget."""

from dataclasses import dataclass
from typing import NamedTuple

from hpclab import checks
from hpclab.models.transformer import Transformer

RECOMPUTE = ("none", "selective", "half", "full")
"""What is recomputed: attention's scores (Korthikanti et al., MLSys 2023); all but attention and every second
matrix product (what torchtitan calls selective); all but the layer's input."""
AXES = ("tensor", "context", "data", "pipeline")
"""Innermost first, Megatron-LM's order: ranks that communicate most are neighbours."""
PRECISIONS = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1}  # bytes of a number that matrix products take


class ZeroStage(NamedTuple):
    """A stage of ZeRO: what is sharded over the replicas, and the collectives that this takes."""

    sharded: tuple[str, ...] = ()
    each_pass: tuple[str, ...] = ()  # of every micro-batch, backward
    once: tuple[str, ...] = ()  # a step

    def sharers(self, ranks: int) -> int:
        """How many neighbours of `ranks` ranks hold one copy among them of what is sharded."""
        return ranks if self.sharded else 1

    def among(self, what: str, ranks: int) -> tuple[int, int]:
        """Of `ranks`, how many take part in the collective `what`, and the stride from one to the next: an
        all-reduce is among those that hold the same part, and of that part only."""
        sharers = self.sharers(ranks)
        return (ranks // sharers, sharers) if what == "all_reduce" else (sharers, 1)


ZERO = (
    ZeroStage(once=("all_reduce",)),
    ZeroStage(("optimizer",), once=("reduce_scatter", "all_gather")),
    ZeroStage(("optimizer", "gradients"), ("reduce_scatter",), ("all_gather",)),
    ZeroStage(("optimizer", "gradients", "parameters"), ("all_gather", "all_gather", "reduce_scatter")),
)
"""ZeRO's stages (Rajbhandari et al., SC20); with the last, FSDP, parameters are fetched for either pass."""


@dataclass(frozen=True)
class Plan:
    """How a step is spread over GPUs: `batch` sequences over all of them, `micro_batch` at once on a rank.

    Degrees, whose product is `gpus`: `data`, `tensor`, `context` (each rank has a part of every sequence)
    and `pipeline`, whose stages are cut into `chunks` each (1: 1F1B, more: interleaved). `zero` is a stage of
    ZERO. `sequence_parallel`: norms and dropouts are split over the tensor-parallel ranks, too.
    `fused_attention`: scores are never written to memory (FlashAttention). `overlap`: gradients are reduced,
    and sharded parameters fetched, while other layers compute.
    """

    batch: int
    micro_batch: int = 1
    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    chunks: int = 1
    zero: int = 0
    recompute: str = "none"
    precision: str = "bf16"
    sequence_parallel: bool = False
    fused_attention: bool = True
    overlap: bool = True

    def __post_init__(self) -> None:
        for name in ("batch", "micro_batch", "data", "tensor", "pipeline", "context", "chunks"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), 1, 2**24))
        object.__setattr__(self, "zero", checks.integer("zero", self.zero, 0, len(ZERO) - 1))
        checks.choice("recompute", self.recompute, RECOMPUTE)
        checks.choice("precision", self.precision, PRECISIONS)
        at_once = self.data * self.micro_batch
        if self.batch % at_once:
            raise ValueError(f"batch must be a multiple of data × micro_batch = {at_once}, not {self.batch}.")
        if self.chunks > 1 and (self.pipeline == 1 or self.micro_batches % self.pipeline):
            raise ValueError(
                "chunks need a pipeline whose stages divide the micro-batches: "
                f"{self.pipeline} stages, {self.micro_batches} micro-batches."
            )

    @property
    def gpus(self) -> int:
        return self.data * self.tensor * self.context * self.pipeline

    @property
    def replicas(self) -> int:
        """Ranks with the same parameters: gradients are summed over them, and ZeRO shards over them."""
        return self.data * self.context

    @property
    def split(self) -> int:
        """Into how many parts norms, dropouts and what goes from layer to layer are divided."""
        return self.tensor if self.sequence_parallel else 1

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step on each rank, one after the other."""
        return self.batch // (self.data * self.micro_batch)

    def tokens(self, model: Transformer) -> int:
        """Tokens of a micro-batch on one of the ranks that share its sequences."""
        return self.micro_batch * model.sequence // self.context

    def shards(self, what: str) -> bool:
        """Whether `what`, "optimizer", "gradients" or "parameters", is sharded over the replicas."""
        return what in ZERO[self.zero].sharded

    def groups(self, rank: int) -> dict[str, range]:
        """The ranks that work together with `rank` along each of AXES, itself among them."""
        found, stride = {}, 1
        for axis in AXES:
            whole = stride * getattr(self, axis)
            first = rank // whole * whole + rank % stride
            found[axis] = range(first, first + whole, stride)
            stride = whole
        return found

    def refuse_unless_it_fits(self, model: Transformer) -> None:
        """Raise ValueError if the degrees do not divide `model`."""
        stages = self.pipeline * self.chunks
        parts = (("layers", "pipeline × chunks", stages), ("heads", "tensor", self.tensor),
                 ("sequence", "context", self.context))  # fmt: skip
        for what, name, part in parts:
            if (whole := getattr(model, what)) % part:
                raise ValueError(f"{name} = {part} does not divide the model's {whole} {what}.")

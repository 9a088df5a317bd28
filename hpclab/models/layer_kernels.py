"""The kernels of a transformer's layer, of the embedding before the first and of the logits after the last.

A layer is some forty kernels, each a matrix product (`matmul.py`), a fused attention, or something
element-wise that takes as long as its bytes. Counts of bytes:
Korthikanti et al., Reducing Activation Recomputation, MLSys 2023, section 4, for the same operations. Numbers
have two bytes, gradients that are added up four.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from hpclab.models import matmul
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer

# The share of the peak rate that fused attention was published to reach: FlashAttention on an A100 25 to 40 %
# (Dao, arXiv 2307.08691, abstract), FlashAttention-2 on an H100 35 %, and FlashAttention-3, as fast as cuDNN,
# 1.5 to 2 times that (Shah et al., arXiv 2407.08608, abstract).
FLASH_1, FLASH_2_HOPPER, FLASH_3 = 0.33, 0.35, 0.525
LOSS = (6, 8, 8, 4, 8, 6)  # bytes a logit: to float32, less the largest, exponential, sum, gradient, back
LITTLE = 20  # kernels on indices, masks and means before the first layer, and as many after the last


@dataclass(frozen=True)
class Fitted:
    """All that is fitted for training: to published steps, by tests/validation/test_training_refit.py."""

    sustained: float = 0.95  # share of the best matrix-product rate that is held through a step
    hopper: float = 0.85  # the same from compute capability 9 on, where power runs out sooner
    streamed: float = 0.8  # share of a plain copy's bandwidth that element-wise kernels reach
    launch: float = 73e-6  # s of the host for a kernel, and so far apart are ranks that wait for each other
    gap: float = 13e-6  # s from one kernel to the next, while the multiprocessors run empty and fill
    misaligned: float = matmul.MISALIGNED  # share of the rate where rows are a multiple of only 2 bytes


@dataclass(frozen=True)
class Software:
    """In what training programs differ; the source of a published row says what its own did."""

    fused: bool = True  # bias, activation, dropout, residual and casts to FP8 are one kernel
    adds: bool = False  # the product for weights adds up gradients itself
    gradient_bytes: int = 4  # of a number that is summed over ranks
    hide_tensor: str = "none"  # which collectives run behind products: also "backward" (for weights), "all"
    hide_messages: bool = False  # the pipeline's messages run behind products, too, once it is filled
    message_bandwidth: float = 0.0  # of the pipeline's messages in bytes/s; 0: what NCCL gets
    flash: float = FLASH_3  # share of the peak rate that fused attention reaches


MODERN = Software()
FITTED = Fitted()


class Kernel(NamedTuple):
    """One kernel's seconds, and the part of a step that it belongs to."""

    part: str
    seconds: float


Kernels = list[Kernel]
Both = tuple[Kernels, Kernels]
"""The kernels of the forward and of the backward pass."""


@dataclass(frozen=True)
class Work:
    """All that the kernels of one rank for a micro-batch depend on."""

    model: Transformer
    plan: Plan
    cluster: GpuCluster
    software: Software = MODERN
    fitted: Fitted = FITTED

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch on this rank."""
        return self.plan.tokens(self.model)

    @property
    def half(self) -> str:
        """The precision of attention and logits: the plan's, or "bf16" where that is "fp8"."""
        return "bf16" if self.plan.precision == "fp8" else self.plan.precision

    @cached_property
    def units(self) -> dict[str, matmul.Units]:
        """What products need of the device, in the precision of the layers and in that of the rest."""
        gpu, fitted = self.cluster.gpu, self.fitted
        share = fitted.hopper if float(gpu.compute_capability or 0) >= 9 else fitted.sustained
        kinds = {self.plan.precision, self.half}
        return {kind: matmul.units(gpu, kind, share, fitted.misaligned) for kind in kinds}

    def product(self, m: int, n: int, k: int, precision: str, result: int = 2) -> Kernel:
        """The product of an (m, k) by a (k, n) matrix; `result`: bytes moved for an element of the result."""
        seconds = matmul.seconds(m, n, k, self.units[precision], result=result)
        return Kernel("matrix products", self.fitted.gap + seconds)

    def moved(self, size: float, part: str = "element-wise") -> Kernel:
        """A kernel that reads and writes `size` bytes."""
        return Kernel(part, self.fitted.gap + size / (self.units[self.half].bandwidth * self.fitted.streamed))


def layer(work: Work) -> Both:
    """The kernels of one layer, forward and backward."""
    forward, backward = zip(products(work), attention(work), elementwise(work), strict=True)
    return [*chain(*forward)], [*chain(*backward)]


def products(work: Work) -> Both:
    """The products of the four linear layers: forward, and backward for their inputs and their weights."""
    model, tensor, tokens, kind = work.model, work.plan.tensor, work.tokens, work.plan.precision
    h, mine, f = model.hidden, model.hidden // tensor, model.feed_forward // tensor
    shapes = ((h, mine + 2 * model.kv_width // tensor), (mine, h), (h, (1 + model.gated) * f), (f, h))
    forward = [work.product(tokens, out, into, kind) for into, out in shapes]
    inputs = [work.product(tokens, into, out, kind) for into, out in shapes]
    result = 8 if work.software.adds else 2
    return forward, inputs + [work.product(into, out, tokens, kind, result) for into, out in shapes]


def attention(work: Work) -> Both:
    """The kernels of attention: scores, softmax and weighted values, or one fused kernel for each pass, which
    leaves out what is masked and computes the scores again in the backward pass."""
    model, plan = work.model, work.plan
    both, width = plan.micro_batch * model.heads // plan.tensor, model.hidden // model.heads
    rows, columns = model.sequence // plan.context, model.sequence
    if plan.fused_attention:
        flops = 4 * both * rows * columns * width / 2
        seconds = flops / (work.cluster.gpu.roof(work.half, "peak").rate * work.software.flash)
        return [Kernel("attention", seconds)], [Kernel("attention", 2.5 * seconds)]
    units, gap = work.units[work.half], work.fitted.gap
    scores = Kernel("attention", gap + matmul.seconds(rows, columns, width, units, both))
    values = Kernel("attention", gap + matmul.seconds(rows, width, columns, units, both))
    size = 2 * both * rows * columns
    softmax, back = work.moved(2 * size, "attention"), work.moved(3 * size, "attention")
    dropped = [work.moved(2.5 * size, "attention")] * model.dropout  # with a mask of bytes
    return [scores, softmax, *dropped, values], [values, *dropped, back, scores, values, values]


def elementwise(work: Work) -> Both:
    """The element-wise kernels: norms, residuals, dropout, activation, biases, casts, sums of gradients."""
    model, software, tensor, tokens = work.model, work.software, work.plan.tensor, 2 * work.tokens
    whole, mine = tokens * model.hidden / work.plan.split, tokens * model.hidden / tensor
    wide, heads = tokens * model.feed_forward / tensor, mine + 2 * tokens * model.kv_width / tensor
    weights = model.layer_parameters / tensor
    mask = 0.5 * model.dropout  # a byte for each number of two
    forward = [2 * whole] * 2 + [(3 + mask) * whole] * 2 + [(2 + model.gated) * wide]  # norms, residuals, MLP
    backward = [4 * whole] * 2 + [2 * whole] * 2 + [(2 + mask) * whole] * 2 + [(3 + 2 * model.gated) * wide]
    if not software.adds:
        backward += [8 * weights]  # added to the other micro-batches' in float32
    if model.biases:
        backward += [whole, whole, wide, heads]
    if not software.fused:
        forward += [2 * whole, 2 * whole, 2 * wide]
        backward += [2 * wide]
    if not software.fused and work.plan.precision == "fp8":  # cast, and turned for the product for weights
        forward += [2 * whole, 2 * mine, 2 * whole, 2 * wide, 2 * weights]
        backward += [2 * heads, 2 * whole, 2 * wide, 2 * whole]
    if not model.positions:  # queries and keys are rotated instead
        forward += [2 * heads]
        backward += [2 * heads]
    if not work.plan.fused_attention:  # heads are laid out one after the other
        forward += [heads]
        backward += [heads, heads]
    return [work.moved(size) for size in forward], [work.moved(size) for size in backward]


def host_wait(kernels: Kernels, work: Work, collectives: int = 0, seconds: float = 0.0) -> float:
    """Seconds that the GPU waits for the host, which launches `kernels` while the GPU computes.

    It also launches this number of `collectives`, which keep the GPU busy for `seconds`.
    """
    return max(0.0, work.fitted.launch * (len(kernels) + collectives) - total(kernels) - seconds)


def total(kernels: Kernels) -> float:
    """Seconds of all `kernels`, one after the other."""
    return sum(one.seconds for one in kernels)


def embedding(work: Work) -> Kernels:
    """The kernels before the first layer, both ways: rows looked up and summed, gradients added to them."""
    size = 2 * work.tokens * work.model.hidden
    return [work.moved(passes * size) for passes in (2, 3, 2, 2, 3)] + [work.moved(0)] * LITTLE


def logits(work: Work) -> Kernels:
    """The kernels after the last layer, both ways: a product as wide as the vocabulary, a loss in float32."""
    h, words, tokens = work.model.hidden, work.model.vocabulary // work.plan.tensor, work.tokens
    shapes = ((tokens, words, h), (tokens, h, words), (h, words, tokens))
    loss = [work.moved(size * tokens * words) for size in LOSS]
    return [work.product(*shape, work.half) for shape in shapes] + loss + [work.moved(0)] * LITTLE

"""How many bytes a rank sends in a training step, for each way to spread it over ranks: volume, not yet time.

Collectives are counted as rings send them (`formulas.bus_factor`). Notice what each way grows with. Data and
ZeRO: parameters. Tensor, sequence, context and expert: tokens × layers. A pipeline: tokens, but not layers.
"""

from collections import defaultdict
from collections.abc import Mapping

from hpclab import checks
from hpclab.models import nccl
from hpclab.models.formulas import bus_factor
from hpclab.models.plan import ZERO, ZeroStage
from hpclab.models.transformer import Transformer


def formula(
    parallelism: str, model: Transformer, ranks: int, sequences: int = 1, item: int = 2, top: int = 1
) -> dict[str, float]:
    """Bytes that a rank sends in a step, by collective, where `ranks` share the work in this one way.

    `sequences` go through a rank in the step, all micro-batches together; `item`: bytes of a number. What
    "sequence" and "context" hold whole (norms, embeddings) has its gradients summed, for a rank has a part of
    the tokens; with "tensor" nothing of it is sent. "expert": tokens only, evenly spread, to `top` experts
    each. "pipeline": a stage between two others; with v chunks v times as much.

    Rajbhandari et al. (ZeRO, 2020), section 7; Narayanan et al. (SC21), section 3; Korthikanti et al. (2023),
    section 4.2; Liu et al. (Ring Attention, 2023). ValueError for another parallelism.
    """
    checks.integer("ranks", ranks, 2, 2**24)
    layers, tokens = model.layers, sequences * model.sequence
    parameters, stream = item * model.parameters, item * tokens * model.hidden
    norms = (6 if model.biases else 2) * model.hidden  # and the two biases that are added after a sum
    whole = parameters - item * layers * (model.layer_parameters - norms)
    pair = item * 2 * tokens / ranks * model.kv_width  # a rank's keys and values
    sizes: dict[str, dict[str, float]] = {
        "data": {"all_reduce": parameters},
        **{f"zero {n}": _of_stage(stage, parameters, ranks) for n, stage in enumerate(ZERO) if n},
        "tensor": {"all_reduce": 4 * layers * stream},  # attention and MLP, forward and backward
        "sequence": {"all_gather": 4 * layers * stream, "reduce_scatter": 4 * layers * stream,
                     "all_reduce": whole},
        # round the ring forward and backward, and their gradients, which make one step more: home
        "context": {"send_recv": layers * (3 * ranks - 2) * pair, "all_reduce": parameters},
        "expert": {"all_to_all": 4 * layers * top * stream},  # there and back, forward and backward
        "pipeline": {"send_recv": 2 * stream},  # activations on, gradients back
    }  # fmt: skip
    checks.choice("parallelism", parallelism, sizes)
    return {name: bus_factor(name, ranks) * size for name, size in sizes[parallelism].items()}


def _of_stage(stage: ZeroStage, parameters: float, ranks: int) -> dict[str, float]:
    """Bytes by collective of a vector of which a ring over all `ranks` sends what ZeRO's `stage` does."""
    found = defaultdict[str, float](float)
    for what in stage.each_pass + stage.once:
        among, every = stage.among(what, ranks)
        found[what] += parameters / every * bus_factor(what, among) / bus_factor(what, ranks)
    return found


def seconds(sent: Mapping[str, float], job: nccl.Job) -> float:
    """Predicted seconds in `job` of the bytes `sent` by a rank: one collective after the other, none hidden.

    A collective is timed by its own size, of which a rank sends `bus_factor` times as much.
    """
    return sum(
        nccl.predict(name, size / bus_factor(name, job.gpus), job).seconds for name, size in sent.items()
    )

"""Two kinds of parallelism at once: the ranks in a table, in which each row and each column is a group.

mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))       # ranks 0 1 and 2 3
model = tensor.split(GPT(shape, seed), mesh["tensor"].get_group())              # a row shares a model
inputs, targets = batches(tokens, batch, length, step, mesh["data"].get_local_rank(), rows)
(loss(model(inputs), targets) / rows).backward()
sum_gradients(model.parameters(), mesh["data"].get_group())                     # a column has equal parts

By hand nothing is new. Notice the order: neighbours in rank share a node, so what sends most and waits for it
comes last: tensor parallelism inside nodes, data parallelism across (Narayanan et al., SC21, takeaway 1).
"""

from torch.distributed.device_mesh import DeviceMesh

from hpclab.parallel import sharded, tensor
from hpclab.workloads.gpt import GPT


def split_by_pytorch(model: GPT, mesh: DeviceMesh) -> GPT:
    """By DTensor along the rows, and along the columns by FSDP2, which shards what is left of each layer.

    FSDP averages gradients over a column by itself: there the loss is not divided by the rows.
    """
    return sharded.by_fsdp(tensor.split_by_pytorch(model, mesh["tensor"]), mesh=mesh["data"])

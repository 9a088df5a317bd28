"""Two kinds of parallelism at once: the ranks in a table, in which each row and each column is a group.

mesh = table("cpu", data=2, tensor=2)      # ranks 0 1, 2 3: a row shares the model, a column has the same part
model = split(GPT(shape, seed), mesh)
row, rows = mesh["data"].get_local_rank(), mesh["data"].size()
inputs, targets = batches(tokens, batch, length, step, row, rows)
(loss(model(inputs), targets) / rows).backward()
sum_gradients(model.parameters(), mesh["data"].get_group())

Neighbours in rank share a node, so what sends most and waits for it comes last: tensor parallelism inside
nodes, data parallelism across them (Narayanan et al., SC21, takeaway 1).
"""

from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

from hpclab.parallel import tensor as tensor_parallel
from hpclab.workloads.gpt import GPT


def table(device: str, data: int, tensor: int) -> DeviceMesh:
    """All ranks ("cpu" or "cuda"), as `data` rows of `tensor` neighbours each; RuntimeError if not so many."""
    return init_device_mesh(device, (data, tensor), mesh_dim_names=("data", "tensor"))


def split(model: GPT, mesh: DeviceMesh) -> GPT:
    """By hand: a row's ranks cut the model. All of a column have the same part, and sum its gradients."""
    return tensor_parallel.split(model, mesh["tensor"].get_group())


def split_by_pytorch(model: GPT, mesh: DeviceMesh) -> GPT:
    """By DTensor along the rows, and along the columns by FSDP2, which shards what is left of each layer.

    FSDP averages gradients over the column by itself: its loss is that of the row's sequences, not a share.
    """
    tensor_parallel.split_by_pytorch(model, mesh["tensor"])
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh["data"])
    return model

"""What checks of training share: a small problem, training in one process, and what "equal" means."""

import torch
import torch.distributed as dist

from hpclab.models.transformer import Transformer
from hpclab.workloads import digits, gpt

SHAPE = Transformer(layers=2, hidden=32, heads=4, sequence=8, vocabulary=32)
STEPS, BATCH, DEVICES = 3, 8, ["cpu"] + ["cuda"] * torch.cuda.is_available()


def language(device="cpu"):
    """The small GPT in double precision, its loss, and `batch(step, rank, ranks)`.

    In double precision another order of additions changes the 16th digit, so that 1e-9 tells it from a
    mistake; Adam, which divides by the gradient's size, would make more of single precision's 7th.
    """
    tokens = torch.randint(SHAPE.vocabulary, (500,), generator=torch.Generator().manual_seed(1))

    def batch(step, rank=0, ranks=1):
        both = gpt.batches(tokens, BATCH, SHAPE.sequence, step, rank, ranks)
        return tuple(one.to(device) for one in both)

    return gpt.GPT(SHAPE).double().to(device), gpt.loss, batch


def handwriting(device="cpu"):
    """The same for the convolutional network."""
    images, numbers = digits.images()

    def batch(step, rank=0, ranks=1):
        own = slice(BATCH * step + BATCH * rank // ranks, BATCH * step + BATCH * (rank + 1) // ranks)
        return images[own].double().to(device), numbers[own].to(device)

    return digits.ConvNet(8).double().to(device), torch.nn.functional.cross_entropy, batch


def alone(problem, device="cpu", optimizer=torch.optim.AdamW):
    """Losses and weights of training on the whole batch in one process."""
    model, loss_of, batch = problem(device)
    steps, losses = optimizer(model.parameters(), lr=1e-2), []
    for step in range(STEPS):
        inputs, targets = batch(step)
        steps.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        steps.step()
        losses.append(loss.item())
    return losses, dict(model.named_parameters())


def assert_equal(losses, weights, expected):
    """Losses of this rank's parts, and all weights by name, against what `alone` said."""
    mean = torch.tensor(losses, dtype=torch.float64)
    dist.all_reduce(mean)
    torch.testing.assert_close((mean / dist.get_world_size()).tolist(), expected[0], rtol=0, atol=1e-9)
    for name, weight in expected[1].items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-9, msg=name)

"""Lists to choose from that the widgets of training share: models and clusters, by what they are called."""

from typing import Any

from hpclab.models import gpu_cluster
from hpclab.models.transformer import MODELS
from hpclab.widgets.explorer import choose

POWERS = [2**power for power in range(11)]


def models(name: str) -> Any:
    """All of MODELS, `name` chosen."""
    return choose("Model", [*MODELS.items()], MODELS[name])


def clusters(label: str, *names: str) -> Any:
    """These clusters, the first of them chosen."""
    found = [gpu_cluster.named(name) for name in names]
    return choose(label, [(one.title, one) for one in found], found[0])

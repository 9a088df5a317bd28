"""What hardware there is: `probe()` for what is here, `catalogue` for named hardware with its sources."""

from hpclab.machine.description import Machine
from hpclab.machine.probe import probe

__all__ = ["Machine", "probe"]

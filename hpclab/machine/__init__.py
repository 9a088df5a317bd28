"""What hardware there is: `probe()` for what is here, `catalogue` for named hardware with its sources."""

from hpclab.machine.probe import Machine, probe

__all__ = ["Machine", "probe"]

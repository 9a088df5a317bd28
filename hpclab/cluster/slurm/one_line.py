"""Jobs and nodes as the last line of a cell shows them: one line each."""

from typing import Any


class OneLineJob:
    """Of a job in the queue where it runs or why it waits, of one that has ended its exit code."""

    def __repr__(self: Any) -> str:
        task = "" if self.array_task is None else f"_{self.array_task}"
        ended = hasattr(self, "exit_code")
        more = f"exit code {self.exit_code}" if ended else self.node_list or self.reason
        return f"<Job {self.array_job or self.id}{task} {self.name}: {self.state}{', ' * bool(more)}{more}>"


class OneLineNode:
    def __repr__(self: Any) -> str:
        return f"<Node {self.name}: {self.state}, {self.idle} of {self.cores} cores idle>"

"""A button that opens Dask's *Task Stream* below the notebook: each task a bar on its node, live.
dask-labextension has the panel; it finds the pool that runs now at the address `hpclab/dashboard` of the
learner's own server (cli/dashboard_proxy.py). Outside JupyterLab the button does nothing."""

import json

from IPython.display import HTML

PANEL = {"route": "/individual-task-stream", "label": "Task Stream", "key": "Task Stream"}


def button() -> HTML:
    """HTML of the button, to be shown once a pool is there: the panel then connects before the first map."""
    where = json.dumps({"item": PANEL, "options": {"mode": "split-bottom"}})
    return HTML(
        '<button class="hpclab-in-lab" style="font-size:14px;padding:4px 12px" type="button" '
        'title="Each task a bar on the node that runs it, live; close the panel when you have seen enough" '
        f"data-commandlinker-command='dask:launch-dashboard' data-commandlinker-args='{where}'>"
        "Watch the nodes at work: open Dask's Task Stream below</button>"
    )

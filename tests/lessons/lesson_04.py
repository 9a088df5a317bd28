"""Lesson 04's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

import re

WIDGETS = [
    (
        ["imports", "watch"],
        [
            ("holds", "slurm.kind == 'local' and slurm.submit('step.sh')"),
            ("see", re.compile(r"\d+ step")),
            ("see", re.compile(r"\d+ jobs? running, \d+ waiting; 4 nodes")),
            ("press", "button", "Stop refreshing", "Enter"),
            ("holds", "not view.running"),
            ("press", "button", "Refresh again", "Enter"),
            ("holds", "view.running"),
        ],
    ),
]

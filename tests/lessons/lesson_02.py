"""Lesson 02's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

import re

WIDGETS = [
    (
        ["imports", "add-unguarded", "add", "tracer"],
        [
            ("see", "reads a: 32 lanes, 4 sectors, as few as can be"),
            ("press", "slider", "Step", "ArrowRight"),
            ("see", "reads b: 32 lanes"),
            ("press", "slider", "Step", "End"),
            ("see", "writes total: 32 lanes"),
            ("choose", "Block", "7"),
            ("choose", "Warp", "3"),
            ("see", re.compile("Line . .*8 lanes")),
        ],
    ),
    (
        ["imports", "race"],
        [
            ("press", "slider", "Step", "ArrowRight"),
            ("see", "adds to bins: 32 lanes, 8 of them in turn at one address"),
        ],
    ),
    (
        ["imports", "tile"],
        [
            ("see", "Cost, bank conflict"),
            ("press", "slider", "Step", "ArrowRight", "ArrowRight", "ArrowRight"),
            ("see", "reads tile: 32 lanes, 32 passes, 31 of them for conflicts"),
        ],
    ),
]

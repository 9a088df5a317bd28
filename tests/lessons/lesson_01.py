"""Lesson 01's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

RUNS = """
from hpclab.results import Result
runs = {"iterate": [
    Result("threads", "makespan", 0.1 + 1 / n, "measured", parameters={"threads": n, "scaling": "strong"})
    for n in range(1, 7)
]}
ScalingLaws(runs)
"""
WIDGETS = [
    (
        ["imports", RUNS],
        [
            ("see", "s = 0.3"),
            ("press", "slider", "Serial share s", "ArrowRight"),
            ("see", "s = 0.305"),
            ("press", "button", "Fit to the points", "Enter"),
            ("gone", "s = 0.305"),
            ("choose", "Law", "USL"),
            ("press", "slider", "Coherency κ", "ArrowRight"),
            ("see", "κ = 0.0005"),
        ],
    ),
]

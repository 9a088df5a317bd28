"""Lesson 10's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

WIDGETS = [
    (
        ["from hpclab.widgets import pipeline_editor", "editor"],
        [
            ("see", "GPipe on 4 stages"),
            ("choose", "Schedule", "interleaved 1F1B"),
            ("see", "4 stages × 2 chunks"),
            ("press", "slider", "Last stage / others", "ArrowRight", "ArrowRight"),
            ("see", "of which ranks are idle"),
        ],
    ),
    (
        ["from hpclab.widgets import plan_chooser", "chooser"],
        [
            ("see", "Your plan cannot run"),
            ("choose", "Pipeline", "8"),
            ("see", "more than the fastest"),
            ("see", "pipeline across nodes"),
            ("choose", "On", "8 A100, 4× Omni-Path"),
            ("see", "tokens/s"),
        ],
    ),
]

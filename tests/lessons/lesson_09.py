"""Lesson 09's widget: the cells that show it, and what is done (see tests/browser/test_widgets.py)."""

WIDGETS = [
    (
        ["from hpclab.widgets import memory_calculator", "calculator"],
        [
            ("see", "It cannot run"),
            ("press", "slider", "ZeRO stage", "ArrowRight", "ArrowRight", "ArrowRight"),
            ("choose", "Recompute", "full"),
            ("see", "It fits."),
            ("press", "slider", "Pipeline", "ArrowRight"),
            ("see", "stage 1"),
            ("choose", "Model", "GPT-3, 175 B"),
            ("see", "2,6"),
        ],
    ),
]

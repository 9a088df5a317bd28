"""Lesson 06's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

WIDGETS = [
    (
        ["imports", "stepper"],
        [
            ("see", "before the first of 14 steps"),
            ("press", "slider", "Step", "ArrowRight"),
            ("see", "step 1 of 14"),
            ("choose", "Algorithm", "binomial tree"),
            ("see", "before the first of 6 steps"),
            ("press", "slider", "Step", "End"),
            ("see", "step 6 of 6"),
        ],
    ),
]

"""Lesson 00's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

WIDGETS = [
    (["imports", "table"], [("see", "cores"), ("see", "Slurm")]),
    (
        ["imports", "predict-one-core"],
        [
            ("fill", "Eight products on one core", "many"),
            ("press", "button", "Commit", "Enter"),
            ("see", "must be a number from 0.0001 to 100000 s, not 'many'."),
            ("holds", "guess.value is None"),  # the kernel is done with it: a value is held back until then
            ("fill", "Eight products on one core", "0.5"),
            ("press", "button", "Commit", "Enter"),
            ("see", "You predicted 0.5 s."),
            ("holds", "guess.value == 0.5"),
        ],
    ),
]

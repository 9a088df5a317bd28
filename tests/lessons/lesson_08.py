"""Lesson 08's widget: the cells that show it, and what is done (see tests/browser/test_widgets.py)."""

WIDGETS = [
    (
        [
            "imports",
            "pool = for_ranks.pool_for(2)",
            "spec = TrainSteps(ranks=(1, 2), steps=2)\nhere = spec.measure(pool)",
            "training_scaler.TrainingScaler(pool, replace(spec, link=Link(125e6)), asked.four_ranks(), here)",
        ],
        [
            ("press", "button", "Skip", "Enter"),
            ("press", "slider", "Ranks", "ArrowRight"),
            ("see", "came"),
            ("choose", "Show", "1,024 × DGX A100"),
            ("see", "Modelled at 1,024 GPUs"),
            ("choose", "Show", "loss against time"),
            ("see", "tokens/s"),
        ],
    ),
]

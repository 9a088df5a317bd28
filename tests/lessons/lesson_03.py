"""Lesson 03's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

WORKS = (
    "Roofline([Work(12 * 2**28, 2**28, name='vector add'), Work(12 * 4096**2, 2 * 4096**3, name='product')])"
)
WIDGETS = [
    (
        ["imports", WORKS],
        [
            ("choose", "Device", "NVIDIA H100 SXM5 80 GB"),
            ("see", "float32: achievable ridge at 17"),
            ("see", "3.35 TB/s"),
            ("press", "slider", "Precision", "ArrowRight"),
            ("see", "TF32: achievable ridge at"),
            ("press", "slider", "Uses of a byte", "ArrowRight"),
            ("see", "Moved: "),
            ("choose", "Show", "bytes/s"),
            ("see", "Needed bytes per second"),
        ],
    ),
]

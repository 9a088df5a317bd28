"""Lesson 07's widgets: the cells that show each, and what is done (see tests/browser/test_widgets.py)."""

WIDGETS = [
    (
        ["imports", "write", "store", "timeline"],
        [
            ("see", "files, 0 workers: the accelerator is busy"),
            ("press", "slider", "Workers", "ArrowRight", "ArrowRight"),
            ("see", "files, 2 workers: the accelerator is busy"),
            ("choose", "Data", "shards"),
            ("see", "shards, 2 workers: the accelerator is busy"),
        ],
    ),
    (
        [
            "imports",
            "site = Store((Server(50e6),) * 4, metadata=1000, link=100e6)\nfound, eight = [], None",
            "striping",
        ],
        [
            ("see", "8 clients"),
            ("see", "servers bind"),
            ("press", "slider", "File size", "Home"),
            ("see", "metadata binds"),
            ("choose", "Store", "Lustre, 4 × 8 NVMe"),
            ("press", "slider", "Clients", "Home"),
            ("see", "1 client:"),
        ],
    ),
]

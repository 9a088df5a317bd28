"""What is done with each lesson's widgets (see tests/browser/test_widgets.py): for each widget the cells that
show it, and the steps. Lesson 05 is driven whole, as a person would: tests/browser/test_lesson_05.py."""

import re

_RUNS = """
from hpclab.results import Result
runs = {"iterate": [
    Result("threads", "makespan", 0.1 + 1 / n, "measured", parameters={"threads": n, "scaling": "strong"})
    for n in range(1, 7)
]}
ScalingLaws(runs)
"""
_WORKS = (
    "Roofline([Work(12 * 2**28, 2**28, name='vector add'), Work(12 * 4096**2, 2 * 4096**3, name='product')])"
)
# fmt: off
WIDGETS: dict[str, list] = {
    "00": [
        (["imports", "table"], [("see", "cores"), ("see", "Slurm")]),
        (["imports", "predict-one-core"], [
            ("fill", "Eight products on one core", "many"), ("press", "button", "Commit", "Enter"),
            ("see", "must be a number from 0.0001 to 100000 s, not 'many'."),
            ("holds", "guess.value is None"),  # the kernel is done with it: a value is held back until then
            ("fill", "Eight products on one core", "0.5"),
            ("press", "button", "Commit", "Enter"), ("see", "You predicted 0.5 s."),
            ("holds", "guess.value == 0.5"),
        ]),
    ],
    "01": [
        (["imports", _RUNS], [
            ("see", "s = 0.3"), ("press", "slider", "Serial share s", "ArrowRight"), ("see", "s = 0.305"),
            ("press", "button", "Fit to the points", "Enter"), ("gone", "s = 0.305"),
            ("choose", "Law", "USL"), ("press", "slider", "Coherency κ", "ArrowRight"), ("see", "κ = 0.0005"),
        ]),
    ],
    "02": [
        (["imports", "add-unguarded", "add", "tracer"], [
            ("see", "reads a: 32 lanes, 4 sectors, as few as can be"),
            ("press", "slider", "Step", "ArrowRight"), ("see", "reads b: 32 lanes"),
            ("press", "slider", "Step", "End"), ("see", "writes total: 32 lanes"), ("choose", "Block", "7"),
            ("choose", "Warp", "3"), ("see", re.compile("Line . .*8 lanes")),
        ]),
        (["imports", "race"], [
            ("press", "slider", "Step", "ArrowRight"),
            ("see", "adds to bins: 32 lanes, 8 of them in turn at one address"),
        ]),
        (["imports", "tile"], [
            ("see", "Cost, bank conflict"),
            ("press", "slider", "Step", "ArrowRight", "ArrowRight", "ArrowRight"),
            ("see", "reads tile: 32 lanes, 32 passes, 31 of them for conflicts"),
        ]),
    ],
    "03": [
        (["imports", _WORKS], [
            ("choose", "Device", "NVIDIA H100 SXM5 80 GB"), ("see", "float32: achievable ridge at 17"),
            ("see", "3.35 TB/s"), ("press", "slider", "Precision", "ArrowRight"),
            ("see", "TF32: achievable ridge at"), ("press", "slider", "Uses of a byte", "ArrowRight"),
            ("see", "Moved: "), ("choose", "Show", "bytes/s"), ("see", "Needed bytes per second"),
        ]),
    ],
    "04": [
        (["imports", "watch"], [
            ("holds", "slurm.kind == 'local' and slurm.submit('step.sh')"), ("see", re.compile("\\d+ step")),
            ("see", re.compile("\\d+ jobs? running, \\d+ waiting; 4 nodes")),
            ("press", "button", "Stop refreshing", "Enter"), ("holds", "not view.running"),
            ("press", "button", "Refresh again", "Enter"), ("holds", "view.running"),
        ]),
    ],
    "06": [
        (["imports", "stepper"], [
            ("see", "before the first of 14 steps"), ("press", "slider", "Step", "ArrowRight"),
            ("see", "step 1 of 14"), ("choose", "Algorithm", "binomial tree"),
            ("see", "before the first of 6 steps"), ("press", "slider", "Step", "End"),
            ("see", "step 6 of 6"),
        ]),
    ],
    "07": [
        (["imports", "write", "store", "timeline"], [
            ("see", "files, 0 workers: the accelerator is busy"),
            ("press", "slider", "Workers", "ArrowRight", "ArrowRight"),
            ("see", "files, 2 workers: the accelerator is busy"), ("choose", "Data", "shards"),
            ("see", "shards, 2 workers: the accelerator is busy"),
        ]),
        ([
            "imports",
            "site = Store((Server(50e6),) * 4, metadata=1000, link=100e6)\nfound, eight = [], None",
            "striping",
        ], [
            ("see", "8 clients"), ("see", "servers bind"), ("press", "slider", "File size", "Home"),
            ("see", "metadata binds"), ("choose", "Store", "Lustre, 4 × 8 NVMe"),
            ("press", "slider", "Clients", "Home"), ("see", "1 client:"),
        ]),
    ],
    "08": [
        ([
            "imports", "pool = for_ranks.pool_for(2)",
            "spec = TrainSteps(ranks=(1, 2), steps=2)\nhere = spec.measure(pool)",
            "training_scaler.TrainingScaler(pool, replace(spec, link=Link(125e6)), asked.four_ranks(), here)",
        ], [
            ("press", "button", "Skip", "Enter"), ("press", "slider", "Ranks", "ArrowRight"), ("see", "came"),
            ("choose", "Show", "1,024 × DGX A100"), ("see", "Modelled at 1,024 GPUs"),
            ("choose", "Show", "loss against time"), ("see", "tokens/s"),
        ]),
    ],
    "09": [
        (["from hpclab.widgets import memory_calculator", "calculator"], [
            ("see", "It cannot run"),
            ("press", "slider", "ZeRO stage", "ArrowRight", "ArrowRight", "ArrowRight"),
            ("choose", "Recompute", "full"), ("see", "It fits."),
            ("press", "slider", "Pipeline", "ArrowRight"), ("see", "stage 1"),
            ("choose", "Model", "GPT-3, 175 B"), ("see", "2,6"),
        ]),
    ],
    "10": [
        (["from hpclab.widgets import pipeline_editor", "editor"], [
            ("see", "GPipe on 4 stages"), ("choose", "Schedule", "interleaved 1F1B"),
            ("see", "4 stages × 2 chunks"),
            ("press", "slider", "Last stage / others", "ArrowRight", "ArrowRight"),
            ("see", "of which ranks are idle"),
        ]),
        (["from hpclab.widgets import plan_chooser", "chooser"], [
            ("see", "Your plan cannot run"), ("choose", "Pipeline", "8"), ("see", "more than the fastest"),
            ("see", "pipeline across nodes"), ("choose", "On", "8 A100, 4× Omni-Path"), ("see", "tokens/s"),
        ]),
    ],
}

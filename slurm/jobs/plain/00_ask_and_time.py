"""What may this process really use, and how fast is one of its cores?"""
# Run: python 00_ask_and_time.py

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"  # one thread: set before NumPy comes

import time
from pathlib import Path

import numpy

print("cores of the machine:       ", os.cpu_count())
if hasattr(os, "sched_getaffinity"):
    print("cores this process may use: ", len(os.sched_getaffinity(0)))
for name in ("SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE"):
    if name in os.environ:
        print(f"{name}:".ljust(28), os.environ[name])

# A container or a job may get less of each core, and less memory.
own, root = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
lines = own.read_text().splitlines() if own.exists() else []
mine = next((line[4:] for line in lines if line.startswith("0::/")), "")
for folder in (root / mine, root):
    for name in ("cpu.max", "memory.max"):  # microseconds a period; bytes
        if (folder / name).exists():
            print(f"{folder / name}: {(folder / name).read_text().strip()}")

SIZE, times = 1000, []
matrix = numpy.random.default_rng(0).random((SIZE, SIZE))
for _ in range(8):
    wall, cpu = time.perf_counter(), time.process_time()
    matrix @ matrix
    times.append((time.perf_counter() - wall, time.process_time() - cpu))
wall, cpu = sorted(times[1:])[3]  # the first call pays for starting up
print(f"one core: {2 * SIZE**3 / wall / 1e9:.1f} GFLOP/s, the median of 7")
print(f"wall time {wall:.4f} s, CPU time {cpu:.4f} s")
print("Where the wall time is much longer, others had the core as well.")

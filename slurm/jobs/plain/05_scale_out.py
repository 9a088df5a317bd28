"""Spread independent work over nodes with Dask, and time it."""
# Run: python 05_scale_out.py

import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from dask.distributed import Client, LocalCluster
from dask_jobqueue import SLURMCluster


def count_words(names):
    """One task: names travel to the node, and a number comes back."""
    return sum(len(Path(name).read_bytes().split()) for name in names)


if __name__ == "__main__":
    nodes, chunk = 2, 50  # jobs, files a task
    files = sorted(map(str, Path(sysconfig.get_path("stdlib")).glob("*.py")))
    chunks = [files[i : i + chunk] for i in range(0, len(files), chunk)]
    serial = count_words(files)  # what every run must give
    own = tempfile.TemporaryDirectory()  # Dask's in /tmp may be another user's
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if shutil.which("sinfo") and subprocess.call(["sinfo"], **quiet) == 0:
        cluster = SLURMCluster(cores=1, memory="1 GB", walltime="00:10:00")
        cluster.scale(jobs=nodes)  # partition, account: see jobqueue.yaml
    else:
        here = {"threads_per_worker": 1, "local_directory": own.name}
        cluster = LocalCluster(n_workers=nodes, **here)
    with own, cluster, Client(cluster) as client:
        client.wait_for_workers(nodes, timeout=600)
        begin = time.perf_counter()
        parts = client.gather(client.map(count_words, chunks, pure=False))
        seconds = time.perf_counter() - begin
        assert sum(parts) == serial, "the answer depends on who did what"
        print(f"{type(cluster).__name__}, {nodes} nodes, {len(chunks)} chunks:")
        print(f"{sum(parts):,} words in {seconds:.2f} s")

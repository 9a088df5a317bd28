"""What Slurm prints of jobs and nodes, as sites have it."""

from hpclab.cluster.slurm import records


def test_accounting_and_gpus_as_sites_print_them():
    line = records.SEPARATOR.join(
        ["12_3", "a", "CANCELLED by 7", "gpu", "2", "n[1-2]", "2026-11-21T08:00:00", "Unknown",
         "2026-11-21T08:00:05", "0:15", "1-00:00:00"]
    )  # fmt: skip
    (job,) = records.read_accounting(line + "\n" + line.replace("CANCELLED by 7", "RUNNING"))
    assert (job.id, job.array_task, job.state, job.started, job.exit_code) == (12, 3, "CANCELLED", None, 143)
    assert job.limit == 86400
    node = records.SEPARATOR.join(
        ["n1", "mixed", "64", "515000", "gpu:a100:4(S:0-1),gpu:v100:2,lustre:1", "none", "60/3/1/64"]
    )
    (read,) = records.read_nodes(node)
    assert (read.gpus, read.cores, read.idle, read.reason) == (6, 64, 3, "")
    assert read.memory == 515_000 * 2**20
    assert records.read_nodes("nonsense\n\x00\n") == records.read_queue("a\x1fb\n") == []
    assert records.read_completion_log("\ngarbage\nJobId=x") == []

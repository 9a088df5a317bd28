"""Logs of nccl-tests and of the OSU micro-benchmarks, as they are printed and as launchers change them."""

import pytest

START = "# Collective test starting: all_reduce_perf\n"
HEAD = (
    "# nThread 1 nGpus 1 minBytes 8 maxBytes 8388608 step: 2(factor) agg iters: 1 validation: 1 graph: 0\n#\n"
)
RANKS = "# Using devices\n" + "".join(
    f"#  Rank {n:2} Group  0 Pid   40{n:02} on    gpu-a01 device  {n} [0000:{n}b:00] NVIDIA H100 80GB HBM3\n"
    for n in range(8)
)
TITLES = """#                                           out-of-place                       in-place
#      size      count     type   redop    root    time   algbw   busbw #wrong    time   algbw   busbw #wrong
#       (B) (elements)                             (us)  (GB/s)  (GB/s)           (us)  (GB/s)  (GB/s)
"""
LINES = """          0          0   float   sum     -1   11.2    0.00    0.00    0   11.1    0.00    0.00    0
    8388608    2097152    float     sum      -1   69.10  121.40  212.45      0   68.70  122.10  213.68    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 60.9
"""
LOG = START + HEAD + RANKS + TITLES + LINES
OSU = """# OSU MPI Latency Test v7.4
# Datatype: MPI_CHAR.
# Size       Avg Latency(us)
0                       1.00
8192                    3.41
"""


@pytest.fixture
def read(predicted):
    return lambda text, name="slurm-123.out", network="": predicted(text, name, network)


def edited(old, new):
    assert old in LOG
    return LOG.replace(old, new)


@pytest.mark.parametrize(
    "text",
    [
        LOG, LOG.replace("\n", "\r\n"), "\n".join(f"0: {line}" for line in LOG.split("\n")),
        "\n".join(f"[1,0]<stdout>:{line}" for line in LOG.split("\n")), f"\x1b[32m{LOG}\x1b[0m",
        edited(START, "$ mpirun -np 8 ./build/all_reduce_perf -b 8 -f 2\n"), edited(" Group  0", ""),
        edited("    8388608", "gpu-a01:4001:4050 [0] NCCL INFO Channel 00/0 : 0 -> 1\n    8388608"),
        LOG.replace("    sum      -1 ", "    sum "), edited("# Avg bus bandwidth    : 60.9\n", ""),
    ],
)  # fmt: skip
def test_a_log_of_nccl_tests_says_what_its_rows_need(text, read):
    nothing, one = read(text)
    assert nothing.observation.empty
    assert (one.observation.size, one.observation.value) == (8388608, pytest.approx(68.7e-6))
    case = one.observation.case
    assert (case.collective, case.gpus, case.nodes) == ("all_reduce", 8, 1)
    assert case.system == "NVIDIA H100 80GB HBM3"
    assert one.error < 0.2


@pytest.mark.parametrize("program", ["reduce_scatter", "alltoall", "sendrecv", "all_gather", "broadcast"])
def test_each_program_is_its_collective(program, read):
    text = LOG.replace("all_reduce_perf", f"{program}_perf").replace("68.70  122.10  213.68", "N/A N/A N/A")
    one = read(text)[1]
    assert one.value is not None
    assert one.observation.value == pytest.approx(69.1e-6)
    name = f"{program}_h100.log"
    assert read(LOG.replace(START, ""), name)[1].observation.case == one.observation.case


def test_two_tables_in_one_log_are_two_runs(read):
    found = read(LOG + LOG.replace("all_reduce", "all_gather").replace("H100 80GB HBM3", "H200"))
    told = [(one.observation.case.collective, one.observation.case.system) for one in found[1::2]]
    assert told == [("all_reduce", "NVIDIA H100 80GB HBM3"), ("all_gather", "NVIDIA H200")]


def test_a_network_is_asked_for_and_taken(read):
    text = LOG
    for n in range(4, 8):
        text = text.replace(f"Pid   40{n:02} on    gpu-a01", f"Pid   40{n:02} on    gpu-a02")
    without, told = read(text)[1], read(text, network="4x NDR")[1]
    assert "the network between its nodes" in without.note
    assert told.value is not None
    assert told.observation.case.nodes == 2
    assert read(text, network="many of them")[1].value is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LOG.replace(START, ""), "does not say which collective"),
        (edited(RANKS, ""), "on which GPUs it ran"),
        (edited("   68.70  122.10  213.68    N/A", ""), "line 17 has 5 numbers"),
        (LOG[: LOG.index("2097152")], "line 17 has 0 numbers"),
        (LOG.replace("#  Rank  1 ", "#  Rank  0 "), "two processes of nccl-tests are rank 0"),
        (edited(LINES, ""), "without a line of measurements"),
        (edited("68.70", "fast"), "row 17: time_us_in_place"),
        (",,,,,out-of-place,,,,in-place,,,\nsize,count,type,redop,root,time,algbw,busbw,#wrong\n",
         "CSV that nccl-tests writes.*size_bytes"),
        (OSU + "4096\n", "row 6: value must be a number .*cut off"),
        (OSU.replace("\n0  ", "\n#0  ").replace("\n8192", "\n#8192"), "without a line"),
    ],
)  # fmt: skip
def test_a_log_that_says_too_little_is_refused_by_line(text, said, read):
    with pytest.raises(ValueError, match=f"slurm-123.out.*{said}"):
        read(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("agg iters: 1", "agg iters: 16"), ("graph: 0", "graph: 20"), ("H100 80GB HBM3", "H100 PCIe"),
        ("Rank  7 Group  0 Pid   4007 on    gpu-a01", "Rank  7 Group  0 Pid   4007 on    gpu-a02"),
    ],
)  # fmt: skip
def test_a_log_of_another_way_of_running_is_not_placed(old, new, read):
    assert [one.value for one in read(edited(old, new), network="4x NDR")] == [None, None]


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        (OSU, "latency"), ("0: " + OSU.replace("\n", "\n0: ").removesuffix("0: "), "latency"),
        (OSU.replace("Avg Latency(us)", "Latency (us)").replace(" v7.4", ""), "latency"),
        (OSU.replace("Latency Test", "Bandwidth Test").replace("3.41", "9000.0    Pass")
         .replace("Avg Latency(us)", "Bandwidth (MB/s)   Validation"), "bandwidth"),
        ("$ srun -N 2 osu_alltoall\n" + OSU.replace("Latency", "All-to-All Personalized Exchange Latency", 1)
         .replace("Avg Latency(us)", "Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations")
         .replace("3.41", "3.41  3.2   3.9   1000"), "time"),
    ],
)  # fmt: skip
def test_osus_own_tables_are_read(text, quantity, read):
    found = read(text, network="InfiniBand HDR100")
    assert found[1].observation.quantity == quantity
    assert found[1].value is not None
    assert "its network is not named" in read(text)[1].note

"""Words of a row read whole, or the row not placed, with the words that were not understood."""

import pytest

from hpclab.models.nccl_links import NVLINKS
from hpclab.validation.collective_rows import Case, job
from hpclab.validation.score import NotPlaced

OSU = "system,network,case,stack,test,size_bytes,value,unit\n"
A100 = "A100-SXM4-40GB, 8 per node"
PORTS = [  # of a node, as people write them: Gb/s, or words of what was not understood
    ("4×HDR InfiniBand", 800), ("HDR x4", 800), ("InfiniBand HDR (4 ports)", 800),
    ("four HDR cards each", 800), ("HDR: 4 HCAs", 800), ("quad-rail HDR", 800),
    ("1 NIC per 2 GPUs, HDR", 800), ("4x HDR (800 Gb/s per node)", 800), ("400Gx8 RoCE", 3200),
    ("8x ConnectX-7 (400Gb/s)", 3200), ("NDR400, one NIC per GPU", 3200), ("3.2 Tb/s EFA v2", 3200),
    ("NDR InfiniBand 8 per node", 3200), ("400Gb/s per GPU", 3200), ("single HDR100", 100),
    ("1600 Gb/s per node", 1600), ("800 Gbps total", 800), ("4x OPA-100", 400),
    ("800 Gb/s inter-node RoCE v2", 800), ("4x Slingshot-11 (200Gb/s)", 800), ("2x FDR 56Gb/s", 109),
    ("HDR", "how many ports"), ("4 ports", "rate, is not stated"), ("4x 2x HDR", "'4', 'x' in its words"),
    ("8x 400Gb/s per GPU", "'8 x 400gb/s'"), ("HDR 4x", "'4x'"), ("4X EDR", "'4lanes'"),
    ("4x HDR with SHARP", "'sharp'"), ("EDR400", "'edr400'"), ("4x HDR and 2x 100GbE", "two rates of a port"),
    ("4x HDR, 2 ports", "two numbers of ports"), ("4x HDR (1600 Gb/s per node)", "two rates of a node"),
    ("4x 25 GB/s InfiniBand", "read in Gb/s"), ("x" * 5000, "is not understood"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("system", "network", "in_use", "expected"),
    [
        *((A100, network, 8, expected) for network, expected in PORTS),
        # fewer GPUs than a node has use their share of its ports
        ("A100, 8 per node", "4x HDR", 4, 400), ("A100, 8 per node", "4x HDR", 1, 200),
        ("8x H100 SXM", "8x NDR", 1, 400), ("V100 4/node", "InfiniBand EDR", 4, 100),
        ("V100", "EDR", 1, 100), ("H100", "8x NDR", 1, "which of its"),
        ("H100, 8 per node", "1600 Gb/s per node", 2, "of its 8"),
        ("8x A100, 4x HDR", "4x 200Gb/s", 8, 800), ("V100 DGX-2, 8x EDR", "", 16, 800),
        ("3 nodes of 8 A100, four HDR cards each", "", 8, 800), ("Alps GH200 Slingshot-11", "", 4, 800),
        ("GH200, 4 per node", "Slingshot-11 (cxi, aws-ofi-nccl)", 2, 400),
        ("8 A100 per node, 4 HDR ports per node", "", 8, 800),
    ],
)  # fmt: skip
def test_a_share_of_a_nodes_ports_is_understood_or_the_row_not_placed(system, network, in_use, expected):
    case = Case(system, network, "all_reduce", 3 * in_use, 3, 2.0**27)
    if isinstance(expected, int):
        assert job(case).network_bandwidth * 8 / 1e9 == pytest.approx(expected)
    else:
        with pytest.raises(NotPlaced, match=expected):
            job(case)


@pytest.mark.parametrize(
    "words",
    [
        "NVIDIA A100-PCIE-40GB", "4x A100 PCIe, NVLink bridge pairs", "8x A100 PCIe 4.0", "NVIDIA H100 NVL",
        "8x H800 NVLink4", "A100 NVLink 400 GB/s", "H100 94GB", "NVIDIA H100 80GB HBM2e", "V100S", "A100X",
        "8x GH200", "4x GB200 NVLink5", "A100-SXM4-40GB MIG 1g.5gb", "half of a DGX A100", "MI250X",
        "A100, no NVSwitch", "H100 and A100", "V100 NVLink3", "B200 NVL72",
    ],
)  # fmt: skip
def test_cut_down_cards_and_other_ways_of_joining_are_not_their_full_sibling(words):
    with pytest.raises(NotPlaced):
        job(Case(words, "", "all_reduce", 8, 1, 2.0**20))


@pytest.mark.parametrize(
    ("words", "nvlink", "node"),
    [
        ("NVIDIA H100 80GB HBM3", "nvlink4", 8), ("Tesla V100-SXM2-32GB, 4/node", "nvlink2", 4),
        ("V100 DGX-2", "nvlink2", 16), ("Selene DGX A100 (8 GPUs)", "nvlink3", 8),
        ("CSD3 4x A100 SXM4 80 GB, PCIe 4.0 x16", "nvlink3", 4), ("H100 SXM5, NVLink 900GB/s", "nvlink4", 8),
        ("8x H200 NVLink4 (torch all_reduce_bench, NVLS auto), NCCL 2.18.3", "nvlink4", 8),
        ("Grace Hopper, 4 per node", "nvlink4", 4),
    ],
)  # fmt: skip
def test_whole_boards_are_placed(words, nvlink, node):
    placed = job(Case(words, "", "all_reduce", 4, 1, 2.0**20))
    assert placed.nvlink is NVLINKS[nvlink]
    assert placed.node_gpus == node


def test_nvls_that_is_off_is_off():
    def nvls(words):
        return job(Case(words, "", "all_reduce", 8, 1, 2.0**20)).nvls

    assert nvls("8x H100 NVLS auto")
    assert not any(nvls(f"8x H100, {off}") for off in ("NVLS off", "no NVLS", "NCCL_NVLS_ENABLE=0"))


@pytest.mark.parametrize(
    ("system", "network", "gpus", "nodes", "per_node", "expected"),
    [
        (A100, "4x HDR", 24, 0, 0, 3),
        ("A100", "", 8, 0, 0, 1), ("8x A100", "4x HDR", 8, 0, 0, 1), ("A100", "4x HDR", 0, 3, 8, 3),
        ("16-node cluster, A100 8 per node", "4x HDR", 24, 3, 0, 3),
        ("A100", "", 24, 0, 0, "on how many nodes"),
        ("A100", "4x HDR", 8, 0, 0, "on how many nodes"),
        (A100, "4x HDR", 20, 0, 0, "do not agree"), (A100, "4x HDR", 0, 3, 0, "GPUs are not stated"),
        (A100, "4x HDR", 25, 3, 0, "evenly"), (A100, "4x HDR", 32, 2, 0, "do not agree"),
        (A100, "4x HDR", 24, 3, 4, "do not agree"),
    ],
)  # fmt: skip
def test_a_row_says_on_how_many_nodes_its_gpus_are(system, network, gpus, nodes, per_node, expected):
    case = Case(system, network, "all_reduce", gpus, nodes, 2.0**20, per_node)
    if isinstance(expected, int):
        assert job(case).nodes == expected
    else:
        with pytest.raises(NotPlaced, match=expected):
            job(case)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("system,gpu", "8x A100,A100 PCIe"), ("gpu,topology", "A100,NVLink bridge pairs"),
        ("system,network,interconnect", "A100,4x HDR,2x EDR"),
    ],
)  # fmt: skip
def test_no_column_hides_another(columns, row, predicted):
    found = predicted(f"{columns},gpus,nodes,size_bytes,time_us\n{row},16,2,1048576,100\n")
    assert [one.value for one in found] == [None]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Alps Slingshot-11,,intra-node,,osu_bw", "inside its node"),
        ("A100 PCIe,,intra-node,,osu_bw D D", "PCIe cards"),
        ("x,dual-rail EDR,,,osu_bw", "how many of its ports"),
        ("x,HDR100 over WiFi,,,osu_bw", "'wifi'"), ("x,HDR100,,,osu_latency_mt", "no model"),
        ("x,HDR100,,,osu_allreduce", "how many processes"), ("x,HDR100,,,MPI Init Test", "no model"),
    ],
)  # fmt: skip
def test_a_message_that_went_otherwise_is_not_placed(row, said, predicted):
    unit = "us" if "latency" in row else "MB/s"
    (one,) = predicted(f"{OSU}{row},65536,8,{unit}\n", "osu_mine.csv")
    assert one.value is None
    assert said in one.note


@pytest.mark.parametrize(
    ("row", "like"),
    [
        ("x,HDR100,,,osu_bw -d cuda D D", "x,HDR100,GPU-to-GPU memory,,MPI-CUDA Bandwidth"),
        ("GH200,cxi,intra-node,,osu_bw D D", "GH200 Slingshot-11,,GPU memory intra-node,,MPI Bandwidth"),
        ("GH200,Slingshot,inter-node,,osu_bw", "Alps GH200 Slingshot-11,,CPU-to-CPU memory,,MPI Bandwidth"),
        ("x,HDR100,,ucx-tcp,osu_bw", "x,IPoIB (100Gb/s),,,osu_bw"),
    ],
)  # fmt: skip
def test_a_bandwidth_test_has_two_processes_without_being_told(row, like, predicted):
    rows = "".join(f"{words},4194304,20000,MB/s\n" for words in (row, like))
    one, other = (found.value for found in predicted(OSU + rows, "osu_mine.csv"))
    assert one == other > 1e9

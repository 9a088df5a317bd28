"""Rows of IO500 and MLPerf Storage: what they say of the hardware, what is refused, and how far it holds."""

import pytest

from hpclab.validation import predictions, storage_rows
from hpclab.validation.score import scores
from hpclab.validation.tables import Row

ROW = {
    "system": "x", "filesystem": "Lustre", "client_nodes": "10", "client_procs": "160", "md_nodes": "1",
    "ds_nodes": "2", "ds_storage_devices": "10", "ds_storage_type": "NVMe", "ds_interface": "",
    "ds_network": "InfiniBand EDR", "ior_easy_read_gib_per_s": "20", "ior_hard_write_gib_per_s": "2",
    "mdtest_hard_write_kiops": "10",
}  # fmt: skip
ACCELERATED = {
    "system": "Micron_9400_NVMe", "workload": "unet3d", "accelerator_emulated": "h100", "num_hosts": "1",
    "num_accelerators": "1", "io_throughput_gib_per_s_mean": "2.8", "accelerator_utilisation_pct_mean": "95",
}  # fmt: skip


@pytest.fixture
def judged(predicted):
    def judge(*changes, of=ROW):
        lines = [of, *({**of, **change}.values() for change in changes or [{}])]
        text = "\n".join(",".join(f'"{field}"' for field in line) for line in lines)
        return predicted(text, "storage_mine.csv")

    return judge


def test_a_row_is_bound_by_ports_drives_or_clients(judged):
    ports = 2 * 12.5e9 * storage_rows.PORTS  # 10 drives read 0.65 · 32 GB/s, more than a server's ports
    assert judged()[0].value == pytest.approx(ports)
    disks = {"ds_storage_type": "HDD", "ds_storage_devices": "20"}
    assert judged(disks)[0].value == pytest.approx(2 * 20 * 0.25 * 0.27e9)
    assert judged({"client_nodes": "1", "client_procs": "8"})[0].value == pytest.approx(8 * 0.7e9)
    assert judged({**disks, "filesystem": "CephFS"})[0].value == pytest.approx(0.3 * 2 * 20 * 0.25 * 0.27e9)
    assert judged(disks)[1].value == pytest.approx(4.3e3 * 47008)  # locks of ten clients
    assert judged({"filesystem": "IME"})[1].value == pytest.approx(0.8 * 2 * 10 * 0.65 * 1.8e9)
    assert judged({"filesystem": "DAOS"})[2].value == pytest.approx(160 / 0.3e-3, rel=0.01)


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({"ds_nodes": "4", "ds_storage_devices": "1,120"}, (4, "nvme-pcie3", 280, 12.5e9)),  # of all servers
        ({"ds_nodes": "12 All Flash, 56 Hybrid"}, (12, "nvme-pcie3", 10, 12.5e9)),
        ({"ds_storage_type": "SSD", "ds_interface": "SATA"}, (2, "ssd-sata", 10, 12.5e9)),
        ({"ds_storage_type": "NL-SAS,7.2K HDD"}, (2, "hdd-nl-sas", 10, 12.5e9)),
        ({"ds_storage_type": "", "ds_interface": "PCIe 3.0 x8"}, (2, "nvme-pcie3", 10, 12.5e9)),
        ({"ds_network": "Ethernet 8x1gigabit"}, (2, "nvme-pcie3", 10, 1e9)),
        ({"ds_network": "OPA"}, (2, "nvme-pcie3", 10, 12.5e9)),
    ],
    ids=str,
)
def test_words_and_counts_are_read_leniently(change, read):
    assert storage_rows._servers(Row("storage_x.csv", 2, ROW | change)) == read


def test_what_is_not_said_is_not_placed_in_one_sentence_and_nothing_raises(judged):
    for column in ("client_nodes", "client_procs", "ds_nodes", "ds_storage_devices"):
        unsaid = judged(*({column: bad} for bad in ("", "0", "-1", "nan", "many", "12345678")))
        assert {(one.note, one.unsaid) for one in unsaid} == {(f"its {column} is not stated", True)}
        huge = judged({column: "999999"}, {column: "1e30"})
        assert all(one.value is None or one.value > 0 for one in huge)
    assert judged({"ds_storage_type": "tape"})[0].note.startswith("which type of drives 'tape'")
    (note,) = {one.note for one in judged(of={name: ROW[name] for name in ROW if name[:3] != "ds_"})}
    assert note.startswith("nothing is said of its servers")


def test_what_is_no_number_or_no_such_table_names_row_field_and_columns(judged, predicted):
    for bad in ("fast", "-1", "1e30", "inf"):
        with pytest.raises(ValueError, match=r"storage_mine.csv, row 3: ior_easy_read_gib_per_s must be"):
            judged({}, {"ior_easy_read_gib_per_s": bad})
    with pytest.raises(ValueError, match=r"neither of IO500 .* nor of MLPerf"):
        predicted("other_kiops,ior_easy_write\n1,1\n", "storage_sites.csv")
    with pytest.raises(ValueError, match="lacks the column system"):
        predicted("workload,accelerator_emulated\nunet3d,a100\n", "storage_mlperf.csv")


def test_the_baseline_is_the_median_of_the_same_type(judged):
    read, other = "ior_easy_read_gib_per_s", "ds_storage_type"
    found = judged({}, {read: "40"}, {other: "SSD"}, {read: "50"}, {other: "HDD", read: "0"})[::3]
    assert [one.baseline / 2**30 for one in found[:4]] == [40, 40, 20, 40]
    assert found[4].baseline != found[4].baseline  # none is known


def test_accelerators_wait_where_their_storage_is_slower(judged):
    idle, full, over = judged({}, {"num_accelerators": "2"}, {"num_accelerators": "4"}, of=ACCELERATED)[1::2]
    assert 0.95 < idle.value < 0.97  # 3.2 of 7 GB/s
    assert full.value == pytest.approx(0.96 * (1 + (6.35 / 7) ** 8) ** (-1 / 8), rel=0.01)
    assert over.value == pytest.approx(0.96 * 7 / 12.7, rel=0.01)
    for change in ({"system": "a"}, {"system": "1x7TiB_nvme_2xHDR200"}, {"accelerator_emulated": "b"}):
        assert all(one.unsaid for one in judged(change, of=ACCELERATED))
    assert judged({"num_hosts": "some"}, of=ACCELERATED)[0].value is None


def test_the_tables_that_ship():
    paths = [path for path in predictions.shipped() if path.name.startswith("storage")]
    found = {score.quantity: score for path in paths for score in scores(predictions.predict(path))}
    assert found["io_throughput"].mean_error < 0.06
    assert found["accelerator_utilisation"].mean_error < 0.05
    for name in ("ior_easy_write", "ior_easy_read", "ior_hard_write"):
        assert found[name].within_2x > max(0.5, found[name].baseline_within_2x)

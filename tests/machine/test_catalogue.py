"""The catalogue: every number has a source and a unit; what is wrong in a file is named down to the field."""

import tomllib

import pytest

from hpclab.machine import catalogue

KINDS = {  # kind -> the fields it must have, the fields it may have
    "gpu": (
        {"memory"},
        {"memory_bandwidth", "stream_bandwidth", "cache_bandwidth", "memory_latency", "power",
         "link_bandwidth", "fp64", "fp64_matrix", "fp32", "tf32", "fp16", "bf16", "fp8", "matmul_fp64",
         "matmul_fp32", "matmul_tf32", "matmul_fp16", "matmul_bf16", "matmul_fp8", "multiprocessors",
         "compute_capability"}),
    "compute_capability": (
        {"warps", "blocks", "registers", "shared_memory", "shared_memory_per_block", "shared_memory_unit"},
        {"shared_memory_reserved"}),
    "link": ({"bandwidth"}, {"latency", "measured_bandwidth"}),
    "drive": ({"read", "write"}, {"reads", "writes"}),
    "file_system": ({"latency"}, {"metadata"}),
}  # fmt: skip


def test_every_number_stands_in_one_file_with_a_unit_and_a_source():
    seen = set()
    for path in catalogue.FOLDER.glob("*.toml"):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        sources = content.pop("sources")
        assert min(map(len, sources.values())) > 20, path.name
        written = {(kind, name): fields for kind, of in content.items() for name, fields in of.items()}
        for (kind, name), fields in written.items():
            for field, number in fields.items():
                where = f"{path.name}: {kind}.{name}.{field}"
                assert (kind, name, field) not in seen, where
                seen.add((kind, name, field))
                if field != "title":
                    assert field.endswith(tuple(catalogue.UNITS)), where
                    assert number.keys() == {"value", "source"}, where
                    assert number["source"] in sources, where
                    assert 1e-12 < number["value"] < 1e12, where


def test_every_entry_has_what_its_kind_must_have_and_nothing_else():
    assert set(catalogue._catalogue()) == set(KINDS)
    for kind, (must, may) in KINDS.items():
        for entry in catalogue.entries(kind).values():
            assert entry.title, entry
            assert must <= set(entry.figures) <= must | may, (kind, entry.name)


def test_numbers_have_a_sane_size_and_what_is_measured_is_below_what_is_sold():
    for gpu in catalogue.entries("gpu").values():
        assert 8e9 <= gpu.value("memory") <= 1e12
        assert 1e13 < max(gpu.figures[rate].value for rate in ("bf16", "fp16") if rate in gpu.figures) < 1e16
        pairs = [(name, name.removeprefix("matmul_")) for name in gpu.figures if name.startswith("matmul_")]
        pairs += [("stream_bandwidth", "memory_bandwidth")] * ("stream_bandwidth" in gpu.figures)
        for measured, sold in pairs:
            assert 0.3 * gpu.value(sold) < gpu.value(measured) < gpu.value(sold), (gpu.name, measured)
    for link in catalogue.entries("link").values():
        assert 1e9 < link.value("bandwidth") < 1e13
        assert "measured_bandwidth" not in link.figures or (
            link.value("measured_bandwidth") < link.value("bandwidth")
        )
    for drive in catalogue.entries("drive").values():
        assert 1e8 < drive.value("write") <= drive.value("read") < 3e10
    for system in catalogue.entries("file_system").values():
        assert 1e-6 < system.value("latency") < 0.1


def test_share_alike_numbers_stand_in_a_file_of_their_own_with_attribution():
    found = {path.name: path.read_text() for path in catalogue.FOLDER.glob("*.toml")}
    share_alike = ["gpus_cc_by_sa.toml", "storage_cc_by_sa.toml"]
    assert [name for name, text in sorted(found.items()) if "Bekman" in text] == share_alike
    assert all("CC BY-SA 4.0" in found[name] for name in share_alike)


def test_units_become_si():
    a100 = catalogue.entry("gpu", "a100-80gb")
    assert (a100.value("memory"), a100.value("fp16")) == (80e9, 312e12)
    assert "SC21" in a100.figure("fp16").source
    assert catalogue.entry("link", "infiniband-hdr").value("bandwidth") == 25e9
    assert catalogue.entry("link", "infiniband-hdr100").value("latency") == pytest.approx(0.98e-6)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="a100-80gb"):
        catalogue.entry("gpu", "a100")
    with pytest.raises(ValueError, match="one of gpu, compute_capability, link, drive, file_system"):
        catalogue.entries("tape")
    with pytest.raises(KeyError, match="has no fp8"):
        catalogue.entry("gpu", "v100-16gb").value("fp8")

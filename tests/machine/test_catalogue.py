"""The catalogue: every number has a source, and a broken file is named down to the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab.machine import catalogue

GOOD = """
[sources]
here = "A paper, 2024"
[gpu.x]
title = "X"
memory_gb = { value = 80, source = "here" }
"""


def test_every_shipped_number_has_a_source_and_a_sane_size():
    for kind in catalogue.KINDS:
        for entry in catalogue.entries(kind).values():
            for field, figure in entry.figures.items():
                assert len(figure.source) > 20, (entry.name, field)
                assert figure.value > 0
    for gpu in catalogue.entries("gpu").values():
        assert 8e9 <= gpu.value("memory") <= 1e12
        assert 1e13 < max(gpu.figures[rate].value for rate in ("bf16", "fp16") if rate in gpu.figures) < 1e16
    for link in catalogue.entries("link").values():
        assert 1e9 < link.value("bandwidth") < 1e13


def test_what_is_measured_is_below_what_is_sold():
    for link in catalogue.entries("link").values():
        if "measured_bandwidth" in link.figures:
            assert link.value("measured_bandwidth") < link.value("bandwidth")
    for gpu in catalogue.entries("gpu").values():
        pairs = [(name, name.removeprefix("matmul_")) for name in gpu.figures if name.startswith("matmul_")]
        pairs += [("stream_bandwidth", "memory_bandwidth")] * ("stream_bandwidth" in gpu.figures)
        for measured, sold in pairs:
            assert 0.3 * gpu.value(sold) < gpu.value(measured) < gpu.value(sold), (gpu.name, measured)


def test_share_alike_numbers_stand_in_a_file_of_their_own_with_attribution():
    folder = Path(catalogue.__file__).parent / "catalogue"
    text = (folder / "gpus_cc_by_sa.toml").read_text()
    assert "CC BY-SA 4.0" in text
    assert "Stas Bekman" in text
    for other in folder.glob("*.toml"):
        if other.name != "gpus_cc_by_sa.toml":
            assert "Bekman" not in other.read_text()


def test_units_become_si():
    assert catalogue.entry("gpu", "a100-80gb").value("memory") == 80e9
    assert catalogue.entry("gpu", "a100-80gb").value("fp16") == 312e12
    assert catalogue.entry("link", "infiniband-hdr").value("bandwidth") == 25e9
    assert catalogue.entry("link", "infiniband-hdr100").value("latency") == pytest.approx(0.98e-6)
    assert "SC21" in catalogue.entry("gpu", "a100-80gb").figure("fp16").source


def test_the_accelerators_of_the_course_are_there():
    for name in ("v100", "a100", "h100", "h200", "b200", "mi250x", "mi300x", "max1550", "tpu", "laptop"):
        assert any(name in known for known in catalogue.entries("gpu")), name


def test_an_entry_may_add_to_one_in_another_file_but_change_nothing_there(tmp_path: Path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(GOOD)
    second.write_text(GOOD.replace('title = "X"', "more = true").replace("memory_gb", "power_w"))

    def both():
        return catalogue.together({place.name: catalogue.read(place) for place in (second, first)})

    entry = both()["gpu", "x"]
    assert (entry.title, entry.value("memory"), entry.value("power")) == ("X", 80e9, 80.0)
    second.write_text(second.read_text().replace("power_w", "memory_gb"))
    with pytest.raises(ValueError, match=r"gpu\.x has memory in another file already"):
        both()
    second.write_text(second.read_text().replace("[gpu.x]", "[gpu.y]"))
    with pytest.raises(ValueError, match="no file has the gpu y"):
        both()
    second.write_text(GOOD)
    with pytest.raises(ValueError, match="is in another file already"):
        both()


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="a100-80gb"):
        catalogue.entry("gpu", "a100")
    with pytest.raises(ValueError, match="gpu, compute_capability, link"):
        catalogue.entries("tape")
    with pytest.raises(KeyError, match="has no fp8"):
        catalogue.entry("gpu", "v100-16gb").value("fp8")


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('title = "X"\n', "", "title"),
        ("memory_gb", "memory", "must end in a unit"),
        ("memory_gb", "colour_gb", "memory is missing"),
        ('memory_gb = { value = 80, source = "here" }', "memory_gb = 80", "memory_gb must be"),
        ('source = "here"', 'source = "nowhere"', "'nowhere'"),
        ("value = 80", 'value = "eighty"', "memory_gb must be a number"),
        ("value = 80", "value = 0", "memory_gb must be a number"),
        ("value = 80", "value = nan", "memory_gb must be a number"),
        ("value = 80", "value = true", "memory_gb must be a number"),
        ("[gpu.x]", "[tape.x]", "'tape'"),
        ("[gpu.x]", "[gpu.x", "not readable TOML"),
        ('"A paper, 2024"', "3", "sources"),
        ('title = "X"', 'title = "X"\nmore = true', "more must be"),
        ('title = "X"', 'title = "X"\nfp7_tflops = { value = 1, source = "here" }', "fp7 is no field"),
    ],
)
def test_a_broken_file_is_named_with_entry_and_field(tmp_path: Path, before: str, after: str, named: str):
    assert before in GOOD
    place = tmp_path / "broken.toml"
    place.write_text(GOOD.replace(before, after))
    with pytest.raises(ValueError, match=r"broken\.toml") as caught:
        catalogue.read(place)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_good_file_is_read_and_a_huge_or_binary_one_refused(tmp_path: Path):
    place = tmp_path / "x.toml"
    place.write_text(GOOD)
    assert [entry.value("memory") for entry in catalogue.read(place)] == [80e9]
    place.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not readable"):
        catalogue.read(place)
    place.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ValueError, match="larger than"):
        catalogue.read(place)

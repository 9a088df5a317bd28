"""What exercises show: numbers of the models, the same as in the notebooks; and of a kernel what it did."""

import json
import re
import runpy
from pathlib import Path

import pytest

from hpclab.course import root
from hpclab.exercises import lesson_02, lesson_03, lesson_05, lesson_06, lesson_10
from hpclab.models.device import from_catalogue
from hpclab.models.roofline import Launch, Work, predict

H100 = from_catalogue("h100-80gb")
ANSWERS = runpy.run_path(str(Path(__file__).parent / "answers" / "lesson_02.py"), run_name="__main__")


def test_the_profiles_of_lesson_03():
    launches = {
        "A": Launch(2**18, 256, registers=40, in_flight=48), "B": Launch(2**20, 256),
        "C": Launch(1024, 256, registers=122, shared_memory=8320, in_flight=16), "D": Launch(132, 256),
        "E": Launch(16, 256, in_flight=12),
    }  # fmt: skip
    for name, counts in lesson_03.PROFILES.items():
        work = Work(counts["needed"], counts["operations"], cache_bytes=counts["moved"])
        found = predict(work, H100, launches[name])
        assert found.seconds == pytest.approx(counts["seconds"], rel=0.02)
        resident = min(found.occupancy.warps, launches[name].blocks * 8 / H100.multiprocessors)
        assert counts["warps"] == pytest.approx(max(resident, 8), rel=0.02)


def test_how_often_a_block_reads_its_matrices():
    for rows, columns, read in ((192, 224, (19, 22, 41)), (128, 256, (16, 32, 48))):  # of 4096
        f = lesson_03._facts(rows, columns, depth=8, high=8, wide=8)
        assert (f.of_a, f.of_b, f.readings) == read
        assert (f.registers, f.shared) == (8 * 8 + 8 + 8 + 24, 4 * 8 * (rows + columns))


def test_the_tables_of_lesson_06():
    notebook = json.loads((root() / "notebooks" / "06_pass_messages.ipynb").read_text("utf-8"))
    text = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    sizes = " | ".join(f"{size:,}" for size in lesson_06.POINTS)
    times = " | ".join(f"{round(time * 1e6, 1):,g}" for time in lesson_06.POINTS.values())
    assert f"| bytes | {sizes} |" in text
    assert f"| µs | {times} |" in text
    for name, run in lesson_06.RUNS.items():
        row = (name, run.collective, run.what, run.ranks, f"{run.size:,}", f"{run.seconds * 1e3:g}")
        assert f"| {' | '.join(map(str, row))} |" in text
    assert all(f"{name} {rate / 1e9:g}" in text for name, rate in lesson_06.LINKS.items())


def test_what_is_said_of_a_line_and_of_the_right_crossover():
    f = lesson_06._pair((18e-6, 1 / 1.17e9))
    assert (f.us, f.gb) == pytest.approx((18, 1.17))
    said = lesson_06._put_in(lesson_06._right(16, 1e-6, 1e-9), 16, 1e-6, 1e-9)
    ring, tree = re.findall(r"= ([\d.]+) µs", said)
    assert ring == tree
    assert "the ring takes 30 (α + n/16 β)" in said


def checked(name, kind, number):
    answer = ANSWERS[kind][name][number]
    return getattr(lesson_02, name).check(answer[0] if kind == "WRONG" else answer)


@pytest.mark.slow
def test_a_puzzle_draws_who_went_where_and_what_should_be_there(capsys):
    right, wrong = checked("SHIFT", "RIGHT", 0), checked("SHIFT", "WRONG", 3)
    assert "answer: 10 of 10 items of out right" in right.picture
    assert "\u2260" not in right.picture
    assert right.picture.count("<path") == 9 + 10, "a line for each item read, and for each written"
    assert right.picture.count("<rect") == 10 + 16 + 10, "items, threads, items"
    assert "1 of 10 items of out right" in wrong.picture
    assert wrong.picture.count("\u2260") == 9
    assert "but an error: out of bounds" in checked("TWICE", "WRONG", 1).picture
    assert not lesson_02.SHIFT.check(...).picture
    assert "svg" not in capsys.readouterr().out, "only a notebook shows pictures"


def test_a_bill_is_for_the_time_from_a_nodes_coming_to_the_end():
    end, billed = lesson_05.bill(1, 4 * 2**20)  # it comes after 3 s, loads for 6, and takes 1,024 chunks
    assert (end, billed) == pytest.approx((9 + 1024 * (1 + 0.005), 6 + 1024 * (1 + 0.005)))


def test_gpu_hours_are_gpus_times_hours():
    message = lesson_10.CHEAPER.check(lesson_10.THEIRS).message
    gpus, days, thousands = map(
        int, re.search(r"(\d+) GPUs × (\d+) days .* = (\d+) thousand", message).groups()
    )
    assert thousands == pytest.approx(gpus * days * 24 / 1000, rel=0.01)


@pytest.mark.slow
def test_the_par_of_the_challenge_is_what_those_kernels_move():
    for number in (0, 1):
        verdict = checked("MOVING_SUM", "RIGHT", number)
        assert f"{verdict.score[0]:,}" in verdict.message.partition("Nine")[2]

"""`validation.predictions`: every row read, placed or named, scored; damaged tables refused."""

import csv
import math

import pytest

from hpclab import schedules
from hpclab.models import communication
from hpclab.models.formulas import FORMULAS
from hpclab.models.mpi import Host
from hpclab.models.presets import PRESETS
from hpclab.models.schedule_time import simulate
from hpclab.validation import predictions
from hpclab.validation.score import listed, only, scores

NCCL = "source,system,gpus,nodes,collective,size_bytes,time_us,time_us_in_place\n"
ROW = "me,8x H100,8,1,all_reduce,1048576,30,29\n"
OSU = "source,system,network,stack,test,size_bytes,value,unit\n"


def test_widget_and_validate_call_one_function():
    from hpclab.validation import collective_rows, message_rows
    from hpclab.widgets import message_stepper

    called = {message_stepper.predict, collective_rows.predicted, message_rows.predicted}
    assert called == {communication.predict}


@pytest.mark.parametrize("name", ["hdr100", "omni-path", "roce-100g", "tcp-100g", "tcp-10g"])
def test_simulated_schedules_and_the_validated_model_agree_on_large_messages(name):
    preset, size = PRESETS[name], 2.0**26
    for what in ("broadcast", "reduce", "all_reduce", "all_gather", "reduce_scatter", "all_to_all"):
        flat = [algorithm for of, algorithm in FORMULAS if of == what]
        made = [schedules.collective(what, algorithm, 8, 128) for algorithm in flat]
        simulated = min(simulate(one, preset(8), size / 128).time for one in made)
        own = size / 8 / Host.copy if what == "all_to_all" else 0  # of which the simulator knows nothing
        whole = communication.predict(what, size, preset.place(8)).seconds - own
        assert simulated <= whole == pytest.approx(simulated, rel=0.05)


def test_collectives_that_nobody_could_place_are_scored_apart(predicted):
    rows = "me,m,HDR100,u,osu_bw,4194304,12000,MB/s\n"
    rows += "me,m,HDR100,u,osu_allreduce,8,3,us\nme,m,HDR100,u,osu_bcast,8,3,us\n"
    placed, unsaid = scores(predicted(OSU + rows, "osu_mine.csv"))
    assert (placed.rows, placed.placed, unsaid.rows, unsaid.placed) == (1, 1, 2, 0)
    assert unsaid.quantity == "time, not enough said"
    assert placed.mean_error < 0.1
    assert unsaid.mean_error == 1
    told = OSU.replace("unit", "unit,ranks") + "me,m,HDR100,u,osu_allreduce,8,3,us,16\n"
    (one,) = predicted(told, "osu_mine.csv")
    assert one.value == pytest.approx(4 * 0.98e-6, rel=0.1)


def test_a_row_that_is_not_placed_counts_whole_and_is_named(predicted):
    text = NCCL + ROW + "me,a cluster,8,1,all_reduce,8,1,1\n" + "me,8x H100,8,1,gather,8,1,1\n"
    text += "me,4x 8x H100,32,4,all_reduce,8,1,1\n" + "me,8x H100,1,1,all_reduce,8,1,1\n"
    found = predicted(text)
    assert [one.value is None for one in found] == [False, True, True, True, True]
    assert [one.note.split()[-1] for one in found[1:4]] == ["knows", "send_recv", "stated"]
    (score,) = scores(found)
    assert (score.rows, score.placed, score.max_error) == (5, 1, 1.0)
    assert score.mean_error == pytest.approx((4 + found[0].error) / 5)
    assert score.bias == pytest.approx(found[0].signed)


def test_the_worst_table_is_listed_first():
    tables = [predictions.predict(path) for path in predictions.shipped("nccl_peak", "osu")]
    head, unsaid, worst, *_, best = listed(tables).splitlines()
    assert head.split() == ["table", "of", "rows", "middle", "worst", "bias", "line"]
    assert "0/38  not placed" in unsaid
    assert worst.split()[0] == "osu_pizdaint_aries"
    assert best.split()[:2] == ["nccl_peak_efficiency", "bandwidth"]
    assert len(only("time", tables[-1])) == 21


def test_in_place_times_count_before_the_others_and_nothing_is_no_time(predicted):
    text = NCCL + ROW + ROW.replace("29", "N/A")
    assert [one.observation.value for one in predicted(text)] == pytest.approx([29e-6, 30e-6])
    text = "gpus,system,size_bytes,busbw_gb_per_s\n8,H100,1000000,1.75\n8,H100,32,0.00\n"
    known, unknown = predicted(text)
    assert known.observation.value == pytest.approx(1e-3)
    assert unknown.value is None
    assert "rounded" in unknown.note
    (score,) = scores([known, unknown])
    assert score.baseline_mean_error == pytest.approx(0.5)  # the line has no error where it has a point


def test_other_kinds_of_table_are_refused_by_the_kinds_there_are(predicted):
    with pytest.raises(ValueError, match="unit must be one of"):
        predicted(OSU + "me,m,HDR,u,osu_bw,8,8,furlongs\n", "osu_mine.csv")
    for name in ("power_x.csv", "sched_nccl.csv", "rows.csv"):
        with pytest.raises(ValueError, match=r"no kind of table.*nccl_\*\.csv.*osu_\*\.csv"):
            predicted(NCCL + ROW, name)
    assert predicted(NCCL + ROW, "kept_back_nccl_h100.csv")


def test_written_rows_carry_what_was_read_and_what_was_predicted(tmp_path, predicted):
    found = predicted(NCCL + ROW + "me,a cluster,8,1,all_reduce,8,1,1\n")
    out = tmp_path / "out.csv"
    predictions.write(found, out)
    with out.open(newline="") as file:
        first, second = csv.DictReader(file)
    told = (first["system"], first["row"], first["published"], first["unit"])
    assert told == ("8x H100", "2", "2.9e-05", "s")
    assert float(first["predicted"]) == pytest.approx(found[0].value, rel=1e-4)
    assert (second["predicted"], second["error"]) == ("", "1.0000")
    assert math.isclose(float(second["baseline"]), 1e-6)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []

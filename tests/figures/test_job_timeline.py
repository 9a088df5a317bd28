"""Jobs on a time line: whatever their names and however many, nothing is cut and the title counts all."""

import re
from types import SimpleNamespace
from xml.etree import ElementTree

from hpclab.figures import job_timeline, style


def job(number, name="array", node="node1", ended=3.0, task=None):
    return SimpleNamespace(
        id=number, name=name, state="COMPLETED", node_list=node,
        submitted=0.0, started=1.0, ended=ended, array_task=task,
    )  # fmt: skip


def test_a_bar_for_each_stretch_and_words_for_a_screen_reader():
    svg = job_timeline.draw([job(1, task=0), job(2, task=1, ended=5.0)], predicted=4.0)
    ElementTree.fromstring(svg)
    assert "2 jobs, the last done after 5 s; predicted 4 s" in svg
    assert "array 1 waited 1 s and ran 4 s on node1." in svg
    assert "predicted end" in svg


def test_long_names_keep_what_tells_them_apart_and_stay_inside():
    svg = job_timeline.draw([job(1, name="a-very-long-job-name", node="gpu-a100-partition-node-0012")])
    words = re.findall(r'<text x="([-\d.]+)"[^>]*>([^<]*)</text>', svg)
    node = next((float(x), text) for x, text in words if text.endswith("0012"))
    assert node[1].startswith("…")
    assert node[0] + style.text_width(node[1]) <= style.WIDTH
    assert any(text.startswith("a-very") and text.endswith("…") for _, text in words)
    assert "on gpu-a100-partition-node-0012." in svg, "whole under the mouse"


def test_the_title_counts_the_jobs_that_are_not_drawn_too():
    svg = job_timeline.draw([job(n, task=n, ended=3.0 + n) for n in range(30)])
    assert "30 jobs, the last done after 32 s (the first 24 are drawn)" in svg
    assert svg.count("</title></rect>") == 2 * 24 + 2


def test_nothing_to_draw_is_said():
    assert "No job has ended yet" in job_timeline.draw([])

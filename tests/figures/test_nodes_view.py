"""The queue and the nodes: who runs where, who waits and why; nothing a job's name says becomes markup."""

from types import SimpleNamespace

from hpclab.figures import nodes_view


def job(number, state="RUNNING", node="", reason="None", name="dask-worker"):
    return SimpleNamespace(id=number, name=name, state=state, reason=reason, node_list=node)


def node(name, state="idle"):
    return SimpleNamespace(name=name, state=state)


def test_a_running_job_is_on_its_node_and_a_waiting_one_has_its_reason():
    nodes = [node("node1", "allocated"), node("node2"), node("node3", "down")]
    jobs = [job(7, node="node1"), job(8, "PENDING", reason="Resources")]
    html = nodes_view.draw(nodes, jobs, joined=1, wanted=2)
    boxes = "<b>node1</b> job 7", "<b>node2</b> idle", "<b>node3</b> down", "<b>job 8</b> pending: Resources"
    assert all(box in html for box in (*boxes, "1 of 2 nodes joined"))


def test_a_thousand_nodes_do_not_fill_the_screen_and_hide_mine():
    nodes = [node(f"n{i}") for i in range(1000)]
    html = nodes_view.draw(nodes, [job(1, node="n999")])
    assert "<b>n999</b> job 1" in html
    assert html.count("listitem") < 40
    assert "and 968 more nodes" in html
    assert "more nodes" not in nodes_view.draw(nodes[:32])


def test_ten_jobs_are_listed_one_by_one():
    html = nodes_view.draw([], [job(number, "PENDING") for number in range(10)])
    assert all(f"<b>job {number}</b>" in html for number in range(10))


def test_a_long_queue_is_counted_by_what_it_waits_for():
    waiting = [job(i, "PENDING", reason="Priority") for i in range(40)]
    html = nodes_view.draw([node("node1")], [*waiting, job(99, "PENDING", reason="<script>")])
    assert "<b>40 jobs</b> pending: Priority" in html
    assert html.count("listitem") == 3
    assert "<script>" not in html
    assert "<img" not in nodes_view.draw([node("<img src=x>")], [job("<img>", "PENDING")])
    assert "none yet" in nodes_view.draw()
    assert "joined" not in nodes_view.draw([node("node1")])  # a Slurm's own view has no pool

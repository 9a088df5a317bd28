"""The wall's widgets: nothing happens by itself, and the instructor's refreshes."""

import ipywidgets as widgets
import pytest

from hpclab.classroom import wall_folder as folder
from hpclab.cli import main
from hpclab.cluster.slurm import Slurm, SlurmMissing
from hpclab.widgets import wall
from tests.conftest import until
from tests.models.makespans import makespans

RUNS = makespans({1: [4.0, 4.0], 2: [2.0, 2.1], 4: [1.1, 1.0]}, "measured", "nodes")


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(wall, "display", found.append)
    return found


@pytest.fixture
def on_the_wall(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCLAB_WALL", str(tmp_path))
    monkeypatch.setattr(wall, "connect", lambda **_: Slurm("local", "23.11", {}))
    monkeypatch.setattr(Slurm, "load", lambda *_: (3, 17))
    return tmp_path


def buttons(box):
    return [one for one in box.children[0].children if isinstance(one, widgets.Button)]


def test_without_a_wall_there_is_no_button_and_no_word(shown, monkeypatch, capsys):
    monkeypatch.delenv("HPCLAB_WALL", raising=False)
    wall.offer(RUNS, "05")
    assert shown == []
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="HPCLAB_WALL"):
        wall.Wall()


def test_only_a_press_shows_points_and_another_takes_them_back(shown, on_the_wall):
    wall.offer(RUNS, "05")
    put, back = buttons(shown[0])
    assert put.description == "Show my points on the wall, without my name"
    assert list(on_the_wall.iterdir()) == []
    assert back.disabled
    put.click()
    assert len(list(on_the_wall.iterdir())) == 1
    wall.offer(RUNS, "05")  # after a restart, say
    assert "Your points are on the wall" in shown[1].children[1].value
    buttons(shown[1])[1].click()
    assert list(on_the_wall.iterdir()) == []
    assert "Your points are not on the wall" in shown[1].children[1].value


def test_a_wall_that_is_gone_is_one_sentence(shown, on_the_wall):
    wall.offer(RUNS, "05")
    on_the_wall.rmdir()
    buttons(shown[0])[0].click()
    wall.offer(RUNS, "05")
    for box in shown:
        assert "cannot be used now (No such file or directory)" in box.children[1].value


def test_the_instructors_wall_refreshes_itself(on_the_wall, monkeypatch):
    monkeypatch.setattr(wall, "EVERY", 0.1)
    view = wall.Wall()
    view.refresh()
    assert "Nobody shows points yet" in view.picture.value
    assert "nodes with jobs: 3" in view.picture.value
    view.start()
    folder.share(on_the_wall, "05", folder.points(RUNS))
    until(lambda: "1 learner: 4 nodes" in view.picture.value, "the points to be seen")
    (on_the_wall / f"points-05-{'0' * 32}.jsonl").write_text("{")
    until(lambda: "1 file on the wall cannot be read" in view.status.value, "the bad file to be counted")
    view.stop()


def test_a_site_is_asked_for_the_class_only_and_a_missing_slurm_is_said(on_the_wall, monkeypatch):
    asked = []
    monkeypatch.setattr(Slurm, "load", lambda _, *which: asked.append(which) or (0, 0))
    monkeypatch.setattr(wall, "connect", lambda **_: Slurm("site", "23.11", {}))
    settings = on_the_wall / "site.toml"
    settings.write_text('[slurm]\nreservation = "course"\n')
    monkeypatch.setenv("HPCLAB_SITE", str(settings))
    wall.WallReader("05")()
    assert asked == [("--reservation=course",)]

    def missing(**_):
        raise SlurmMissing("No Slurm runs here.")

    monkeypatch.setattr(wall, "connect", missing)
    assert wall.WallReader("05")().said == "The queue is not shown: No Slurm runs here."


def test_the_command_says_it_and_saves_it(on_the_wall, tmp_path_factory, capsys):
    folder.share(on_the_wall, "05", folder.points(RUNS))
    saved = tmp_path_factory.mktemp("saved") / "wall.svg"
    assert main(["wall", "--save", str(saved)]) == 0
    said = capsys.readouterr().out
    assert "1 learner: 4 nodes are 3.8× as fast as one (measured)." in said
    assert "Jobs run on 3 nodes, 17 jobs wait." in said
    assert saved.read_text().startswith("<svg")
    assert main(["wall", "--folder", "/nowhere/at/all"]) == 1

"""Files that nobody wants afterwards are gone afterwards, also where their process was killed."""

import subprocess
import sys

from hpclab.storage import scratch

MAKES = """
import sys, pathlib, hpclab.storage.scratch as scratch
print(path := scratch.folder("a-b", pathlib.Path(sys.argv[1])), flush=True)
(path / "file").touch() or sys.stdin.readline()
"""


def test_what_a_killed_process_left_goes_at_the_next_start_and_what_a_living_one_has_stays(tmp_path):
    command = [sys.executable, "-c", MAKES, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as killed, subprocess.Popen(command, **pipes) as living:
        left, kept = (one.stdout.readline().strip() for one in (killed, living))
        killed.kill()
        killed.wait()
        (tmp_path / "another").mkdir()
        mine = scratch.folder("a-b", tmp_path)
        assert {*map(str, tmp_path.iterdir())} == {kept, str(mine), str(tmp_path / "another")} - {left}
        living.communicate("go on")
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, "another"}
    (mine / "of the last run").touch()
    assert scratch.folder("a-b", tmp_path) == mine
    assert not [*mine.iterdir()]

"""What a user has set for another Jupyter, and servers that never answer or answer wrongly."""

import json
import os
import socket
import subprocess
import sys

import pytest
from traitlets.config import Config

from hpclab.cli import lab_child, lab_server, main, workspace
from hpclab.cli.lab_child import Server

LOCKS_OUT = [
    ("ServerApp", "base_url", "/jupyter/"), ("ServerApp", "something_to_come", True),
    ("LabApp", "dev_mode", True), ("GatewayClient", "url", "http://gateway"),
    ("MyIdentityProvider", "x", 1), ("FileContentsManager", "root_dir", "/data"),
    ("KernelManager", "transport", "ipc"), ("JupyterApp", "config_file", "/x.py"),
]  # fmt: skip
STAYS = [
    ("ServerApp", "jpserver_extensions", {"theirs": True}), ("LabApp", "custom_css", True),
    ("FileContentsManager", "delete_to_trash", False), ("TheirExtension", "colour", "blue"),
]  # fmt: skip


@pytest.mark.parametrize("one", [*LOCKS_OUT, *STAYS], ids=str)
def test_what_would_lock_the_learner_out_is_not_taken_and_all_else_stays(one):
    section, name, value = one
    kept = lab_server.harmless(Config({section: {name: value}})).get(section)
    assert kept == {name: value} if one in STAYS else not kept


def test_another_jupyters_variables_stay_outside_and_folders_that_take_nothing_are_replaced(
    tmp_path, monkeypatch
):
    another = ["JPY_PARENT_PID", "JUPYTERHUB_API_TOKEN", "JUPYTER_TOKEN", "JUPYTER_PORT", "JUPYTERLAB_DIR",
               "JUPYTER_GATEWAY_URL"]  # fmt: skip
    taken = ["JUPYTER_RUNTIME_DIR", "XDG_DATA_HOME", "IPYTHONDIR"]
    theirs = {"HOME": tmp_path, "JUPYTER_CONFIG_DIR": tmp_path / "theirs", "JUPYTER_CONFIG_PATH": "/theirs",
              "JUPYTER_PATH": "/theirs"}  # fmt: skip
    for name, value in (dict.fromkeys(another, 1) | dict.fromkeys(taken, "/proc/nowhere") | theirs).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("JUPYTER_DATA_DIR", raising=False)
    state = tmp_path / "state"
    seen = lab_child._environment(state, theirs=True)
    assert not set(another) & set(seen)
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        assert seen[name].startswith(str(state)), name
    assert seen["JUPYTER_CONFIG_DIR"] == str(tmp_path / "theirs")
    assert seen["JUPYTER_CONFIG_PATH"].endswith(f"{os.pathsep}/theirs")
    assert seen["JUPYTER_PATH"].endswith("/theirs")
    without = lab_child._environment(state, theirs=False)
    assert without["JUPYTER_CONFIG_DIR"].startswith(str(state))
    assert "/theirs" not in without["JUPYTER_CONFIG_PATH"]


# A child in JupyterLab's place: reads what it is told, answers with a port, and serves a page there.
CHILD = """
import http.server, json, sys
sys.stdin.readline()
{first}
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status}); self.end_headers(); self.wfile.write({page!r})
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
print(json.dumps({{"port": server.server_port}}), flush=True)
server.serve_forever()
"""
GOOD = {"first": "", "status": 200, "page": b'<script id="jupyter-config-data">'}
NO_HTTP = "http.server.BaseHTTPRequestHandler.handle = lambda self: self.wfile.write(b'\\x15')"
WRONG = {
    "ends": ({"first": "sys.exit('TraitError: nope')"}, "TraitError: nope"),
    "base path": ({"status": 404}, "it answers 404"),
    "password": ({"page": b"Password:"}, "not JupyterLab open to this start's token"),
    "certificate": ({"first": NO_HTTP}, "does not answer in HTTP"),
}


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Start children in JupyterLab's place, each as `plan` says; whether each `had` the user's configuration
    and what was `said`."""
    had, said = [], []

    def start(*plan, port=0):
        def in_a_child(cls, folder, spec, theirs):
            had.append(theirs)
            program = CHILD.format(**GOOD | plan[min(len(had), len(plan)) - 1])
            process = subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            print("{}", file=process.stdin, flush=True)
            return Server(process, folder, "token")

        monkeypatch.setattr(Server, "_in_a_child", classmethod(in_a_child))
        monkeypatch.setattr(lab_child, "_GRACE", 0.1)
        return Server.start(
            tmp_path, port, take_down_slurm=False, stopped=lambda: False, say=said.append
        ).end()

    start.had, start.said = had, said
    return start


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_answer_is_given_up_at_once_and_their_configuration_left_out(start, wrong, words):
    start(wrong, GOOD)
    assert start.had == [True, False]
    (sentence,) = start.said
    assert sentence.startswith("Your own Jupyter configuration was left out")
    assert words in sentence


@pytest.mark.slow
def test_what_never_opens_is_given_up_with_its_last_words(start):
    with pytest.raises(RuntimeError, match=r"be started: it ended with status 1\.\n    TraitError: nope"):
        start(WRONG["ends"][0])
    assert start.had == [True, False]


@pytest.mark.slow
def test_silence_has_a_limit_and_a_word_before_it(start, monkeypatch):
    monkeypatch.setattr(lab_child, "_READY", 0.6)
    monkeypatch.setattr(lab_child, "_PATIENCE", 0.1)
    with pytest.raises(RuntimeError, match=r"did not answer within 0\.6 s"):
        start({"first": "import time; time.sleep(600)"})
    assert start.said[0].startswith("JupyterLab is starting")


def test_a_port_in_use_is_named_before_anything_starts(start):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(RuntimeError, match=rf"cannot use port {port} \(Address already in use\)"):
            start(GOOD, port=port)
    assert start.had == []


@pytest.mark.parametrize("content", ["", "{cut off", "[]"])
def test_a_damaged_workspace_is_written_again(tmp_path, content):
    place = workspace.write(tmp_path, workspace.first_view("00.ipynb"))
    place.write_text(content)
    assert json.loads(workspace.write(tmp_path, workspace.first_view("00.ipynb")).read_text())["data"]
    place.write_text('{"mine": 1}')
    assert json.loads(workspace.write(tmp_path, {}).read_text()) == {"mine": 1}


@pytest.mark.parametrize("folder", ["here", "./a/b", "."])
def test_a_folder_that_was_removed_is_said(tmp_path, monkeypatch, capsys, folder):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["lab", "--no-slurm", "--no-browser", "--folder", folder]) == 1
    assert capsys.readouterr().err.startswith("hpclab: the folder you are in was removed")

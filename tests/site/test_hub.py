"""A class at a hub: servers are jobs, nobody reaches another's, and what ends is named and begun again."""

import json
import os
import re
import subprocess
import sys
from urllib.parse import urlencode

import pytest

from tests.conftest import until
from tests.site import hub as hubs
from tests.site.conftest import ROOT, SHARED
from tests.site.hub import ADDRESS, Hub, Page, browser_on, processes

pytestmark = [pytest.mark.slurm, pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def hub(new_site):
    hubs.skip_without_proxy()
    users = ("ada", "bob", "eve", "kim", "lee", "mia")
    with new_site(3, cores=5, users=users, jobqueue="", **hubs.PREEMPTS) as site:
        yield Hub(site)


@pytest.fixture(scope="module")
def learners(hub, driver):
    """Ada and Bob, each before a server of their own with lesson 05 open."""
    with browser_on(hub.site, driver) as browser:
        pages = [Page(browser, "ada"), Page(browser, "bob")]
        for page in pages:
            page.log_in()
            page.start()
        for page in pages:
            page.lab()
        yield pages


def test_two_learners_have_four_nodes_each_at_once_and_a_dashboard_of_their_own(hub, learners):
    notebooks = []
    for page in learners:
        page.write("pool.ipynb", hubs.POOL)
        notebooks.append(page.open("pool.ipynb"))
        notebooks[-1].begin_all()
    for page, notebook in zip(learners, notebooks, strict=True):
        notebook.wait_for_all(120)
        assert "4 nodes of this site's Slurm, partition main [3, 2, 1]" in notebook.output(0).inner_text()
        assert hub.site.run("squeue", "-h", "-o", "%u", user=page.user).split().count(page.user) == 5
        status, shown = page.fetch(f"/user/{page.user}/hpclab/dashboard/status")
        assert (status, "dask" in shown.lower()) == (200, True)


def test_a_job_says_what_its_profile_says_and_nothing_of_the_learner(hub, learners):
    said = hub.site.run("scontrol", "write", "batch_script", hub.job("ada")[0], "-", user="ada")
    assert "#SBATCH --cpus-per-task=1\n#SBATCH --mem=1024M\n" in said
    assert "#SBATCH --partition=main" in said
    assert hubs.token(hub.site, "ada") not in said
    shown = re.search(r'"extensionManager": *{[^}]*}', learners[0].fetch("/user/ada/lab")[1])[0]
    assert '"can_install": false' in shown


def test_what_a_learner_may_choose_is_a_profile_by_name(hub, learners):
    eve = Page(learners[0].context.browser, "eve")
    eve.log_in()
    eve.page.get_by_role("button", name="Start").wait_for()
    shown = eve.page.locator("#profile option").all_inner_texts()
    assert shown == ["One core: 1 core, 1 GiB, for 4 h", "Two cores: 2 cores, 2 GiB, for 4 h"]
    for options in ({"profile": "One core\n#SBATCH --uid=0"}, {"options": "--uid=0"}, {"cmd": "id"}):
        status, why = eve.fetch("/hub/api/users/eve/server", "POST", json.dumps(options))
        assert (status, "profile" in why) == (400, True), (options, why)
    assert hub.job("eve") == ("", "")


def test_nobody_reaches_another_learners_server_dashboard_scheduler_sockets_or_files(hub, learners):
    """Bob, from his browser and from a shell on the host of Ada's server, while her pool runs."""
    ada, bob, site = *learners, hub.site
    job, host = hub.job("ada")
    for path in ("lab", "api/contents", "hpclab/dashboard/status", "files/hpclab/00_start_here.ipynb"):
        assert bob.fetch(f"/user/ada/{path}")[0] in (403, 404), path
        assert ada.fetch(f"/user/ada/{path}")[0] == 200, path
    assert bob.fetch("/hub/api/users/ada")[0] in (403, 404)
    hers = hubs.ports(site, host, "ada")
    assert len(hers) >= 4  # her server, a kernel, the pool's scheduler and its dashboard
    told = hubs.knock(site, "bob", host, hers)
    assert set(told) == set(map(str, hers))
    assert not [answer for answer in told.values() if "200" in answer or "207" in answer], told
    for place in ("/mnt/ada", "/mnt/hub", "/tmp", "/dev/shm", "/var/tmp", "/run"):
        find = f"find {place} -user ada -not -type d \\( -readable -o -writable \\) 2>/dev/null || true"
        assert site.run("sh", "-c", find, user="bob", host=host) == ""
    pid = site.root("pgrep -u ada -f jupyterhub.singleuser | head -1", host).strip()
    for theft in (f"cat /proc/{pid}/environ", f"kill {pid}", f"scancel {job}", "ls /mnt/ada", "ls /mnt/hub"):
        with pytest.raises(AssertionError, match="ended with"):
            site.run("sh", "-c", theft, user="bob", host=host)
    assert "#SBATCH" not in site.run("scontrol", "write", "batch_script", job, "-", user="bob")
    said = site.root("ps -eo args", host)
    assert hubs.token(site, "ada") not in said


def test_a_server_tells_its_hub_a_port_and_nothing_else(hub, learners):
    """What batchspawner would set is what the hub runs as root at its next look."""
    ask = {"exec_prefix": "touch /mnt/taken;", "batch_query_cmd": "touch /mnt/taken", "port": 9999}
    said = hub.site.python(
        "import os, json, urllib.request as u, urllib.error\n"
        "asked = u.Request('http://10.77.0.1:8081/hub/api/batchspawner', os.environ['ASK'].encode(),\n"
        "    {'Authorization': 'token ' + os.environ['TOKEN'], 'Content-Type': 'application/json'})\n"
        "try: print(u.urlopen(asked).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n",
        user="ada", host="c1", ASK=json.dumps(ask), TOKEN=hubs.token(hub.site, "ada"),
    )  # fmt: skip
    assert said.strip() == "403"


def test_a_hub_that_is_killed_and_started_again_finds_the_servers(hub, learners):
    ada, job = learners[0], hub.job("ada")
    kernels = {kernel["id"] for kernel in ada.get("api/kernels")}
    hub.end("KILL")
    hub.start()
    ada.page.reload()
    ada.lab()
    assert hub.job("ada") == job
    assert {kernel["id"] for kernel in ada.get("api/kernels")} == kernels


ENDINGS = {
    "its job ended by an operator": ("scancel {job}", "it was ended by you, by an operator, or because no"),
    "preempted": (
        "sbatch --partition=urgent --nodes=3 --ntasks-per-node=5 --output=/dev/null --wrap='sleep 20'",
        "a job of higher priority took its node",
    ),
    "its node down": ("scontrol update node={host} state=down reason=tried", "its node failed"),
    "its time over": ("scontrol update job={job} TimeLimit=1", "it reached its time limit"),
}


@pytest.mark.soak
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_server_that_ended_is_named_and_one_click_brings_it_back(hub, learners, ending):
    ada, site = learners[0], hub.site
    command, why = ENDINGS[ending]
    ada.open("00_start_here.ipynb")
    ada.type_into_the_first_code_cell(f"kept = {ending!r}")
    job, host = hub.job("ada")
    site.root(command.format(job=job, host=host))
    until(lambda: hub.job("ada")[0] != job, "the job ends", 240)
    until(lambda: ada.reloaded() and ada.page.get_by_text(why).count(), f"the page says that {why}", 60)
    site.root(f"scontrol update node={host} state=resume || true")
    ada.page.get_by_role("button", name="Launch").click()
    ada.lab()
    ada.page.locator(".jp-Notebook").get_by_text(f"kept = {ending!r}").wait_for()
    assert len([line for line in processes(site, "ada") if "jupyterhub.singleuser" in line]) == 1


def test_learners_who_come_together_run_a_lesson_right_and_leave_nothing(hub):
    """The quick form of tests/site/test_class.py."""
    names, site = ["kim", "lee", "mia"], hub.site
    words = [sys.executable, str(ROOT / "benchmarks" / "classroom.py"), "--hub", ADDRESS, "--json"]
    done = subprocess.run(
        [*site._inside("login", "n"), *words, "--minutes=0", "--within=2", "--lessons", "00"],
        input="".join(f"{name} {name}\n" for name in names), env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    told = json.loads(done.stdout)["learners"]
    assert [(one["wrong"], [*one["runs"]]) for one in told] == [([], ["00"])] * 3, done.stderr
    until(lambda: not any(processes(site, name) for name in names), "nothing of theirs runs", 60)
    assert [hub.job(name) for name in names] == [("", "")] * 3


def test_root_does_not_come_in(hub, driver):
    """Whose server would run as root; the password is right."""
    hub.site.root("echo root:root | chpasswd -c SHA512")
    with browser_on(hub.site, driver) as browser:
        root = Page(browser, "root")
        root.log_in()
        root.page.get_by_text("Invalid username or password").wait_for()
        assert root.page.url.partition("?")[0] == f"{ADDRESS}/hub/login"


COURSE = f"file://{SHARED}/course"
MADE = f"git -c safe.directory=* -c user.name=c -c user.email=c@example.org -C {SHARED}/made"


@pytest.mark.soak
def test_a_course_update_reaches_a_learner_who_has_edited_and_loses_and_doubles_nothing(hub, learners):
    """By a link of nbgitpuller's form: Eve's line and the course's new heading are both there, each once."""
    site, eve = hub.site, Page(learners[0].context.browser, "eve")
    site.root(
        f"mkdir {SHARED}/made; cp -r {ROOT}/notebooks {SHARED}/made\n"
        f"printf '[safe]\\ndirectory = *\\n' > /etc/gitconfig\n"
        f"git init -q -b main {SHARED}/made; {MADE} add .; {MADE} commit -qm one\n"
        f"git clone -q --bare {SHARED}/made {SHARED}/course; chmod -R go+rX {SHARED}/course"
    )
    hub.end("KILL")
    hub.start(hubs.SITE + f'hub.course = "{COURSE}"\n' + hubs.PROFILES)
    eve.log_in()
    eve.start()
    eve.lab()
    names = sorted(one["name"] for one in eve.get("api/contents/course/notebooks")["content"])
    first = "course/notebooks/01_measure_a_speedup.ipynb"
    hers = eve.get(f"api/contents/{first}")
    code = next(cell for cell in hers["content"]["cells"] if cell["cell_type"] == "code")
    code["source"] = "eves_own = 1\n" + code["source"]
    body = json.dumps({name: hers[name] for name in ("type", "format", "content")})
    assert eve.fetch(f"/user/eve/api/contents/{first}", "PUT", body)[0] == 200
    for notebook in site.path("made/notebooks").glob("0[12]_*.ipynb"):
        notebook.write_text(notebook.read_text().replace('"# ', '"# Newer: ', 1))
    site.root(f"{MADE} commit -qam two; {MADE} push -q {SHARED}/course main; chmod -R go+rX {SHARED}/course")
    second = "course/notebooks/02_write_a_gpu_kernel.ipynb"
    link = {"repo": COURSE, "branch": "main", "urlpath": f"lab/tree/{second}"}
    eve.page.goto(f"{ADDRESS}/hub/user-redirect/git-pull?{urlencode(link)}")
    eve.lab()
    said = eve.fetch(f"/user/eve/api/contents/{first}")[1]
    assert (said.count("eves_own = 1"), said.count("# Newer: ")) == (1, 1)
    assert "# Newer: " in eve.fetch(f"/user/eve/api/contents/{second}")[1]
    assert sorted(one["name"] for one in eve.get("api/contents/course/notebooks")["content"]) == names
    assert [one["name"] for one in eve.get("api/contents/")["content"]].count("course") == 1

"""The Slurm object with commands that hang, refuse or babble, as sites' own wrappers of them do."""

import os
import subprocess

import pytest

from hpclab.cluster import slurm, slurm_commands
from hpclab.cluster.slurm import Slurm, SlurmError, SlurmMissing, SlurmTimeout, SubmitError
from hpclab.cluster.slurm import records as slurm_records


@pytest.fixture
def fake(tmp_path):
    """Put a shell script in the place of a command; every call is written down in `calls`."""

    def put(name, body):
        command = tmp_path / name
        command.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/calls\n{body}\n")
        command.chmod(0o755)
        return Slurm("site", "fake", {"PATH": f"{tmp_path}:{os.environ['PATH']}"})

    return put


def _calls(place):
    return len((place / "calls").read_text().splitlines())


@pytest.mark.parametrize(
    ("ask", "error", "words", "tries"),
    [
        (lambda it: it.queue(), SlurmTimeout, r"squeue did not answer within 10 s, 3 times: .*try again", 3),
        (lambda it: it.submit("#!/bin/sh\n"), SubmitError, "may or may not be in the queue", 1),
    ],
)
def test_a_hanging_command_is_tried_again_but_never_sbatch(monkeypatch, ask, error, words, tries):
    begun = []

    def run(words, *, timeout, **_):
        begun.append(words[0])
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(slurm_commands.subprocess, "run", run)
    with pytest.raises(error, match=words):
        ask(Slurm("site", "fake", {}))
    assert len(begun) == tries


def test_what_fails_once_is_tried_again_and_a_plain_refusal_is_not(fake, tmp_path):
    client = fake(
        "squeue",
        f"[ $(wc -l < {tmp_path}/calls) -gt 1 ] && exit 0\n"
        "echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1",
    )
    assert client.queue() == []
    assert _calls(tmp_path) == 2
    client = fake("sinfo", "echo 'sinfo: error: Access denied' >&2; exit 1")
    with pytest.raises(SlurmError, match=r"^sinfo: Access denied$"):
        client.nodes()
    assert _calls(tmp_path) == 3


def test_all_jobs_are_asked_for_in_one_command(fake, tmp_path):
    rest = ["None", "main", "1", "node1", "1700000000", "1700000001", "N/A", "1:00"]
    rows = [[n, n, "N/A", "a | b", state, *rest] for n, state in (("1", "RUNNING"), ("2", "TIMEOUT"))]
    client = fake("squeue", "\n".join(f"echo '{slurm_records.SEPARATOR.join(row)}'" for row in rows))
    for number in (1, 2):
        (job,) = client.queue([number])
        assert (job.id, job.name, job.started, job.limit) == (number, "a | b", 1700000001.0, 60.0)
    assert [job.id for job in client.queue()] == [1]
    assert _calls(tmp_path) == 1


@pytest.fixture
def of_a_site(tmp_path, monkeypatch):
    """A slurm.conf that this environment leads to."""
    (conf := tmp_path / "slurm.conf").write_text("ClusterName=site\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", str(conf))
    monkeypatch.delenv("HPCLAB_SLURM")
    return conf


def test_a_site_whose_slurm_does_not_answer_gets_no_second_one(fake, of_a_site, monkeypatch):
    fake("sinfo", "echo 'sinfo: error: Slurmctld(primary) at head is DOWN' >&2; exit 1")
    with pytest.raises(SlurmError, match=r"site has a Slurm.*DOWN.*HPCLAB_SLURM=local"):
        slurm.connect(export=False)
    monkeypatch.setenv("HPCLAB_SLURM", "Local")
    with pytest.raises(ValueError, match="HPCLAB_SLURM must be \"local\" or not be set, not 'Local'"):
        slurm.site_version()


def test_a_sites_slurm_is_used_and_its_configuration_kept(fake, of_a_site, monkeypatch):
    fake("sinfo", "echo slurm 25.05.1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    client = slurm.connect()
    assert (client.kind, client.version) == ("site", "slurm 25.05.1")
    assert client.environment["SLURM_CONF"] == os.environ["SLURM_CONF"] == str(of_a_site)
    assert "SLURM_JOB_ID" not in os.environ


OPTIONS = [("--job-name=a\nb",), ("-J", "$(id)"), ("--account=" + "a" * 10_000,), ("--qos",), (3,)]
# -1 would be an option of scancel, 2.5 job 2, True job 1, and None every job that is no array's.
NO_JOBS = [0, -1, 2.5, True, float("nan"), 1e30, "7", None]
ASKED = [Slurm.cancel, Slurm.wait, lambda it, job: it.queue([job]), lambda it, job: it.history([job])]


@pytest.mark.parametrize(
    ("ask", "argument", "words"),
    [
        *((lambda it, said: it.submit("#!/bin/sh\n", *said), said, "must be|An option") for said in OPTIONS),
        *((ask, job, r"^A job id must be a whole number from 1 to \d+, not .*\.$") for ask in ASKED
          for job in NO_JOBS),
        *((Slurm.submit, script, r"^A batch script is .*\.$") for script in
          (0, None, b"#!/bin/sh", "#!/bin/sh\0", "a\0b")),
        *((lambda it, limit: it.wait(7, limit), limit, "timeout must be a number") for limit in
          (-1, float("inf"), None)),
    ],
)  # fmt: skip
def test_what_could_be_another_thing_is_refused_before_anything_runs(fake, tmp_path, ask, argument, words):
    for program in ("sbatch", "squeue", "scancel", "sacct"):
        client = fake(program, "echo 1")
    with pytest.raises(ValueError, match=words):
        ask(client, argument)
    assert not (tmp_path / "calls").exists()


SCRIPTS = {
    b"#!/bin/bash\r\nhostname\r\n": "DOS line breaks .*dos2unix",
    b"\xef\xbb\xbf#!/bin/bash\nhostname\n": "byte order mark",
    b"   #!/bin/bash\n   hostname\n": "must begin with #! .* in its first line; blanks or an empty line",
    b"#!/bin/bash\rhostname\r": "carriage return",
    b"hostname\ndate\n": "must begin with #! .*; that line is 'hostname'",
    b"#! \nhostname\n": "must begin with #! and the path of an interpreter",
    b"\n \n": "is empty", b"#!/bin/sh\n" + b"#" * 5_000_000: "larger than 4 MB",
}  # fmt: skip
FILES = {"#!/bin/sh\n".encode("utf-16"): "UTF-16", b"\x7fELF\0\0": "NUL", b"": "is empty"}


@pytest.mark.parametrize("content", SCRIPTS | FILES, ids=lambda content: repr(content[:24]))
def test_what_sbatch_would_not_take_is_refused_with_the_way_out(fake, tmp_path, content):
    client, file = fake("sbatch", "echo 1"), tmp_path / "script.sh"
    file.write_bytes(content)
    for script in (file, str(file), *([content.decode()] if content in SCRIPTS else [])):
        with pytest.raises(SubmitError, match=(SCRIPTS | FILES)[content]) as refused:
            client.submit(script)
        assert "\n" not in str(refused.value)
        assert str(refused.value).startswith("'script.sh': ") == (str(script) == str(file))
    assert not (tmp_path / "calls").exists()


def test_what_cannot_be_read_is_told(fake, tmp_path):
    client = fake("sbatch", "echo 1")
    with pytest.raises(SubmitError, match="is a directory"):
        client.submit(tmp_path)
    with pytest.raises(SubmitError, match=r"^There is no batch script at .{,70}\.$"):
        client.submit("x" * 10_000)
    with pytest.raises(SlurmMissing, match="no squeue"):
        Slurm("site", "", {"PATH": "/nowhere"}).queue()


def test_directives_that_sbatch_would_pass_over_are_told(fake):
    with pytest.warns(UserWarning, match="sbatch does not read #SBATCH -n 4: a command stands before it"):
        fake("sbatch", "echo 1").submit("#!/bin/sh\n#SBATCH -t 5\n\n# words\nset -e\n#SBATCH -n 4\n")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("sbatch: error: This does not look like a batch script.  The first\nsbatch: error: line must start "
         "with #!", "This does not look like a batch script. The first line must start with #!"),
        ("sbatch: error: ****\nsbatch: error: ** Use --mem-per-cpu **\nsbatch: error: ****\n"
         "sbatch: error: Batch job submission failed: Unspecified error",
         "Use --mem-per-cpu; Batch job submission failed: Unspecified error"),
        ("sbatch: lua: name an account\r\nsbatch: error: Batch job submission failed: Unspecified error",
         "lua: name an account; Batch job submission failed: Unspecified error"),
        ("sbatch: debug:  x\nsbatch: error: y\nsbatch: error: y\n\n", "y"),
    ],
)  # fmt: skip
def test_all_that_a_program_says_is_kept_as_one_line(said, told):
    assert slurm_commands.sentence(said) == told
    assert len(slurm_commands.sentence("\n".join(f"sbatch: error: {n}" for n in range(10_000)))) < 1100


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("--mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.", r'skip: \["--mem="\]'),
        ("lua: You must name an account", r"account=\.\.\.\).*sacctmgr"),
        ("Batch job submission failed: Socket timed out on send/recv operation", "look before sending"),
        ("Access/permission denied", "This host, or you.*Name a partition"),
        ("Requested node configuration is not available", "MaxMemPerCPU"),
    ],
)
def test_a_refusal_has_its_remedy(fake, refusal, words):
    client = fake("sbatch", f"cat <<'end' >&2\nsbatch: error: {refusal}\nend\nexit 1")
    with pytest.raises(SubmitError, match=words) as told:
        client.submit("#!/bin/sh\n")
    assert refusal.rstrip(".") in str(told.value)
    assert ".." not in str(told.value).replace("...", "")


def test_variables_that_speak_before_the_script_are_named(fake, tmp_path):
    client = fake("sbatch", f"env > {tmp_path}/env; echo 'sbatch: error: no' >&2; exit 1")
    client.environment |= {"SBATCH_QOS": "x", "SBATCH_WAIT": "1", "SQUEUE_STATES": "RUNNING"}
    with pytest.raises(SubmitError, match=r"sets SBATCH_QOS=x, SBATCH_WAIT=1, which sbatch takes before"):
        client.submit("#!/bin/sh\n")
    seen = (tmp_path / "env").read_text()
    assert "SBATCH_QOS=x" in seen
    assert "SQUEUE_STATES=RUNNING" in seen  # it is the job's
    assert "SLURM_TIME_FORMAT" not in seen
    assert "SBATCH_WAIT" not in seen  # sbatch would only return when the job has ended
    fake("squeue", f"env > {tmp_path}/env")
    client.queue()
    assert "SQUEUE_STATES" not in (tmp_path / "env").read_text()  # where it would hide rows


@pytest.mark.parametrize(
    ("said", "number"),
    [("Welcome to 2026\n* 7 nodes are down *\n12", 12), ("sbatch: lua: hello\n12;c\n", 12),
     ("Submitted batch job 12 on cluster c", 12), ("12\r\n", 12), ("12\nBye.", 12), ("Welcome", None),
     ("job 12 of 13", None), ("12 jobs", None)],
)  # fmt: skip
def test_the_jobs_number_among_a_sites_own_words(fake, said, number):
    client = fake("sbatch", f"cat <<'end'\n{said}\nend")
    if number:
        assert client.submit("#!/bin/sh\n") == number
    else:
        with pytest.raises(SubmitError, match=r"no job's number .* may or may not be in the queue"):
            client.submit("#!/bin/sh\n")


def test_what_a_wrapper_prints_beside_sinfos_answer_is_passed_over(fake):
    fake("sinfo", "echo Welcome; echo 'gpu|1-00:00:00|4|64|515000|(null)'")
    client = fake("sbatch", "echo 'sbatch: error: Requested node configuration is not available' >&2; exit 1")
    with pytest.raises(SubmitError, match=r"Partitions here: gpu has 4 node\(s\) of 64 core\(s\)"):
        client.submit("#!/bin/sh\n")
    assert client.nodes() == []

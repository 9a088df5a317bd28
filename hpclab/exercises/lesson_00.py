"""Lesson 00: where should this run? The rule by which a program chooses its backend, and tasks to pack."""

from types import SimpleNamespace

from hpclab.exercises import Exercise, judges

LAPTOP, BINDER, LOGIN, JOB = "laptop", "Binder", "login node", "inside a job"

# (place, cores here, cores wanted): the backend that fits, and the mistake that any other answer shows
_CASES = {
    (LAPTOP, 8, 4): ("local", "On a laptop nobody else waits: a queue in between only costs time."),
    (LAPTOP, 8, 8): ("local", "A laptop with 8 cores has the 8 that are wanted: nothing to ask for."),
    (LAPTOP, 2, 4): ("local", "A laptop has no more of them behind a queue: 4 workers share its 2 cores, and "
                     "what then is emulated is labelled so."),
    (LAPTOP, 4, 64): ("local", "A laptop has no 64 cores, and no queue that could bring them."),
    (BINDER, 2, 1): ("local", "Binder has the one core that is wanted: nothing to ask for."),
    (BINDER, 1, 2): ("local", "Binder has no other node: Slurm on its one core cannot add one."),
    (BINDER, 2, 16): ("local", "Binder's Slurm has the same two cores: it cannot bring sixteen."),
    (LOGIN, 16, 64): ("slurm", "A login node has no 64 cores; the cluster behind it has: ask its queue."),
    (LOGIN, 16, 1): ("slurm", "It would fit, and that is the trap: on a login node forty others type, so "
                     "even small work goes to the queue."),
    (LOGIN, 16, 16): ("slurm", "A login node is shared by everybody who is logged in: use the queue."),
    (JOB, 32, 8): ("local", "Inside a job the cores are yours already, and charged to you: asking the queue "
                   "again would leave them idle."),
    (JOB, 32, 32): ("local", "In a job with 32 cores 32 are here: more is needed only for the 33rd."),
    (JOB, 32, 33): ("slurm", "A job with 32 cores has no 33rd: ask the queue for what goes beyond it."),
    (JOB, 4, 8): ("slurm", "Compare with the cores that the job was given, here 4, not with a number."),
    (JOB, 1, 2): ("slurm", "A job with one core has no second: ask the queue for what goes beyond it."),
}  # fmt: skip


def _right(*case: object) -> str:
    """The backend that fits a case of _CASES."""
    return _CASES[case][0]  # type: ignore[index]


def _first_wrong(given: str, place: str, here: int, wanted: int) -> str:
    """A sentence: the mistake behind the backend `given` for this case."""
    if given == "auto":
        return '"auto" leaves the choice to hpclab: here you write the rule that it follows.'
    said = f'Your rule says "{given}" for choose("{place}", {here}, {wanted})'
    return f"{said}. {_CASES[place, here, wanted][1]}"


BACKEND = Exercise("00", "Choose a backend", judges.by_function(
    "choose(place, cores_here, cores_wanted)", '"local" or "slurm"', lambda: list(_CASES), _right,
    (lambda *case: "local" if _right(*case) == "slurm" else "slurm",
     'Every case comes out the other way round: have "local" and "slurm" changed places?'),
    (lambda *_: "local", "Always local: then a cluster's nodes are never used. {first}"),
    (lambda *_: "slurm", "Always Slurm: then work that could start now waits in a queue. {first}"),
    otherwise=_first_wrong, accepts=lambda value: value in ("local", "slurm", "auto"),
    yes="On a login node always the queue; inside a job what is yours already, and the queue only beyond "
    'it; elsewhere this machine. Pool(backend="auto") follows a rule like yours.',
), (
    "Ask two questions: whose cores are these, and are there more of them behind a queue?",
    "A login node's cores are everybody's, a job's are yours until it ends, a laptop or Binder has no queue "
    "that could bring more.",
    'Only two situations need the queue: any work on a "login node", and "inside a job" more cores than '
    "the job has: cores_wanted > cores_here.",
))  # fmt: skip

TASKS = (4, 4, 4, 5, 5, 6, 6, 7, 7)  # seconds


def _packed(plan: object) -> SimpleNamespace:
    """The seconds of each of the four lists of tasks in `plan`; ValueError where it is no such plan."""
    rows = plan if isinstance(plan, list | tuple) else []
    if len(rows) != 4 or not all(isinstance(row, list | tuple) for row in rows):
        raise ValueError("The answer is a list of four lists, one for each process.")
    given = [seconds for row in rows for seconds in row]
    if not all(map(judges.is_number, given)) or sorted(given) != [*TASKS]:
        raise ValueError(f"Each of the nine tasks has to stand in your lists once: {list(TASKS)}.")
    sums = [*map(sum, rows)]
    least = f" Nothing is shorter: it is {sum(TASKS)} s of work for four." * (max(sums) == sum(TASKS) / 4)
    return SimpleNamespace(sums=sums, longest=max(sums), least=least)


_ENDS = "The processes are done after {f.sums} s: the makespan is {f.longest} s. "

PACK = Exercise("00", "Pack four processes", judges.by_facts(
    _packed, (lambda f: f.longest >= 16, _ENDS + "A Pool, from the front of the list, takes 16 s."),
    yes=_ENDS + "Longest first, as people often do it, takes 15 s.{f.least}", score=("longest", "s"),
), (
    "Add up all seconds and divide by four: less than that nobody can reach.",
    "Two processes get tasks that are not of one length: what goes best with a 7?",
))  # fmt: skip

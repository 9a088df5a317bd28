"""Lesson 00: where should this run? One exercise: the rule by which a program chooses its backend."""

from __future__ import annotations

from hpclab.exercises import Exercise, Verdict
from hpclab.exercises.limits import call_each

LAPTOP, BINDER, LOGIN, JOB = "laptop", "Binder", "login node", "inside a job"
PLACES = (LAPTOP, BINDER, LOGIN, JOB)

# (place, cores here, cores wanted), the backend that fits, and the mistake that any other answer shows
_CASES = (
    ((LAPTOP, 8, 4), "local", "On a laptop nobody else waits: a queue in between only costs time."),
    ((LAPTOP, 8, 8), "local", "A laptop with 8 cores has the 8 that are wanted: nothing to ask for."),
    ((LAPTOP, 2, 4), "local",
     "A laptop with 2 cores has no more of them behind a queue: run 4 workers on it, and the lesson labels "
     "what then is emulated."),
    ((LAPTOP, 4, 64), "local", "A laptop has no 64 cores, and no queue that could bring them."),
    ((BINDER, 1, 2), "local",
     "Binder has one core and no other node: Slurm on the same core cannot add one."),
    ((LOGIN, 16, 64), "slurm", "A login node has no 64 cores; the cluster behind it has: ask its queue."),
    ((LOGIN, 16, 1), "slurm",
     "It would fit on the login node, and that is the trap: forty others type there, so even small work goes "
     "to the queue."),
    ((LOGIN, 16, 16), "slurm", "A login node is shared by everybody who is logged in: use the queue."),
    ((JOB, 32, 8), "local",
     "Inside a job the cores are yours already. Asking the queue again would wait for new ones, while these "
     "stand idle and are charged to you."),
    ((JOB, 32, 32), "local",
     "Inside a job with 32 cores, 32 wanted cores are all here: more is needed only for the 33rd."),
    ((JOB, 32, 33), "slurm",
     "A job with 32 cores has no 33rd: what goes beyond the allocation has to be asked for."),
    ((JOB, 4, 8), "slurm",
     "A job with 4 cores has no more of them: compare with the cores that it was given, not with a number."),
)  # fmt: skip


def _judge(answer: object) -> Verdict:
    said = call_each(answer, [case for case, _, _ in _CASES])  # type: ignore[arg-type]
    for (place, here, wanted), given in zip((case for case, _, _ in _CASES), said, strict=True):
        if given == "auto":
            return Verdict(
                False, '"auto" leaves the choice to hpclab: here you write the rule that it follows.'
            )
        if given is None:
            return Verdict(
                False,
                f'choose("{place}", {here}, {wanted}) returned nothing: every way through it needs a return.',
            )
        if given not in ("local", "slurm"):
            return Verdict(
                False, f'choose("{place}", {here}, {wanted}) must be "local" or "slurm", not {given!r:.60}.'
            )
    wrong = [(case, hint) for (case, right, hint), given in zip(_CASES, said, strict=True) if given != right]
    if len(wrong) == len(_CASES):
        return Verdict(
            False, 'Every case comes out the other way round: have "local" and "slurm" changed places?'
        )
    if set(said) == {"local"}:
        return Verdict(False, "Always local: then a cluster's nodes are never used. " + wrong[0][1])
    if set(said) == {"slurm"}:
        return Verdict(False, "Always Slurm: then work that could start now waits in a queue. " + wrong[0][1])
    if wrong:
        (place, here, wanted), hint = wrong[0]
        return Verdict(False, f"{place}, {here} core{'s' * (here != 1)} here, {wanted} wanted: {hint}")
    return Verdict(
        True,
        "On a login node always the queue; inside a job what is yours already, and the queue only beyond it; "
        'elsewhere this machine. Pool(backend="auto") follows a rule like yours.',
    )


BACKEND = Exercise(
    "Choose a backend",
    "Write choose(place, cores_here, cores_wanted), which returns \"local\" (processes on this machine) or "
    '"slurm" (jobs in a queue). The place is "laptop", "Binder", "login node" or "inside a job".',
    _judge,
    (
        "Ask two questions: whose cores are these, and are there more of them behind a queue?",
        "A login node's cores are everybody's. Inside a job the cores are yours until it ends. A laptop and "
        "Binder have nothing behind a queue.",
        "Only two situations need the queue: any work on a login node, and in a job more cores than it has.",
    ),
)  # fmt: skip

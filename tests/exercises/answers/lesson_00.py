"""Lesson 00: right answers, each written in its own way, and the wrong ones a learner is likely to give."""

from hpclab.exercises import lesson_00


def choose_by_cases(place, here, wanted):
    if place == "login node":
        return "slurm"
    if place == "inside a job":
        return "local" if wanted <= here else "slurm"
    return "local"


def slurm_if(rule):
    return lambda place, here, wanted: "slurm" if rule(place, here, wanted) else "local"


def besides(*case):
    """The right rule, but for one case."""
    return slurm_if(lambda *given: (choose_by_cases(*given) == "slurm") != (given == case))


LOGIN, JOB = "login node", "inside a job"
RIGHT = {
    "BACKEND": [choose_by_cases, slurm_if(lambda p, h, w: p == LOGIN or (p == JOB and w > h))],
    "PACK": [[[7, 4, 4], [7, 4], [6, 5], [6, 5]], [[7, 5], (7, 5), [6, 6], [4, 4, 4]]],
}  # fmt: skip

WRONG = {
    "BACKEND": [
        (slurm_if(lambda p, h, w: False), "Always local"), (slurm_if(lambda p, h, w: True), "Always Slurm"),
        (slurm_if(lambda p, h, w: w > h), "no more of them behind a queue"),
        (slurm_if(lambda p, h, w: p in (LOGIN, JOB)), "yours already"),
        (slurm_if(lambda p, h, w: p == LOGIN), "no 33rd"),
        (slurm_if(lambda p, h, w: p == LOGIN or (p == JOB and w >= h)), "only for the 33rd"),
        (slurm_if(lambda p, h, w: (p == LOGIN and w > 2) or (p == JOB and w > h)), "that is the trap"),
        (slurm_if(lambda p, h, w: choose_by_cases(p, h, w) == "local"), "changed places"),
        (lambda place, here, wanted: "auto", '"auto" leaves the choice'),
        (lambda place, here, wanted: print(place), "is the return missing?"),
        (lambda place, here, wanted: place == "login node", 'must be "local" or "slurm"'),
        *((besides(*case), said) for case, (_, said) in lesson_00._CASES.items()),
        (lambda place: "local", "TypeError"), ("slurm", "The answer is a function"),
    ],
    "PACK": [
        ([[4, 5, 7], [4, 5], [4, 6], [6, 7]], "makespan is 16 s"),
        ([[7, 7], [6, 6], [5, 5], [4, 4]], "has to stand in your lists once"),
        ([4, 4, 4, 5, 5, 6, 6, 7, 7], "four lists"),
        ([[7, 5, 6, 6, 4, 4, 4, 7, 5], [], [], []], "makespan is 48 s"),
    ],
}  # fmt: skip

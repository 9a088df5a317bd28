"""Lesson 00: right answers, each written in its own way, and the wrong ones a learner is likely to give."""

from hpclab.exercises import limits


def choose_by_cases(place, here, wanted):
    if place == "login node":
        return "slurm"
    if place == "inside a job":
        return "local" if wanted <= here else "slurm"
    return "local"


def choose_by_table(place, here, wanted):
    own = {"laptop": float("inf"), "Binder": float("inf"), "login node": 0, "inside a job": here}
    return ["local", "slurm"][wanted > own[place]]


def one_off(place, here, wanted):
    if place == "login node":
        return "slurm"
    return "slurm" if place == "inside a job" and wanted >= here else "local"


def number_inside_a_job(place, here, wanted):
    return "slurm" if place == "login node" or (place == "inside a job" and wanted > 32) else "local"


def small_on_the_login_node(place, here, wanted):
    if place == "login node":
        return "local" if wanted <= 2 else "slurm"
    return choose_by_cases(place, here, wanted)


def prints_it(place, here, wanted):
    print(choose_by_cases(place, here, wanted))


def never_ends(place, here, wanted):
    while True:
        pass


RIGHT = {"BACKEND": [choose_by_cases, choose_by_table]}

WRONG = {
    "BACKEND": [
        (lambda place, here, wanted: "local", "Always local"),
        (lambda place, here, wanted: "slurm", "Always Slurm"),
        (lambda place, here, wanted: "slurm" if wanted > here else "local", "no more of them behind a queue"),
        (
            lambda place, here, wanted: "slurm" if place in ("login node", "inside a job") else "local",
            "yours already",
        ),
        (lambda place, here, wanted: "slurm" if place == "login node" else "local", "no 33rd"),
        (one_off, "only for the 33rd"),
        (
            lambda place, here, wanted: "slurm" if place == "login node" or wanted > 32 else "local",
            "A laptop has no 64 cores",
        ),
        (number_inside_a_job, "not with a number"),
        (
            lambda place, here, wanted: (
                "slurm" if place == "Binder" else choose_by_cases(place, here, wanted)
            ),
            "Binder, 1 core here, 2 wanted",
        ),
        (small_on_the_login_node, "that is the trap"),
        (
            lambda place, here, wanted: {"local": "slurm", "slurm": "local"}[
                choose_by_cases(place, here, wanted)
            ],
            "changed places",
        ),
        (lambda place, here, wanted: "auto", '"auto" leaves the choice'),
        (prints_it, "is the return missing?"),
        (lambda place, here, wanted: place == "login node", 'must be "local" or "slurm"'),
        (never_ends, "did not finish"),
        (lambda place: "local", "TypeError"),
        ("slurm", "The answer is a function"),
    ],
}

OWN = {"BACKEND": [limits.call_each]}

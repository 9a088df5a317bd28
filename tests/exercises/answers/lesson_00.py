"""Lesson 00: right answers, each written in its own way, and the wrong ones a learner is likely to give."""

from hpclab.exercises import limits


def choose_by_cases(place, cores_here, cores_wanted):
    if place == "login node":
        return "slurm"
    if place == "inside a job":
        return "local" if cores_wanted <= cores_here else "slurm"
    return "local"


def choose_by_table(place, cores_here, cores_wanted):
    own = {"laptop": float("inf"), "Binder": float("inf"), "login node": 0, "inside a job": cores_here}
    return ["local", "slurm"][cores_wanted > own[place]]


def always_local(place, cores_here, cores_wanted):
    return "local"


def always_slurm(place, cores_here, cores_wanted):
    return "slurm"


def by_cores_alone(place, cores_here, cores_wanted):
    return "slurm" if cores_wanted > cores_here else "local"


def by_place_alone(place, cores_here, cores_wanted):
    return "slurm" if place in ("login node", "inside a job") else "local"


def login_only(place, cores_here, cores_wanted):
    return "slurm" if place == "login node" else "local"


def one_off(place, cores_here, cores_wanted):
    if place == "login node":
        return "slurm"
    return "slurm" if place == "inside a job" and cores_wanted >= cores_here else "local"


def by_a_number(place, cores_here, cores_wanted):
    return "slurm" if place == "login node" or cores_wanted > 32 else "local"


def number_inside_a_job(place, cores_here, cores_wanted):
    return "slurm" if place == "login node" or (place == "inside a job" and cores_wanted > 32) else "local"


def also_on_binder(place, cores_here, cores_wanted):
    return "slurm" if place == "Binder" else choose_by_cases(place, cores_here, cores_wanted)


def small_on_the_login_node(place, cores_here, cores_wanted):
    if place == "login node":
        return "local" if cores_wanted <= 2 else "slurm"
    return choose_by_cases(place, cores_here, cores_wanted)


def swapped(place, cores_here, cores_wanted):
    return {"local": "slurm", "slurm": "local"}[choose_by_cases(place, cores_here, cores_wanted)]


def leaves_it_open(place, cores_here, cores_wanted):
    return "auto"


def prints_it(place, cores_here, cores_wanted):
    print(choose_by_cases(place, cores_here, cores_wanted))


def true_or_false(place, cores_here, cores_wanted):
    return place == "login node"


def never_ends(place, cores_here, cores_wanted):
    while True:
        pass


RIGHT = {"BACKEND": [choose_by_cases, choose_by_table]}

WRONG = {
    "BACKEND": [
        (always_local, "Always local"),
        (always_slurm, "Always Slurm"),
        (by_cores_alone, "no more of them behind a queue"),
        (by_place_alone, "yours already"),
        (login_only, "no 33rd"),
        (one_off, "only for the 33rd"),
        (by_a_number, "A laptop has no 64 cores"),
        (number_inside_a_job, "not with a number"),
        (also_on_binder, "Binder, 1 core here, 2 wanted"),
        (small_on_the_login_node, "that is the trap"),
        (swapped, "changed places"),
        (leaves_it_open, '"auto" leaves the choice'),
        (prints_it, "is the return missing?"),
        (true_or_false, 'must be "local" or "slurm"'),
        (never_ends, "did not finish"),
        (lambda place: "local", "TypeError"),
        ("slurm", "The answer is a function"),
    ],
}

OWN = {"BACKEND": [limits.call]}

"""Why a job waits, or was refused, in plain words: Slurm's reason, what it means, and what to do about it."""

from __future__ import annotations

import re

_REASONS = {
    "": "it does not wait, or Slurm has not looked at it yet",
    "None": "Slurm has not looked at it yet; ask again in a second or two",
    "Resources": "it is the next to start, as soon as enough cores, memory or GPUs are free",
    "Priority": "other jobs stand before it in the queue; a shorter time limit lets it slip into a gap",
    "Dependency": "it waits for another job to end as its --dependency says",
    "DependencyNeverSatisfied": "the job it depends on did not end as it had to: cancel it",
    "BeginTime": "it may not start before a set time (--begin, or the pause after a requeue)",
    "JobHeldUser": "it is held by its owner: scontrol release",
    "JobHeldAdmin": "it is held by an administrator: ask them",
    "JobArrayTaskLimit": "as many tasks of this array run as its own limit (%) allows",
    "PartitionTimeLimit": "its time limit is longer than the partition allows: ask for less",
    "PartitionNodeLimit": "it asks for more nodes than the partition has, or gives one job: ask for fewer",
    "PartitionConfig": "the partition can never give what it asks for (nodes, cores, memory): ask for less",
    "PartitionDown": "the partition is down: use another, or ask the administrators",
    "PartitionInactive": "the partition starts no jobs now: use another, or ask the administrators",
    "ReqNodeNotAvail": "a node it needs is down, drained or reserved",
    "NodeDown": "a node it needs is down",
    "BadConstraints": "no node has the features it asks for: change --constraint",
    "Licenses": "a licence it needs is in use",
    "Reservation": "it waits for its reservation to begin",
    "ReservationDeleted": "its reservation is gone: submit it again without",
    "InvalidAccount": "its account is not valid here: check --account",
    "InvalidQOS": "its quality of service is not valid here: check --qos",
    "AccountNotAllowed": "its account may not use this partition: try another partition",
    "Cleaning": "it was requeued and its last run is still being cleaned up",
    "Prolog": "the nodes are being prepared for it",
    "JobLaunchFailure": "it could not be started: its working directory or script may be missing on the node",
    "launch_failed_requeued_held": "it could not be started and is held: scontrol release tries again",
    "NonZeroExitCode": "it ended with an exit status other than 0",
    "TimeLimit": "it ran into its time limit",
    "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions": (
        "the nodes it needs are down, drained, or taken by a partition of higher priority"
    ),
}
_FAMILIES = (
    (
        "QOSMax",
        "you, or your quality of service, already use as much as its limit allows; it starts as others end",
    ),
    ("AssocGrp", "your account already uses as much as its limit allows; it starts as other jobs end"),
    ("AssocMax", "you already use as much as your account allows one person; it starts as your others end"),
    ("QOSGrp", "this quality of service is used up to its limit; it starts as other jobs end"),
    ("ReqNodeNotAvail", _REASONS["ReqNodeNotAvail"]),
    ("Job's_account_not", _REASONS["AccountNotAllowed"]),
    ("Max", "you already use as much as the site allows one person; it starts as your others end"),
    ("Assoc", "an account's limit keeps it waiting; it starts as other jobs end"),
    ("QOS", "the limit of a quality of service keeps it waiting: ask for less, or use another --qos"),
    ("Nodes_required", "the nodes it needs are down, drained, or taken by a partition of higher priority"),
)


def explain(reason: str) -> str:
    """``"Resources: it is the next to start, ..."``; an unknown reason is handed on with where to look."""
    word = re.sub(r"^\((.*)\)$", r"\1", reason.strip()).replace(" ", "_")
    said = _REASONS.get(word) or next((text for start, text in _FAMILIES if word.startswith(start)), None)
    said = said or "not one of the common reasons; the squeue manual lists all of them"
    return f"{word.replace('_', ' ').rstrip(':.')}: {said}." if word else f"{said.capitalize()}."

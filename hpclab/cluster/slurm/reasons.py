"""Why a job waits, or was refused, in plain words: Slurm's reason, what it means, and what to do about it."""

import re

# By how a reason begins, of which the longest counts; the words after it name a limit or a node.
_REASONS = {
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
    "Nodes_required": "the nodes it needs are down, drained, or taken by a partition of higher priority",
    "BadConstraints": "no node has the features it asks for: change --constraint",
    "Licenses": "a licence it needs is in use",
    "Reservation": "it waits for its reservation to begin",
    "ReservationDeleted": "its reservation is gone: submit it again without",
    "InvalidAccount": "its account is not valid here: check --account",
    "InvalidQOS": "its quality of service is not valid here: check --qos",
    "AccountNotAllowed": "its account may not use this partition: try another partition",
    "Job's_account_not": "its account may not use this partition: try another partition",
    "Cleaning": "it was requeued and its last run is still being cleaned up",
    "Prolog": "the nodes are being prepared for it",
    "JobLaunchFailure": "it could not be started: its working directory or script may be missing on the node",
    "launch_failed_requeued_held": "it could not be started and is held: scontrol release tries again",
    "NonZeroExitCode": "it ended with an exit status other than 0",
    "TimeLimit": "it ran into its time limit",
    "QOS": "the limit of a quality of service keeps it waiting: ask for less, or use another --qos",
    "QOSGrp": "this quality of service is used up to its limit; it starts as other jobs end",
    "QOSMax": "you, or your quality of service, already use its whole limit; it starts as others end",
    "Assoc": "an account's limit keeps it waiting; it starts as other jobs end",
    "AssocGrp": "your account already uses as much as its limit allows; it starts as other jobs end",
    "AssocMax": "you already use as much as your account allows one person; it starts as your others end",
    "Max": "you already use as much as the site allows one person; it starts as your others end",
}


def explain(reason: str) -> str:
    """``"Resources: it is the next to start, ..."``; an unknown reason is handed on with where to look."""
    word = re.sub(r"^\((.*)\)$", r"\1", reason.strip()).replace(" ", "_")
    if not word:
        return "It does not wait, or Slurm has not looked at it yet."
    known = max((begin for begin in _REASONS if word.startswith(begin)), key=len, default="")
    said = _REASONS.get(known, "not one of the common reasons; the squeue manual lists all of them")
    return f"{word.replace('_', ' ').rstrip(':.')}: {said}."

"""Lesson 08: exposed communication, what to do with summed gradients, strong and weak scaling, buckets."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from types import SimpleNamespace

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models import overlap

# seconds of the backward pass; of it, when each bucket is ready; seconds of each message
STEPS = (
    (0.1, (0.02, 0.06, 0.1), (0.03, 0.03, 0.03)),
    (0.1, (0.02, 0.06, 0.1), (0.2, 0.2, 0.2)),
    (0.2, (0.05, 0.1, 0.2), (0.09, 0.02, 0.01)),
    (0.1, (0.02, 0.04, 0.05), (0.01, 0.01, 0.01)),
    (0.1, (0.02, 0.05), (0.03, 0.05)),  # each begins as the one before ends, the last ends with the pass
)
"""Five backward passes as the judge gives them to the learner's function."""


def _exposed(backward: float, ready: tuple[float, ...], seconds: tuple[float, ...]) -> float:
    shares = [at / backward for at in ready]
    return overlap.send(backward, shares, seconds).exposed


EXPOSED = Exercise("08", "exposed communication", judges.by_function(
    "exposed(backward, ready, seconds)", "a number of seconds", lambda: STEPS, _exposed,
    (lambda b, r, s: sum(s), "that is all communication, hidden or not: what counts is what is left when "
     "the backward pass has ended."),
    (lambda b, r, s: max(0.0, sum(s) - b), "right if the first message could begin with the backward "
     "pass. None can begin before its bucket is ready."),
    (lambda b, r, s: s[-1], "the last message always counts, but it may have to wait for those before it."),
    (lambda b, r, s: max(0.0, max(at + one for at, one in zip(r, s, strict=True)) - b),
     "that gives each message a link of its own. There is one: a message begins when its bucket is ready "
     "and the message before it has ended."),
    (lambda b, r, s: max(0.0, r[0] + sum(s) - b), "that never lets the link idle. After a short message "
     "it waits for the next bucket."),
    (lambda b, r, s: overlap.send(b, [at / b for at in r], s).ends[-1], "that is when the last message "
     "ends. Exposed is what comes after the backward pass."),
    (lambda b, r, s: overlap.send(b, [at / b for at in r], s).ends[-1] - b, "nearly: where all messages "
     "have ended before the backward pass, nothing is exposed, and not less than nothing."),
    shown="Three messages of 30 ms, ready at 20, 60 and 100 ms of 100: you get {0:.3f} s; ",
    otherwise=lambda n, b, r, s: f"For backward {b:g} s, ready {r}, messages {s} s you get {n:.3f} s. Go "
    f"through the messages in turn: each begins at the later of two moments. It is {_exposed(b, r, s):.3f} "
    f"s.",
    yes="One link, used as soon as it can be: {right[0]:.2f} s of 0.09 are exposed in the first, and "
    "{right[1]:.2f} of 0.6 s in the second, whose link is too slow to hide much.",
), (
    "Keep one number: when the link is free again.",
    "A message begins at max(ready, free). Exposed is what the last one ends after the backward pass.",
))  # fmt: skip

AVERAGE = Exercise("08", "average", judges.by_function(
    "gradient(sums, ranks, micro_batches)", "a number",
    lambda: ((24.0, 4, 1), (24.0, 4, 3), (9.0, 1, 4), (7.0, 1, 1)),
    lambda sums, ranks, micro: sums / (ranks * micro),
    (lambda g, p, m: g, "that is the sum. It grows with the ranks, and with it every step: a learning "
     "rate that was right for one rank is too large for four."),
    (lambda g, p, m: g / p, "right for the ranks. But each rank has added up its micro-batches, too."),
    (lambda g, p, m: g / m, "right for the micro-batches. But the all-reduce has added up the ranks."),
    (lambda g, p, m: g * p * m, "upside down: more samples must not make the gradient larger."),
    (lambda g, p, m: g / (p + m), "each rank has m micro-batches: the losses that were added up are p × m."),
    shown="A sum of 24 over 4 ranks gives you {0:g}: ",
    otherwise=lambda n, g, p, m: f"For a sum of {g:g} over {p} ranks with {m} micro-batches you get {n:g}. "
    "How many mean losses have been added up in it?",
    yes="The mean over all samples, whoever had them: so 4 ranks with 2 micro-batches of 8 learn exactly "
    "what one rank learns from 64.",
), (
    "Every backward pass adds the gradient of a mean loss. How many of them were added?",
    "Ranks × micro-batches.",
))  # fmt: skip


def _efficiency(seconds: Mapping[int, float], scaling: str) -> float:
    """The efficiency at the most ranks of `seconds` (by number of ranks); `scaling` is "strong" or "weak"."""
    most = max(seconds)
    return seconds[1] / seconds[most] / (most if scaling == "strong" else 1)


EFFICIENCY = Exercise("08", "efficiency", judges.by_function(
    "efficiency(seconds, scaling)", "a number",
    lambda: (
        ({1: 8.0, 2: 4.2, 4: 2.5}, "strong"), ({1: 1.0, 2: 1.1, 4: 1.25}, "weak"),
        ({1: 3.0, 16: 0.25}, "strong"), ({1: 3.0, 16: 3.2}, "weak"), ({4: 2.5, 1: 8.0, 2: 4.2}, "strong"),
    ),
    _efficiency,
    (lambda s, how: s[1] / s[max(s)], "with weak scaling that is right. With strong scaling it is the "
     "speedup: divide it by the ranks."),
    (lambda s, how: s[1] / s[max(s)] / max(s), "with strong scaling that is right. With weak scaling "
     "every rank has a batch of its own, so the same time is already perfect."),
    (lambda s, how: s[max(s)] / s[1], "upside down: a longer step must be less efficient."),
    (lambda s, how: s[max(s)] * max(s) / s[1], "upside down: a longer step must be less efficient."),
    (lambda s, how: s[1] / s[max(s)] * (max(s) if how == "weak" else 1), "that is the speedup, in "
     "samples a second. Efficiency is the speedup over the number of ranks."),
    shown="For 8 s on one rank and 2.5 s on four, the same batch, you get {0:.2f}: ",
    otherwise=lambda n, s, how: f"For {s} s, {how} scaling, you get {n:.3g}. What would these ranks do if "
    f"nothing were lost? It is {_efficiency(s, how):.3g}.",
    yes="0.80 strong, and 0.80 weak: the same share is lost, and in the first case it hurts more with each "
    "rank, because what is computed between two messages shrinks.",
), (
    "Strong: the batch is the same, so p ranks should need 1/p of the time. Weak: each rank has its own "
    "batch, so they should need the same time.",
))  # fmt: skip

BACKWARD, GRADIENTS = 0.25, 3.1e9
"""A training on 64 GPUs: seconds of a backward pass, bytes of gradients (2 a parameter of 1.55 billion)."""

RANKS, LINK, LATENCY = 64, 25e9, 0.5e-3
"""How many ranks, bytes/s of each one's link, seconds of every message beside its bytes."""


def bucketed(size: float) -> overlap.Messages:
    """The messages of the training on 64 GPUs in buckets of `size` bytes; a ring sends 2 (p − 1)/p of it."""
    count = max(1, math.ceil(GRADIENTS / size))
    each = LATENCY + 2 * (RANKS - 1) / RANKS * GRADIENTS / count / LINK
    return overlap.send(BACKWARD, [(n + 1) / count for n in range(count)], [each] * count)


def _bucket(answer: object) -> SimpleNamespace:
    """What buckets of `answer` bytes expose, in ms, and the latencies of their messages, in s."""
    size = checks.number("The bucket's size", answer, 1e5, 1e12, "bytes")
    sent = bucketed(size)
    return SimpleNamespace(
        size=size, count=len(sent.ends), exposed=1e3 * sent.exposed, latency=len(sent.ends) * LATENCY,
        last=1e3 * (sent.ends[-1] - sent.begins[-1]), usual=1e3 * bucketed(25 * 2**20).exposed,
    )  # fmt: skip


BUCKET = Exercise("08", "bucket", judges.by_facts(
    _bucket,
    (lambda f: f.count == 1, "One bucket of everything is ready when the backward pass has ended: "
     "{f.exposed:.0f} ms are exposed, all of it."),
    (lambda f: f.latency > 0.08, "{f.count} messages pay the latency of 0.5 ms each, {f.latency:.2f} s "
     "in all: the link is behind for ever, and {f.exposed:.0f} ms are exposed."),
    (lambda f: f.exposed > 60 and f.last > 40, "The last bucket can never hide, and yours takes "
     "{f.last:.0f} ms: {f.exposed:.0f} ms are exposed. Make it smaller."),
    (lambda f: f.exposed > 35, "{f.exposed:.1f} ms are exposed with {f.count} messages. The best is "
     "below 20: weigh the latency of all messages against the length of the last."),
    yes="{f.exposed:.0f} ms of 250 are exposed, with {f.count} messages. PyTorch's DDP takes 25 MiB unless "
    "told otherwise: here that would leave {f.usual:.0f} ms, because of the latency of each message.",
), (
    "How long does the last message take? It always counts. How many messages are there? Each costs 0.5 ms.",
    "3.1 GB through 25 GB/s, twice, are 0.25 s: the link is busy all the time. Then the first message "
    "counts, too.",
))  # fmt: skip

PIECES = (*((2.0e-3, 9.44e6), (1.0e-3, 4.72e6)) * 12, (0.5e-3, 78.8e6))
"""Of the challenge: seconds of the backward pass before each piece of the gradients is there, and its bytes.

GPT-2 with 124 million parameters in 16 bits, as backward meets it: MLP and attention of twelve blocks, then
the embedding, which is the output layer's matrix as well. The seconds are stated, not measured."""

ETHERNET, MESSAGE = 10e9, 1.5e-3
"""Bytes/s of a rank's link in the challenge, and seconds of every message beside its bytes."""


def _sent(cuts: Sequence[int]) -> overlap.Messages:
    """The messages of RANKS ranks with `cuts` pieces of PIECES in the first, second, ... bucket."""
    ends, ready = [*accumulate(cuts)], [*accumulate(seconds for seconds, _ in PIECES)]
    held = [*accumulate((size for _, size in PIECES), initial=0.0)]
    sizes = [held[end] - held[end - count] for end, count in zip(ends, cuts, strict=True)]
    seconds = [MESSAGE + 2 * (RANKS - 1) / RANKS * size / ETHERNET for size in sizes]
    return overlap.send(ready[-1], [ready[end - 1] / ready[-1] for end in ends], seconds)


def _cut(answer: object) -> SimpleNamespace:
    """What the buckets in `answer` expose, in ms, beside what DDP's own buckets would."""
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise ValueError("The answer is a list: the pieces in the first bucket, in the second, and so on.")
    cuts = [checks.integer("Each bucket", one, 1, len(PIECES), "pieces") for one in answer]
    if sum(cuts) != len(PIECES):
        raise ValueError(f"These buckets hold {sum(cuts)} pieces together, and there are {len(PIECES)}.")
    sizes = [int(size) for _, size in PIECES]
    first = len(overlap.group(sizes, 2**20)[0])  # DDP's default: 1 MiB or more in the first bucket, then 25
    ddp = [first, *map(len, overlap.group(sizes[first:], 25 * 2**20))]
    sent = _sent(cuts)
    busy = sum(end - begin for begin, end in zip(sent.begins, sent.ends, strict=True))
    return SimpleNamespace(
        exposed=round(1e3 * sent.exposed, 2), ddp=ddp, theirs=round(1e3 * _sent(ddp).exposed, 2),
        idle=1e3 * (sent.ends[-1] - busy), latency=1e3 * MESSAGE * len(cuts),
    )  # fmt: skip


_CUT = (
    "{f.exposed:.2f} ms are exposed, and with DDP's own buckets, {f.ddp}, {f.theirs:.2f}. The link idles for "
    "{f.idle:.1f} ms, and messages cost it {f.latency:.1f} ms beside their bytes."
)
FASTER = Exercise("08", "faster than DDP", judges.by_facts(
    _cut, (lambda f: f.exposed >= f.theirs, _CUT),
    yes=_CUT + " Below 25 is possible.", score=("exposed", "ms"),
), (
    "All messages together take longer than the backward pass: once it runs, the link should never wait.",
    "The first bucket should be small, so that the link begins early. What does each message cost then?",
    "Once the link is behind, a bucket is full long before it is sent: it may as well be larger.",
))  # fmt: skip

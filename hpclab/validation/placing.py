"""From the words of a published row to hardware: which GPU, which network, how fast.

Nothing is guessed from the measured number. Where a row says less than the model needs, what is usual is
assumed and written here (eight GPUs to a node), or NotPlaced says what is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hpclab.validation.score import NotPlaced

_GENERATIONS = (  # the first that fits counts
    ("nvlink5", r"nvlink ?5|\bg?b[23]00\b"),
    ("nvlink4", r"nvlink ?4|\bg?h[12]00\b|\bh800\b|hopper"),
    ("nvlink3", r"nvlink ?3|\ba100\b|\ba800\b|ampere"),
    ("nvlink2", r"nvlink ?2|\bv100\b|volta|dgx-?[12]\b"),
)
_FAMILIES = (
    ("omni-path", r"omni-?path|\bopa\b|opa-?100"),
    ("slingshot", r"slingshot"),
    ("aries", r"\baries\b|piz daint|xc[345]0"),
    ("tcp", r"\btcp\b|ipoib|sockets?\b"),
    ("roce", r"\broce"),
    ("infiniband", r"infiniband|\bib\b|\b(?:q|f|e|h|n|x)dr(?:\d+)?\b"),
    ("efa", r"\befa\b"),
    ("ethernet", r"ethernet|\b\d+ ?gbe\b|\bgige\b"),
)
_NAMED_RATES = {
    "qdr": 32, "fdr": 54.5, "edr": 100, "edr100": 100, "hdr": 200, "hdr100": 100, "hdr200": 200, "ndr": 400,
    "ndr200": 200, "ndr400": 400, "xdr": 800,
}  # fmt: skip
_RATE = re.compile(  # Gb/s, not GB: 400Gb/s, 25 Gbps, 100GbE, 8x400G
    r"(?:(?<!\w)(\d+) ?[x×] ?|(?<![\w.]))~?(\d+(?:\.\d+)?) ?"
    r"G(?:b(?:it)?/?(?:ps|s)|bE|igE|bit|b)?\b"
    r"(?: ?(?:/|per) ?(GPU|gpu|node))?"
)
_MEMORY = re.compile(r"\b[ABGHV]+\d+0[- ]?(?:SXM\d?[- ]?)?\d+ ?G[B]?\b")  # a GPU's memory is no rate


@dataclass(frozen=True)
class Rate:
    """A network's rate in bytes/s, one way: `each` of one port, `ports` if said; `per` gpu, node or ""."""

    each: float
    ports: int = 0
    per: str = ""


def generation(words: str) -> str:
    """The NVLink generation, a name of `nccl_links.NVLINKS`."""
    text = words.lower().replace("_", " ")
    for name, pattern in _GENERATIONS:
        if re.search(pattern, text) and ("nvlink" in text or "pcie" not in text):
            return name
    raise NotPlaced("the GPU's model or its NVLink is not stated, or not one that the course knows")


def family(words: str) -> str:
    """The network's family, a name of _FAMILIES ("infiniband", "roce" ...), or "" where none is named."""
    text = words.lower().replace("_", " ")
    return next((name for name, pattern in _FAMILIES if re.search(pattern, text)), "")


def rate(words: str) -> Rate | None:
    """The network's rate: a number of Gb/s, or what the name of an InfiniBand generation stands for."""
    for match in _RATE.finditer(_MEMORY.sub("", words)):
        return Rate(float(match[2]) * 1e9 / 8, int(match[1] or 0), (match[3] or "").lower())
    text = words.lower().replace("_", " ").replace("-", " ")
    for name in sorted(_NAMED_RATES, key=len, reverse=True):
        if found := re.search(rf"(?:(\d+) ?x ?)?\b{name}\b", text):
            return Rate(_NAMED_RATES[name] * 1e9 / 8, int(found[1] or 0))
    return None


def per_node(found: Rate, gpus: int) -> float:
    """Bytes/s out of a node with `gpus` in use: per GPU if so said, else all ports named, else the number."""
    if found.per == "gpu":
        return found.each * gpus
    return found.each if found.per == "node" else found.each * max(found.ports, 1)


def gpus_of_a_node(words: str) -> int:
    """How many GPUs a node has: "4/node", "8x H200", "8 GPU", a DGX-2's 16, else 8."""
    if re.search(r"dgx-?2\b|nvswitch", words.lower()) and generation(words) == "nvlink2":
        return 16
    found = re.search(r"(\d+) ?(?:x ?[abghv]|gpus?\b|/ ?node|(?: gpus?)? per node)", words.lower())
    return int(found[1]) if found and 1 <= int(found[1]) <= 72 else 8

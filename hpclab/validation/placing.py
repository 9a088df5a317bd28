"""Find the hardware that a published row's words name: which GPU, which network, how many ports, how fast.

The words are read whole (`words.py` cuts them, clauses here join them), or NotPlaced names what was not
understood: a count that is passed over would mean other hardware. Where a row says less than the model needs,
what is usual is assumed (eight GPUs to a node; one port to a node of up to four), or NotPlaced says what is
missing.
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Iterable

from hpclab.validation.score import NotPlaced
from hpclab.validation.words import GPUS, Token, tokens

_CLAUSES = [  # what is said -> the kinds of tokens that say it; the first that fits counts
    ("nodes of", r"NX\|?NX?G"), ("ports", r"NX?P?SP?E?(?:R(?:D|P|N?U))?"), ("ports", r"SP?\|?XNP?(?:RD)?"),
    ("rate", r"T?SP?T?E?(?:R(?:D|P|U))?"), ("ports", r"NX?P+E?(?:R(?:D|N?U))?|P+RN?U"),
    ("a node's", r"DON(?:U|X?G)?|NUR?D|NX?GRD"), ("GPUs", r"NX?G|GXN|NU"), ("per node", r"NRD"),
    ("per GPU", r"NRU"), ("nodes", r"ND"), ("", r"[|GTUDPEO]"),
]  # fmt: skip
_OVER_ETHERNET = {"roce", "efa", "slingshot"}  # may be called Ethernet as well; and TCP runs over all
_NVLINK_RATES = {"nvlink2": 150, "nvlink3": 300, "nvlink4": 450, "nvlink5": 900}  # GB/s of a GPU, one way
_NAMED = {
    "G": "GPU",
    "L": "NVLink",
    "K": "remark",
    "F": "family",
    "S": "family",
    "?": "",
}  # "": not known
_FASTEST_PORT = 800.0  # Gb/s; a number above is several ports


class Hardware:
    """What the words of a system and its network say: `names` and `numbers` by what they are of.

    Numbers are Gb/s ("each" port, "of a GPU", "of a node"), GB/s ("bytes"), and counts: "ports", "ports of a
    GPU", "GPUs of a node", "GPUs" (of a node or of all), "nodes".
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = defaultdict(list)
        self.numbers: dict[str, list[float]] = defaultdict(list)

    def refuse_unknown(self, *fields: str) -> None:
        """Raise NotPlaced, naming them, if these fields ("system", "network") hold words no rule knows."""
        strange = [word for name in fields for word in self.names[name]]
        if strange:
            raise NotPlaced(f"{_shown(strange)} in its words is not understood: say it otherwise")

    @property
    def family(self) -> str:
        """The network's family (``"roce"`` ...), "" where none is named; NotPlaced where two are."""
        found = set(self.names["family"])
        if "tcp" in found:
            return "tcp"
        found -= {"ethernet"} if found & _OVER_ETHERNET else set()
        if len(found) > 1:
            raise NotPlaced(f"its words name two networks, {' and '.join(sorted(found))}")
        return found.pop() if found else ""

    @property
    def nvlink(self) -> str:
        """The NVLink's generation, a name of `nccl_links.NVLINKS`; NotPlaced where that is not clear."""
        gpus = {"v100" if gpu == "dgx-2" else gpu for gpu in self.names["GPU"]}
        found = {*filter(None, self.names["NVLink"]), *(GPUS[gpu][0] for gpu in gpus)}
        if not found:
            numbered = [word for word in self.names["system"] if re.search(r"[a-z]-?\d", word)]
            raise NotPlaced(
                "the GPU's model or its NVLink is not stated, or not one that the course knows"
                + f": {_shown(numbered)}" * bool(numbered)
            )
        if len(found) > 1 or len(gpus) > 1:
            raise NotPlaced(f"its words name several GPUs or NVLinks: {', '.join(sorted(gpus | found))}")
        remarks, name = self.names["remark"], found.pop()
        if "pcie" in remarks or ("bus" in remarks and "sxm" not in remarks):
            raise NotPlaced("its GPUs are PCIe cards, and what joins those has no model here")
        if "pairs" in remarks:
            raise NotPlaced("its GPUs are joined in pairs, which has no model here")
        for rate in self.numbers["bytes"]:
            if rate not in (_NVLINK_RATES[name], 2 * _NVLINK_RATES[name]):
                raise NotPlaced(f"{rate:g} GB/s is no rate of {name}, and a network's is read in Gb/s")
        return name

    def rates(self) -> tuple[float, float, float]:
        """Gb/s of a port, a GPU and a node, 0 if not said: ``(200, 0, 800)`` of "4x HDR, 800Gb/s"."""
        said, ports = sorted(self.numbers["each"]), self.numbers["ports"]
        whole = said[0] * ports[0] if said and ports else math.inf
        sums = [rate for rate in said if rate > _FASTEST_PORT or math.isclose(rate, whole, rel_tol=0.05)]
        sums = sums if not ports or ports[0] > 1 else []
        each = _agreed("rates of a port", [rate for rate in said if rate not in sums], 0.05)
        gpu = _agreed("rates of a GPU", self.numbers["of a GPU"], 0.05)
        return each, gpu, _agreed("rates of a node", [*self.numbers["of a node"], *sums], 0.05)

    def node_bandwidth(self, in_use: int, node: int) -> float | None:
        """Bytes/s out of a node that uses `in_use` of `node` GPUs (0: unknown); None if no rate is said."""
        each, gpu, whole = self.rates()
        size = node or in_use
        own = [1.0] * ("gh200" in self.names["GPU"] and not self.numbers["ports"])  # a card on each module
        shares = [share * size for share in self.numbers["ports of a GPU"] or own]
        ports = _agreed("numbers of ports", [*self.numbers["ports"], *shares])
        _agreed("rates of a node", [rate for rate in (ports * each, gpu * node, whole) if rate], 0.05)
        if gpu:
            found = gpu * in_use
        elif ports and each:
            if ports > size and not node:
                raise NotPlaced(f"which of its node's {ports:g} ports were in use is not stated")
            found = each * max(1.0, ports * in_use / size)
        elif whole:
            if in_use < size:
                raise NotPlaced(f"the rate is a node's, and {in_use} of its {size} GPUs took part")
            found = whole
        elif not each:
            return None
        elif in_use > 1 and size > 4:
            raise NotPlaced("how many ports a node has is not stated: write 4x HDR, or 800 Gb/s per node")
        else:
            found = each
        return found * 1e9 / 8

    def layout(self, gpus: int, nodes: int, per_node: int) -> tuple[int, int, int]:
        """GPUs, nodes, and GPUs that a node has, from a row's numbers (0: not said) and words; or NotPlaced.

        Nodes are worked out where it is said how many GPUs each has; without a network, up to eight are one.
        """
        size, models = _agreed("sizes of a node", self.numbers["GPUs of a node"]), self.names["GPU"]
        if "dgx-2" in models or ("v100" in models and "nvswitch" in self.names["remark"]):
            size = size or 16
        all_nodes = int(_agreed("numbers of nodes", self.numbers["nodes"]))
        nodes = nodes or all_nodes
        gpus, counted = gpus or nodes * per_node, set(self.numbers["GPUs"])
        if not nodes and (per_node or size):
            nodes = max(1, int(gpus / (per_node or size)))
        elif not nodes:
            if gpus > 8 or (gpus not in counted and (self.names["family"] or any(self.rates()))):
                raise NotPlaced("on how many nodes its GPUs are is not stated: add a column nodes")
            nodes = 1
        if gpus < 2 or gpus % nodes:
            raise NotPlaced(
                "its GPUs are not stated, fewer than two, or cannot be spread evenly over its nodes"
            )
        in_use = gpus // nodes
        sizes = [number for number in counted if number != gpus or nodes == 1]  # or else they are all of them
        size = _agreed("sizes of a node", [*sizes, *[size] * bool(size)])
        fits = in_use <= (size or 72) <= 72 and nodes <= (all_nodes or nodes)
        if not fits or (per_node and per_node != in_use):
            raise NotPlaced("its numbers of GPUs, of nodes and of GPUs in a node do not agree")
        return gpus, nodes, int(size)


def node_size(words: Hardware) -> int:
    """GPUs of a node: as many as `words` say, or the usual: four Grace Hopper, else eight."""
    return int(max(words.numbers["GPUs of a node"], default=4 if "gh200" in words.names["GPU"] else 8))


def _shown(words: Iterable[str]) -> str:
    """``"'h800', '4x'"``: `words` quoted, with GB for the gbyte of `words.tokens`."""
    return f"{', '.join(repr(word[:30].replace('gbyte', 'GB')) for word in dict.fromkeys(words)):.120}"


def _agreed(what: str, said: Iterable[float], apart: float = 0.0) -> float:
    """The least of the numbers `said`, or 0; NotPlaced, with `what`, if they differ by more than `apart`."""
    found = sorted(said)
    if found and found[-1] - found[0] > apart * found[-1]:
        raise NotPlaced(f"its words name two {what}: {found[0]:g} and {found[-1]:g}")
    return found[0] if found else 0


@functools.lru_cache(maxsize=1024)
def read(system: str, network: str = "", stack: str = "") -> Hardware:
    """Parse free text on a `system` and its `network` into Hardware; `stack`, its software, may name the
    network's family, too."""
    found = Hardware()
    names = found.names
    names["family"] += [one.name for one in tokens(stack.replace("-", " "), network=True) if one.kind == "F"]
    for field, text in (("system", system), ("network", network)):
        listed = tokens(text, field == "network") if len(text) < 1000 else [Token("?", "", 0, text)]
        for token in listed:
            if token.kind == "B":
                found.numbers["bytes"].append(token.number)
            elif token.kind in "FS" and not token.name:
                pass
            elif token.kind in _NAMED:
                names[_NAMED[token.kind] or field].append(token.text if token.kind == "?" else token.name)
            if token.kind == "G" and "sxm" in token.text:
                names["remark"].append("sxm")
        _enter_clauses(found, listed, field)
    return found


def _enter_clauses(found: Hardware, listed: list[Token], field: str) -> None:
    """Enter counts and rates by what they are of; a count of nothing is an unknown word of `field`."""
    kept = [token for token in listed if token.kind not in "F?K" or token.name == "nvswitch"]
    kinds = "".join("|" if token.kind in "LBK" else token.kind for token in kept)
    at = 0
    while at < len(kinds):
        clauses = ((what, re.compile(pattern).match(kinds, at)) for what, pattern in _CLAUSES)
        what, match = next((one for one in clauses if one[1]), ("", None))
        end = match.end() if match else at + 1
        if match is None:
            found.names[field].append(kept[at].text)
        elif what:
            _clause(found, what, kept[at:end], match[0], field)
        at = end


def _clause(found: Hardware, what: str, part: list[Token], kinds: str, field: str) -> None:
    """Enter the counts and rates of one clause of `field` in `found`. Of "4x HDR", `what` is "ports" (see
    _CLAUSES), `part` its tokens and `kinds` their kinds, "NXS"."""
    counts = [token.number for token in part if token.kind == "N"]
    rates = [token for token in part if token.kind == "S"]
    of_gpu, numbers = kinds.endswith("U") and "R" in kinds, found.numbers
    if what == "rate":
        whole = kinds.endswith("RD") or ("T" in kinds and not rates[0].name)
        numbers["of a GPU" if of_gpu else "of a node" if whole else "each"].append(rates[0].number)
    elif what == "ports" and rates and of_gpu and counts[0] > 1:
        found.names[field].append(f"{counts[0]:g} x {rates[0].text}")  # eight in all, or for each GPU?
    elif what == "ports":
        numbers["each"] += [rate.number for rate in rates]
        among = counts.pop() if of_gpu and "NU" in kinds else 1.0
        count = counts[0] if counts else 1.0
        numbers["ports of a GPU" if of_gpu else "ports"].append(count / among)
    elif what == "nodes of":
        numbers["nodes"].append(counts[0])
        numbers["GPUs of a node"].append(counts[1])
    elif what == "per GPU" and field == "system":
        found.names[field].append(part[0].text)
    else:
        a_node = "ports" if what == "per node" and field == "network" else "GPUs of a node"
        known = {"per GPU": "ports of a GPU", "per node": a_node, "a node's": a_node}
        numbers[known.get(what, what)].append(counts[-1])

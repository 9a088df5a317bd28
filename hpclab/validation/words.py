"""Cut people's words about hardware into tokens; a word that no rule knows is a token of kind ?.

A token is a letter and what was read: N a count, X "times", S Gb/s, P a port, G a GPU, U "GPUs", D a node, R
"per", E "each", T "in total", O "of", F a network, L an NVLink, B GB/s, K a remark that changes something, |
a break, ? a word that is not known. Words that change nothing leave no token.
"""

import re
import unicodedata
from typing import NamedTuple


class Token(NamedTuple):
    """A part of a text: its `kind`, the `name` it stands for (a GPU, a network, a remark), its `number`, and
    the `text` itself."""

    kind: str
    name: str
    number: float
    text: str


GPUS = {  # name -> NVLink, memory in GB and its kind, of the boards that have all of those links
    "v100": ("nvlink2", "16|32", "hbm2"), "a100": ("nvlink3", "40|80", "hbm2e?"),
    "h100": ("nvlink4", "80", "hbm3"), "h200": ("nvlink4", "141", "hbm3e?"),
    "b200": ("nvlink5", "180|192", "hbm3e?"), "b300": ("nvlink5", "288", "hbm3e?"),
    "gh200": ("nvlink4", "96|120|144|480", "hbm3e?"), "gb200": ("nvlink5", "192", "hbm3e?"),
}  # fmt: skip
_NAMED_RATES = {  # Gb/s of a port; QDR and FDR less their coding
    "qdr": 32, "fdr": 54.5, "edr": 100, "edr100": 100, "hdr": 200, "hdr100": 100, "hdr200": 200, "ndr": 400,
    "ndr200": 200, "ndr400": 400, "xdr": 800, "xdr800": 800, "omni-path": 100, "slingshot": 200,
}  # fmt: skip
_COUNTS = {
    "one": 1, "single": 1, "two": 2, "dual": 2, "double": 2, "three": 3, "four": 4, "quad": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "ten": 10, "twelve": 12, "sixteen": 16,
}  # fmt: skip
_END = r"(?=x ?\d+(?![\da-z])|[^a-z0-9.]|\.(?!\d)|$)"
_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
_BUS = r"pci-?e(?:xpress)?(?: ?gen)? ?[3-6](?:\.0)?(?: ?x ?(?:8|16))?"
_RULES = [  # the first that fits counts; without a kind it changes nothing
    ("", rf"(?:inferred|derived|estimated|measured) from ~?{_NUMBER} ?[gmt]byte/s"),
    ("G gh200", r"grace[ -]hopper(?: superchips?)?"),
    ("", r"(?:nccl(?:-tests)?|cuda|driver|m?ofed|ucx|open-?mpi|ompi|mvapich\d?|(?:cray-)?mpich|(?:py)?torch"
         r"|libfabric|(?:aws[ -])?ofi(?:[ -]nccl)?(?: plugin)?|hpc-?x|gcc|i(?:ntel )?mpi)"
         r"(?:[ -]?v?\d+(?:\.\d+)*(?:-\d+)?)?"),
    ("", r"all reduce(?: bench(?:mark)?)?|bench(?:mark)?s?|not stated|gpudirect(?: rdma)?|quantum(?:-?2)?"
         r"|(?:no|without|w/o) sharp|sharp[ =](?:off|disabled|0)|cloud|cluster|system|super-?pod"
         r"|nvidia|tesla|volta|ampere|hopper|blackwell|mellanox|intel|cornelis|broadcom|aws|cray|hpe|dell"
         r"|supermicro|lenovo|mpi|rdma|verbs|gdr|fabric|network|networking|interconnect|switch|switched|link"
         r"|line|rate|speed|bandwidth|inferred|about|an?(?! node| gpu)|type|model|on|in|with|and|the|via|over"
         r"|use|used|using|fat[ -]tree|non-?blocking|dragonfly|rail-?optimi[sz]ed|full|express"),
    *[(f"G {name}", rf"{name}(?:[ -]?sxm\d?)?(?:[ -]?(?:{memory})[ -]?g(?:byte|b)?)?(?:[ -]?sxm\d?)?"
                    rf"(?:[ -]?(?:{memory})[ -]?g(?:byte|b)?)?(?: {kind})?")
      for name, (_, memory, kind) in GPUS.items()],
    ("G dgx-2", r"[dh]gx[ -]?2h?"), ("K sxm", r"sxm\d?|[dh]gx(?:[ -]1v?)?"),
    ("K nvls off", r"(?:no|without|w/o) nvls|nvls[ =](?:off|disabled|0)|nvls enable=0"),
    ("K nvls", r"nvls(?: (?:auto|on|enabled))?"), ("K nvswitch", r"nv-?switch(?:es)?"),
    ("K bus", _BUS), ("K pcie", r"pci-?e(?:xpress)?"),
    ("K pairs", r"nvl|(?:nv)?bridge[sd]?|pairs?|paired"),
    ("K inside", r"intra-?node|same node|within (?:a|one) node"),
    *[(f"L nvlink{number}", rf"nv-?link[ -]?(?:v|gen ?)?{number}(?:\.0)?") for number in range(2, 6)],
    ("L", r"nv-?link"),
    ("B", rf"{_NUMBER} ?(?P<tera>t)?g?byte/s(?: ?(?:/|per) ?(?:dir(?:ection)?|gpu)| (?:uni|bi)directional)?"),
    ("S ethernet", rf"{_NUMBER} ?g(?:be|ige|igabit ethernet)"),
    ("S", rf"{_NUMBER} ?(?:g|(?P<tera>t))(?:b(?:it)?s?(?:/s(?:ec)?|ps)?|igabit)?"),
    ("S infiniband", r"(?P<rate>[qfehnx]dr(?:[ -]?[1248]00(?! ?g))?)"),
    ("S omni-path", r"(?:omni-?path|opa)[ -]?100"), ("S slingshot", r"slingshot[ -]?11"),
    ("F omni-path", r"omni-?path|opa"), ("F slingshot", r"slingshot|cxi|cassini"),
    ("F aries", r"aries|piz daint|xc[345]0"),
    ("F tcp", r"tcp(?:/ip)?|ipoib|ip over (?:ib|infiniband)|sockets?"),
    ("F roce", r"roce(?: ?v ?[12])?"), ("F efa", r"efa(?: ?v ?\d)?"),
    ("F infiniband", r"infiniband|ib"), ("F ethernet", r"ethernet"),
    ("P", r"ports?|nics?|hcas?|rails?|connectx[ -]?\d(?: ?[delx]{1,2})?|cx-?[4-8]|bluefield[ -]?\d"),
    ("P card", r"cards?|adapters?"),
    ("U", r"gpus?"), ("D", r"nodes?|servers?|hosts?|machines?"), ("E", r"each(?! node| gpu)"),
    ("R", r"per|an?|each|every"), ("O", r"of"),
    ("T", r"inter-?node|between (?:the )?nodes|total|aggregate|combined"),
    ("N", r"(?P<count>\d{1,5}|" + "|".join(_COUNTS) + ")"),
]  # fmt: skip
_SIGNS = [("X", r"x(?= |\d|$)"), ("R", "/"), ("|", r"[,;()\[\]+&]"), ("", r"[-~:.\s\u2248]")]
_COMPILED = [
    (*kind.partition(" ")[::2], re.compile(rule))
    for kind, rule in [*_SIGNS, *((kind, f"(?:{rule}){_END}") for kind, rule in _RULES)]
]
_UNKNOWN = re.compile(r"[^\s,;()\[\]/]+|.")
_NAME = re.compile(
    r"[a-z][a-z'.&-]*|[a-z][a-z'.&-]{2,}\d+"
)  # what a system may be called, before its hardware is named
_NO_NAME = re.compile(
    r"half|part|quarter|slic|mig\b|vgpu|virtual|non?\b|not\b|without|less|only|mobile|laptop|cut"
    r"|limit|disabl|few|several|many|multi|shared|twice|tripl|hundred|dozen|sharp|\w+-?switch"
    r"|grace|titan|quadro|geforce|[rg]tx|radeon|instinct|gaudi|tpu"
)


def tokens(text: str, network: bool = False) -> list[Token]:
    """The tokens of a field; `network`: it is about that alone. A system's name at the front leaves none."""
    plain, found, at = _normalised(text), list[Token](), 0
    while at < len(plain):
        kind, name, match = next(
            ((kind, name, match) for kind, name, rule in _COMPILED if (match := rule.match(plain, at))),
            ("?", "", _UNKNOWN.match(plain, at)),
        )
        assert match is not None  # _UNKNOWN takes any character
        at, word, number = match.end(), match[0].strip(), _number(name, match)
        before = next((token.kind for token in reversed(found) if token.kind != "F"), "")
        if kind == "S" and (not number or (word[-1] in "gbt" and not network and before != "X")):
            kind = "?"  # no such rate; "80 GB" is memory, but "4x 100G" is not
        if name == "card" and not network and before not in ("S", "P"):
            kind = "?"  # graphics cards
        first = not network and all(token.kind in "|F" for token in found)
        if kind == "?" and first and _NAME.fullmatch(word) and not _NO_NAME.match(word):
            kind = ""
        if kind:
            found.append(Token(kind, name, number, word))
    return found


def _number(name: str, match: re.Match[str]) -> float:
    """The count or rate that a rule's `match` holds, or the Gb/s that its word or `name` stands for, or 0."""
    groups = match.groupdict()
    if groups.get("number"):
        return float(groups["number"]) * (1000 if groups.get("tera") else 1)
    if groups.get("count"):
        return _COUNTS.get(groups["count"]) or int(groups["count"])
    rate = re.sub("[ -]", "", groups.get("rate") or "") or name
    return _NAMED_RATES.get(rate, 0)


def _normalised(text: str) -> str:
    """`text` in lower case, ASCII and plain units: ``"4 x hdr, 25 gbyte/s"`` for "4×HDR, 25 GB/s"."""
    plain = unicodedata.normalize("NFKC", re.sub("[\u00ae\u2122\u00a9]", "", text))
    plain = plain.translate(dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"))
    plain = re.sub("[\u00d7\u2715*]", "x", plain).replace("_", " ")
    plain = re.sub(r"\b4X(?= ?[QFEHNX]DR)|(?<=DR )4X\b", "4lanes", plain)  # InfiniBand's width, one port
    plain = re.sub(r"(\d ?[GMT])i?B(?:ytes?)?(?:/s(?:ec)?|ps)(?![a-zA-Z])", r"\1byte/s", plain)
    plain = re.sub(r"(\d ?[GM])i?B\b", r"\1byte", plain).lower()
    return re.sub(r"(?<![a-z0-9.])(\d+) ?x(?=[ \d(a-z])", r"\1 x ", plain)

"""Read the output of nccl-tests and the OSU micro-benchmarks as a table, with launchers' prefixes, too.

A log holds nearly all that a row needs: the program's name, each rank's GPU and host. It never names the
network, and old versions of nccl-tests not the program, unless its command stands above or the file is called
after it.
"""

import re
from collections import Counter
from collections.abc import Iterator

from hpclab.models import nccl
from hpclab.validation.tables import COLUMNS, MOST_ROWS, Row, Table

_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|^\s*(?:\d+: |\[\d+,\d+\](?:<\w+>)?:?|\[\d+\]:? )|\r")
_RANK = re.compile(r"#\s+Rank\s+(\d+)\s.*?\bon\s+(\S+)\s+device\s+\d+\s+\[[^\]]*\]\s+(.*\S)")
_LINE = re.compile(r"\s*\d+(?:\s+\d|\s*$)")  # of a table: the size, and the next column or the end
_OSU = re.compile(r"#\s*OSU (MPI.*?)(?:\s+v[\d.]+)?\s*$")


def table(name: str, text: str) -> Table | None:
    """The measurements in the `text` of a log, None if it is none; ValueError names file `name` and line."""
    if re.match(r"[^\n]*out-of-place[^\n]*,", text) and ",busbw" in text[:1000].replace(" ", ""):
        raise ValueError(
            f"{name} is the CSV that nccl-tests writes, which does not say what it ran on: give it "
            f"one header row, with {COLUMNS}."
        )
    lines = [_NOISE.sub("", line) for line in text.split("\n")]
    if any(_OSU.match(line) for line in lines):
        kind, rows, whose = "osu", list(_osu(name, lines)), "OSU's"
    elif re.search(r"^[^\n]*#\s+(?:nThread \d|Using devices|size\s+count\s)", text, re.MULTILINE):
        kind, rows, whose = "nccl", list(_nccl(name, lines)), "nccl-tests'"
    else:
        return None
    if not rows:
        raise ValueError(f"{name} is a log without a line of measurements: was the run cut off?")
    if len(rows) > MOST_ROWS:
        raise ValueError(f"{name} has more than {MOST_ROWS} rows.")
    note = f'read as {whose} own output, which names no network: --network "4x HDR" does'
    return Table(name, tuple(rows[0].fields), tuple(rows), kind, note)


def _nccl(name: str, lines: list[str]) -> Iterator[Row]:
    """Yield a row for each measurement that nccl-tests printed."""
    letters = re.sub("[^a-z]", "", name.lower())  # the collective that a file is called after
    program = max((one for one in nccl.COLLECTIVES if one.replace("_", "") in letters), key=len, default="")
    remark, inside = "", False
    ranks: dict[int, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if started := re.search(r"(\w+)_perf\b", line):
            program = started[1]
        if "nThread" in line:
            ranks, unusual = {}, re.findall(r"(agg iters: (?!1\b)\d+|graph: [1-9]\d*)", line)
            remark = ", ".join(["", *unusual])  # no row is placed with words like these
        if rank := _RANK.match(line.lstrip()):
            if int(rank[1]) in ranks:
                raise ValueError(
                    f"{name}, line {number}: two processes of nccl-tests are rank {rank[1]}: was it built "
                    "without MPI?"
                )
            ranks[int(rank[1])] = rank[2], rank[3]
        inside = "busbw" in line or (inside and not line.lstrip().startswith("# Out of"))
        if not inside or not _LINE.match(line):
            continue
        size, *rest = line.split()
        rest = rest[2:]  # count and type, then perhaps the operation and the root
        rest = rest[1:] if rest and re.match(r"[a-z]", rest[0]) else rest
        if len(rest) not in (8, 9):
            raise ValueError(
                f"{name}, line {number} has {len(rest)} numbers where nccl-tests prints eight or nine: "
                "delete it if it is cut off, or write a table in CSV."
            )
        if not program or not ranks:
            unnamed = "which collective it is of: call the file after it, such as nccl_all_reduce.log"
            lacks = unnamed if ranks else "on which GPUs it ran (its lines with Rank): keep those"
            raise ValueError(f"{name} is nccl-tests' own output and does not say {lacks}.")
        on = Counter(host for host, _ in ranks.values())
        gpus = " and ".join(dict.fromkeys(gpu for _, gpu in ranks.values()))
        yield Row(name, number, {
            "system": gpus + remark, "collective": program, "gpus": str(len(ranks)), "nodes": str(len(on)),
            "gpus_per_node": str(max(on.values())), "size_bytes": size, "time_us_in_place": rest[-4],
            "time_us_out_of_place": rest[-8],
        })  # fmt: skip


def _osu(name: str, lines: list[str]) -> Iterator[Row]:
    """Yield a row for each measurement that an OSU micro-benchmark printed."""
    test = unit = command = ""
    for number, line in enumerate(lines, start=1):
        if "osu_" in line:
            command = line.strip()
        if title := _OSU.match(line):
            test, unit = title[1], ""
        if re.match(r"#\s*Size\s", line):
            unit = "us" if "(us)" in line else "MB/s" if "MB/s" in line else ""
        if test and unit and _LINE.match(line):
            size, value, *_ = [*line.split(), "nothing: the line is cut off"]
            yield Row(name, number, {
                "system": "", "command": command, "test": test, "size_bytes": size, "value": value,
                "unit": unit,
            })  # fmt: skip

"""What nccl-tests and the OSU micro-benchmarks print, as tables: pasted, logged, with launchers' prefixes.

A log says nearly all that a row needs: the program's name, each rank's GPU and host. It never names the
network, and old versions of nccl-tests not the program, unless its command stands above or the file is called
after it.
"""

import re
from collections import Counter

from hpclab.models import nccl
from hpclab.validation import files
from hpclab.validation.tables import MOST_ROWS, Row, Table

_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|^\s*(?:\d+: |\[\d+,\d+\](?:<\w+>)?:?|\[\d+\]:? )|\r")
_RANK = re.compile(r"#\s+Rank\s+(\d+)\s.*?\bon\s+(\S+)\s+device\s+\d+\s+\[[^\]]*\]\s+(.*\S)")
_LINE = re.compile(r"\s*\d+(?:\s+\d|\s*$)")  # of a table: the size, and the next column or the end
_OSU = re.compile(r"#\s*OSU (MPI.*?)(?:\s+v[\d.]+)?\s*$")


def table(name: str, text: str) -> Table | None:
    """The measurements in a log called `name`, or None where it is no log; ValueError names file and line."""
    if re.match(r"[^\n]*out-of-place[^\n]*,", text) and ",busbw" in text[:1000].replace(" ", ""):
        raise ValueError(
            f"{name} is the CSV that nccl-tests writes, which does not say what it ran on: give it "
            f"one header row, with {files.COLUMNS}."
        )
    lines = [_NOISE.sub("", line) for line in text.split("\n")]
    if any(_OSU.match(line) for line in lines):
        return _made(name, "osu", _osu(name, lines), "OSU's own output")
    if re.search(r"^[^\n]*#\s+(?:nThread \d|Using devices|size\s+count\s)", text, re.MULTILINE):
        return _made(name, "nccl", _nccl(name, lines), "nccl-tests' own output")
    return None


def _made(name: str, kind: str, rows: list[Row], whose: str) -> Table:
    if not rows:
        raise ValueError(f"{name} is a log without a line of measurements: was the run cut off?")
    if len(rows) > MOST_ROWS:
        raise ValueError(f"{name} has more than {MOST_ROWS} rows.")
    note = f'read as {whose}, which names no network: --network "4x HDR" does'
    return Table(name, tuple(rows[0].fields), tuple(rows), kind, note)


def _nccl(name: str, lines: list[str]) -> list[Row]:
    letters = re.sub("[^a-z]", "", name.lower())  # the collective that a file is called after
    program = max((one for one in nccl.COLLECTIVES if one.replace("_", "") in letters), key=len, default="")
    rows, remark, inside = [], "", False
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
            lacks = "on which GPUs it ran (its lines with Rank): keep those"
            if ranks:
                lacks = "which collective it is of: call the file after it, such as nccl_all_reduce.log"
            raise ValueError(f"{name} is nccl-tests' own output and does not say {lacks}.")
        on = Counter(host for host, _ in ranks.values())
        gpus = " and ".join(dict.fromkeys(gpu for _, gpu in ranks.values()))
        rows.append(Row(name, number, {
            "system": gpus + remark, "collective": program, "gpus": str(len(ranks)), "nodes": str(len(on)),
            "gpus_per_node": str(max(on.values())), "size_bytes": size, "time_us_in_place": rest[-4],
            "time_us_out_of_place": rest[-8],
        }))  # fmt: skip
    return rows


def _osu(name: str, lines: list[str]) -> list[Row]:
    rows, test, unit, command = [], "", "", ""
    for number, line in enumerate(lines, start=1):
        if "osu_" in line:
            command = line.strip()
        if title := _OSU.match(line):
            test, unit = title[1], ""
        if re.match(r"#\s*Size\s", line):
            unit = "us" if "(us)" in line else "MB/s" if "MB/s" in line else ""
        if test and unit and _LINE.match(line):
            size, value, *_ = [*line.split(), "nothing: the line is cut off"]
            rows.append(Row(name, number, {
                "system": "", "command": command, "test": test, "size_bytes": size, "value": value,
                "unit": unit,
            }))  # fmt: skip
    return rows

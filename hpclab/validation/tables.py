"""A table of published measurements as rows of text: read whole, or refused naming file, row and field.

The columns' names carry the units; what they mean is the business of the module of that kind of table
(`collective_rows.py`, `message_rows.py`). A spreadsheet's separators and decimal commas are read where they
cannot mean anything else.
"""

import contextlib
import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from hpclab import checks

MOST_ROWS = 100_000
LARGEST = 16 * 2**20
COLUMNS = "columns such as system,network,collective,gpus,nodes,size_bytes,time_us"
_MAGIC = (
    (rb"PK\x03\x04|\xd0\xcf\x11\xe0", "a spreadsheet or an archive"), (rb"%PDF", "a PDF document"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "a compressed file"), (rb"\x7fELF", "a program"),
    (rb"\x89PNG|GIF8|\xff\xd8\xff", "a picture"), (rb"\s*<", "a page in HTML or XML"),
    (rb"\s*(?:\{|\[\s*[\[{\"])", "JSON"),
)  # fmt: skip
CITATIONS = {
    "vtrain_nccl_lut": "Bang et al., vTrain, 2024", "vtrain_single": "Bang et al., vTrain, 2024",
    "vtrain_multi": "Bang et al., vTrain, 2024", "dgxc_nccl_readme": "NVIDIA, dgxc-benchmarking",
    "dgxc_v25_02": "NVIDIA, dgxc-benchmarking", "stas00_network": "Bekman, ML Engineering",
    "stas00_network_bench": "Bekman, ML Engineering", "nccl_tests_cluster": "nccl-tests-cluster",
    "bigscience_bandwidth": "BigScience, experiments", "bigscience_tr3m": "BigScience, experiments",
    "bigscience_tr11": "BigScience, BLOOM's prequel", "stackhpc_hpc_tests": "StackHPC, hpc-tests",
    "sarus_cookbook": "Sarus cookbook", "cscs_mpich": "CSCS, documentation",
    "io500_webpage_db": "IO500, result database", "mlperf_storage_v1_0": "MLCommons, MLPerf Storage v1.0",
    "megatron_sc21": "Narayanan et al., SC21", "megatron_2020": "NVIDIA, Megatron-LM, 2020",
    "korthikanti_tab5": "Korthikanti et al., 2023", "llm_foundry": "MosaicML, llm-foundry",
}  # fmt: skip
"""What a figure shows of who published rows that ship, by their `source`; whole in `reference/LICENCE.md`."""
_NOTHING = ("", "n/a", "na", "nan", "-")
_UNITS = {r"[Bb](?:ytes?)?": "bytes", "us|\u00b5s|\u03bcs": "us", "s": "s", "GB/s": "gb_per_s"}  # of a header
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_GAP = " '\u00a0\u2009\u202f"  # between thousands


def text(path: str | Path) -> str:
    """The decoded content of a text file of at most 16 MiB; ValueError, naming what it is, if it is none.

    UTF-8 and UTF-16 with or without a byte order mark, else Windows' code page of Western Europe.
    """
    source, want = Path(path), "name a table of published measurements."
    try:
        found = source.stat()
    except (OSError, ValueError):  # a NUL in the name: ValueError
        raise ValueError(f"There is no file {str(source)!r:.200}: {want}") from None
    if not S_ISREG(found.st_mode):
        what = "a folder" if S_ISDIR(found.st_mode) else "no ordinary file"
        raise ValueError(f"{source.name:.200} is {what}: {want}")
    if found.st_size > LARGEST:
        limit = f"{LARGEST // 2**20} MiB: not a table of measurements; cut it out of its log."
        raise ValueError(f"{source.name} is larger than {limit}")
    data = source.read_bytes()
    plain = data.removeprefix(b"\xef\xbb\xbf")
    kind = next((what for begin, what in _MAGIC if re.match(begin, plain)), "")
    for encoding in () if kind else _encodings(data):
        with contextlib.suppress(UnicodeDecodeError):
            said = data.decode(encoding)
            if not re.search(r"[\x00-\x08\x0e-\x1a\ufffe\uffff]", said):
                return said
    what = f"{kind or 'binary'}: save it as CSV, with {COLUMNS}."
    raise ValueError(f"{source.name} is not a table in CSV but {what}")


def shipped(name: str) -> list[dict[str, str]]:
    """The rows of a file of `reference/`, as text by column."""
    with Path(__file__).with_name("reference").joinpath(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def _encodings(data: bytes) -> tuple[str, ...]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    if b"\x00" in data[:4096]:
        return ("utf-16-be" if data[0] == 0 else "utf-16-le",)
    return ("utf-8-sig", "cp1252")


@dataclass(frozen=True)
class Row:
    """One row: its table's file name, its number in the file (the header is 1), its fields as text; `comma`
    where the table's numbers have a comma before their decimals."""

    table: str
    number: int
    fields: Mapping[str, str]
    comma: bool = False

    def text(self, *columns: str) -> str:
        """The field of the first of `columns` that the table has and that is not empty here, or ""."""
        return next((self.fields[c] for c in columns if self.fields.get(c, "").lower() not in _NOTHING), "")

    def words(self, *columns: str) -> str:
        """The fields of all `columns` of this row that are not empty, joined by ", "."""
        return ", ".join(text for column in columns if (text := self.text(column)))

    def value(self, column: str, low: float, high: float, whole: bool = False) -> float:
        """The field as a number (`whole`: count) from `low` to `high`; ValueError names file, row, field."""
        text = self.fields.get(column, "")
        try:
            return checks.number(column, float(_float_text(text, self.comma, whole)), low, high)
        except ValueError:
            hint = "; separate columns with semicolons, or use a point before decimals"
            hint *= bool(re.fullmatch(r"[-+]?\d+,\d+", text))
            raise self.wrong(column, f"a number from {low:g} to {high:g}", f"{text!r:.60}{hint}") from None

    def count(self, column: str, low: int, high: int, missing: int | None = None) -> int:
        """The field as a whole number from `low` to `high`; `missing` where it is empty."""
        if missing is not None and not self.text(column):
            return missing
        value = self.value(column, low, high, whole=True)
        if value != int(value):
            raise self.wrong(column, "a whole number", f"{value:g}")
        return int(value)

    def wrong(self, column: str, allowed: str, found: str) -> ValueError:
        """Return the error that names file, row and field: "COLUMN must be ALLOWED, not FOUND"."""
        return ValueError(f"{self.table}, row {self.number}: {column} must be {allowed}, not {found}.")


@dataclass(frozen=True)
class Table:
    """A file's name, columns and rows; `kind` is one of `predictions.KINDS` where the text says it, and
    `note` how it was read if not plainly."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    kind: str = ""
    note: str = ""

    def need(self, *columns: str) -> None:
        """Raise ValueError, naming them, if the table lacks any of `columns`."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise ValueError(f"{self.name} lacks the column {', '.join(missing)}.")


def parse(name: str, text: str) -> Table:
    """The Table in the `text` of a CSV file with a header; ValueError if it is none or above 100,000 rows."""
    text = text.lstrip("\ufeff\r\n")
    if told := re.match(r"sep=(.)\r?\n", text):
        text = text[told.end() :]
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    separator = told[1] if told else max(_SEPARATORS, key=header.count)
    records: list[tuple[int, list[str]]] = []
    try:
        for number, fields in enumerate(csv.reader(io.StringIO(text), delimiter=separator, strict=True), 1):
            stripped = [field.strip() for field in fields]
            if any(stripped):
                records.append((number, stripped))
            if len(records) > MOST_ROWS + 1:
                raise ValueError(f"{name} has more than {MOST_ROWS} rows.")
    except csv.Error as error:
        raise ValueError(f"{name} is not a table in CSV: {error}.") from None
    columns = _columns(name, records[0][1] if records else [])
    comma = separator != "," and any(
        re.fullmatch(r"[-+]?\d+,\d+" if separator == ";" else r"[-+]?\d+,(?!\d{3}$)\d+", field)
        for _, fields in records[1:]
        for field in fields
    )
    rows = []
    for number, fields in records[1:]:
        if len(fields) < len(columns) or any(fields[len(columns) :]):
            hint = " (for decimal commas, separate the columns with semicolons)"
            hint *= separator == "," and len(fields) > len(columns)
            raise ValueError(
                f"{name}, row {number} has {len(fields)} fields for {len(columns)} columns{hint}."
            )
        rows.append(Row(name, number, dict(zip(columns, fields, strict=False)), comma))
    if not rows:
        raise ValueError(f"{name} has no rows.")
    read_as = _SEPARATORS.get(separator, repr(separator)) + " between columns" + " and decimal commas" * comma
    return Table(name, columns, tuple(rows), note="" if separator == "," else f"read with {read_as}")


def _columns(name: str, header: list[str]) -> tuple[str, ...]:
    """The columns' names in small letters with ``_``, their units last: "Size (B)" is ``size_bytes``."""
    found = []
    for title in header:
        for written, unit in _UNITS.items():
            title = re.sub(rf"\s*[(\[]\s*(?:{written})\s*[)\]]$", f"_{unit}", title)
        found.append(re.sub(r"\W+", "_", unicodedata.normalize("NFKC", title).lower()).strip("_"))
    while found and not found[-1]:
        found.pop()
    if len(found) < 2 or len(set(found)) < len(found) or "" in found:
        empty = "" if found else " is empty"
        raise ValueError(f"{name}{empty}, row 1 must name two or more columns, each once: {COLUMNS}.")
    return tuple(found)


def _float_text(text: str, comma: bool, whole: bool) -> str:
    """Return a number's `text` as `float` takes it; `comma`: with decimal commas. ValueError if ambiguous.

    Without decimal commas "1,048,576" is a count, but "1,024" may be 1.024 unless it must be `whole`.
    """
    point, thousands = (",", ".") if comma else (".", ",")
    grouped = re.fullmatch(rf"[-+]?\d{{1,3}}([{thousands}{_GAP}]\d{{3}})+([{point}]\d+)?", text)
    if grouped and not comma and not whole and text.count(",") == 1 and "." not in text:
        raise ValueError("a decimal comma or a thousand")
    if grouped:
        text = re.sub(f"[{thousands}{_GAP}]", "", text)
    elif comma and "." in text:
        raise ValueError("a point where the table has decimal commas")
    return text.replace(",", ".") if comma else text

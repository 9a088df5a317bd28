"""A Result is one observation, of one repeat, and where it came from."""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hpclab import checks


class Origin(StrEnum):
    """Where a number came from, strongest first (see `weakest`)."""

    MEASURED = "measured"  # a clock or device event on the machine in front of you
    RECORDED = "recorded"  # measured elsewhere by this project's own code, shipped with its provenance
    PUBLISHED = "published"  # measured by others; carries its citation
    EMULATED = "emulated"  # real programs under a stated condition, which travels with the number
    MODELLED = "modelled"  # a formula or a simulation; a fitted curve keeps the runs it was fitted to


def weakest(*origins: Origin | str) -> Origin:
    """The origin of what is computed from numbers of these origins: the weakest among them."""
    if not origins:
        raise ValueError("weakest() needs at least one origin.")
    order = list(Origin)
    return max((Origin(checks.choice("origin", origin, Origin)) for origin in origins), key=order.index)


def new_run_id() -> str:
    """A short identifier shared by all Results of one run of an experiment."""
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Result:
    """One observation of one repeat.

    `quantity` and `component` are what was observed ("makespan", "compute"), `value` is in SI units,
    `parameters` are settings (nodes, chunk size), `condition` is what was imposed on an emulated number,
    `source` cites a published one or lists the runs behind a fit, `environment` is machine and versions.
    """

    experiment: str
    quantity: str
    value: float
    origin: Origin
    run: str = field(default_factory=new_run_id)
    repeat: int = 0
    component: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    condition: str = ""
    source: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", Origin(checks.choice("A Result's origin", self.origin, Origin)))
        for name in ("experiment", "quantity", "run", "component", "condition", "source"):
            checks.instance(f"A Result's {name}", getattr(self, name), str, "text")
        for name in ("parameters", "environment"):
            checks.instance(f"A Result's {name}", getattr(self, name), Mapping, "a mapping of names")
        checks.integer("A Result's repeat", self.repeat, 0, 10**9)
        value = checks.number(f"A Result's value ({self.quantity})", self.value, -1e300, 1e300)
        object.__setattr__(self, "value", value)
        if self.origin is Origin.EMULATED and not self.condition:
            raise ValueError(f"An emulated {self.quantity} must state the condition that was imposed.")
        if self.origin in (Origin.PUBLISHED, Origin.RECORDED) and not self.source:
            raise ValueError(f"A {self.origin} {self.quantity} must name its source.")

    def __repr__(self) -> str:
        what = f"{self.quantity} {self.component}".strip()
        at = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"<Result: {what} {self.value:.4g}, {self.origin}{f'; {at}'[:60] * bool(at)}>"


class Results(list[Result]):
    """A list whose repr is a summary of one line."""

    def __repr__(self) -> str:
        counts = Counter(f"{one.quantity} ({one.origin})" for one in self)
        held = ", ".join(f"{count} × {what}" for what, count in counts.items())
        return f"{len(self)} Results of {', '.join(dict.fromkeys(one.experiment for one in self))}: {held}"


def select(results: Iterable[Result], quantity: str | None = None, **parameters: object) -> list[Result]:
    """The `results` with this `quantity` (None: any) and with these values among their `parameters`."""
    return [
        result
        for result in checks.instances("results", results, Result)
        if (quantity is None or result.quantity == quantity)
        and all(result.parameters.get(name) == value for name, value in parameters.items())
    ]


def write_jsonl(results: Iterable[Result], path: str | Path) -> None:
    """Write a Result per line as JSON; written to a temporary name and renamed, so never half there."""
    draft = Path(f"{path}.part")
    draft.write_text("".join(json.dumps(asdict(result)) + "\n" for result in results), encoding="utf-8")
    draft.replace(path)


def read_jsonl(path: str | Path) -> list[Result]:
    """Read what `write_jsonl` wrote; ValueError names file, line and what is wrong with it."""
    results = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            results.append(Result(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number} is not a Result: {error}") from None
    return results

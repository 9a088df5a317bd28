"""A shared store: stripes, file sizes, metadata and clients to try out, and what binds at each. What is drawn
as a line is modelled; marks are the results that fit the controls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import store_limits, wording
from hpclab.figures.overlay import Overlay
from hpclab.models.storage import Reading, Store
from hpclab.results import Result
from hpclab.units import format_bytes
from hpclab.widgets.explorer import Explorer, choose, slide

_SIZES = tuple(4**n * 4096 for n in range(10))  # 4 KiB to 1 GiB
_FILES = 255  # of each client: many, and odd, so that clients begin on different servers


class Striping(Explorer):
    """Draws what 1 to 64 clients get from one of the `stores`, by name. `results` are of StripedReads; those
    of the store, file size and stripe count that are chosen are marks. ValueError where there is no store."""

    HEIGHT = 380

    def __init__(self, stores: Mapping[str, Store], results: Sequence[Result] = ()) -> None:
        checks.instance("stores", stores, Mapping, "stores by name")
        checks.instances("stores", [*stores.values()], Store)
        self._stores, self._results = dict(stores), checks.instances("results", results, Result)
        if not self._stores:
            raise ValueError(
                "Striping needs at least one store, such as {'mine': Store((Server(1e9),) * 4)}."
            )
        sizes = [(format_bytes(size), size) for size in _SIZES]
        rates = [("as it is", 0), *((f"{rate:,}", rate) for rate in (100, 1000, 10_000, 100_000))]
        super().__init__(
            [
                {"store": choose("Store", stores), "clients": slide("Clients", store_limits.CLIENTS, 8)},
                {
                    "size": slide("File size", sizes, 2**18),
                    "stripes": slide("Stripe count", [1, 2, 4, 8, 16, 32]),
                },
                {"opens": slide("Opens/s of the metadata server", rates)},
            ]
        )

    def _store(self, name: str, opens: float) -> Store:
        """The store of this name, with so many opens/s of its metadata server (0: as it is)."""
        return replace(self._stores[name], metadata=opens or self._stores[name].metadata)

    def _reading(self, clients: int, size: float, stripes: int) -> Reading:
        return Reading(clients, _FILES, size, stripes)

    def draw(self, ax: Axes, store: str, size: int, stripes: int, opens: int) -> Axes:
        whole = self._stores[store]
        total = sum(server.bandwidth for server in whole.servers)
        most = min(total, store_limits.CLIENTS[-1] * whole.link)
        same = {"store": str(self._store(store, opens)), "bytes": size, "stripes": stripes}
        found = [one for one in self._results if same.items() <= one.parameters.items()]
        return store_limits.draw(ax, most, found)

    def move(self, ax: Axes, store: str, clients: int, size: int, stripes: int, opens: int) -> Overlay:
        return store_limits.over(ax, self._store(store, opens), self._reading(clients, size, stripes))

    def describe(self, store: str, clients: int, size: int, stripes: int, opens: int) -> str:
        return store_limits.said(self._store(store, opens), self._reading(clients, size, stripes))

    def notes(self, store: str) -> list[str]:
        one, rate = self._stores[store], wording.rate
        rates = {server.bandwidth for server in one.servers}
        slowest = f" (the slowest {rate(min(rates))})" * (len(rates) > 1)
        servers = f"{wording.counted(len(one.servers), 'server')} of {rate(max(rates))}{slowest}"
        opens = f"{one.metadata:,.0f} opens/s" if one.metadata < math.inf else "any number of opens/s"
        each = f"a link of {rate(one.link)} for each client"
        link = each if one.link < math.inf else "links that never bind"
        return ["", f"{store}: {servers}, {opens}, {link}. Lines are modelled; marks are what was run here."]

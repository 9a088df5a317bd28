"""A pool's Dask scheduler, whose pages and websockets open only with the pool's key.

Dask's dashboard knows no login, and every user of a machine may connect to its loopback ports. Whoever opens
an address that ends in ``?key=...`` gets the key as a cookie and the same address without it.
"""

import hmac
import secrets
from typing import Any
from urllib.parse import urlencode

from distributed import Scheduler
from tornado import httputil, web

from hpclab.cluster import watch
from hpclab.cluster.notes import Dashboard


class OwnScheduler(Scheduler):
    """Dask's scheduler with locked pages; `own_dashboard` is their port and the key that opens them."""

    own_dashboard: Dashboard

    def __init__(self, *arguments: Any, **options: Any) -> None:
        watch.use_monotonic_clock()
        super().__init__(*arguments, **options)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        super().start_http_server(*arguments, **options)
        own = self.own_dashboard = Dashboard(self.services["dashboard"].port, secrets.token_urlsafe(32))
        application, inside = self.http_application, self.http_application.find_handler

        def find_handler(request: httputil.HTTPServerRequest, **options: Any) -> Any:
            shown = request.cookies.get(own.cookie)
            if shown and _is_key(shown.value, own) and "key" not in request.query_arguments:
                return inside(request, **options)
            return application.get_handler_delegate(request, _Door, {"dashboard": own})

        # Before the event loop could answer anybody.
        application.find_handler = find_handler  # type: ignore[method-assign]


def _is_key(text: str, dashboard: Dashboard) -> bool:
    return hmac.compare_digest(text.encode(), dashboard.key.encode())


class _Door(web.RequestHandler):
    """Answers requests without the key's cookie: sets it if the address has the key, else refuses (403)."""

    def initialize(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def prepare(self) -> None:
        if not _is_key(self.get_query_argument("key", ""), self.dashboard):
            self.set_status(403)
            self.finish("This dashboard is open to its owner only: take the address from pool.dashboard.\n")
            return
        # No path: behind a proxy the browser sees another one, and its own default is right in both cases.
        self.set_cookie(self.dashboard.cookie, self.dashboard.key, path="", httponly=True, samesite="Lax")
        rest = [(name, value) for name, values in self.request.query_arguments.items() for value in values]
        query = urlencode([(name, value) for name, value in rest if name != "key"])
        self.redirect("./" + self.request.path.rpartition("/")[2] + ("?" + query if query else ""))

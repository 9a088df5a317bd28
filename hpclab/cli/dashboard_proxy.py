"""A Jupyter server extension: `/hpclab/dashboard/` is the dashboard of whichever pool runs now, whose port
changes with every pool. Only this server's own user comes through, with the server's own login, which stays
here: the pool's dashboard gets the key from the pool's note instead. Terminals find the course's programs,
too."""

import functools
import shlex
from typing import Any

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado import web

from hpclab.cli import terminal
from hpclab.cluster.notes import Dashboard, newest_dashboard


class DashboardHandler(ProxyHandler):
    """Hands every request on to the newest pool's dashboard; 404 says that no pool runs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.proxy_base = "hpclab/dashboard"  # what the dashboard is told about its own address

    async def http_get(self, path: str) -> Any:
        return await self.proxy(path)

    async def open(self, path: str) -> Any:
        return await self.proxy_open("127.0.0.1", self._live.port, path)

    def proxy(self, path: str) -> Any:
        return super().proxy("127.0.0.1", self._live.port, path)

    def proxy_request_headers(self) -> Any:
        headers = super().proxy_request_headers()
        headers.pop("Authorization", None)
        headers["Cookie"] = f"{self._live.cookie}={self._live.key}"
        return headers

    @functools.cached_property
    def _live(self) -> Dashboard:
        found = newest_dashboard()
        if found is None:
            raise web.HTTPError(404, "No pool is running, so there is no dashboard: start one in a lesson.")
        return found


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    theirs = server.terminado_settings.get("shell_command", "")
    words = shlex.split(theirs) if isinstance(theirs, str) else [*theirs]
    server.terminado_settings = {"shell_command": terminal.command(*words[:1])}
    at = url_path_join(server.web_app.settings["base_url"], "hpclab/dashboard/?(.*)")
    server.web_app.add_handlers(".*$", [(at, DashboardHandler)])

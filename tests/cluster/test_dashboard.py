"""A pool's dashboard: open to whoever has its key, on every page and websocket, and to nobody else."""

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from hpclab.cluster import Pool
from hpclab.cluster.notes import Dashboard, newest_dashboard

pytestmark = pytest.mark.slow

PAGES = "/", "/status", "/json/identity.json", "/info/main/workers.html", "/metrics", "/sitemap.json", "/none"
UPGRADE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "QUFB", "Sec-WebSocket-Protocol": "bokeh",
}  # fmt: skip


@pytest.fixture(scope="module")
def shown() -> Iterator[Dashboard]:
    with Pool(0, backend="local") as pool:
        yield pool._nodes.cluster.scheduler.own_dashboard


def _ask(shown, page, headers, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", shown.port, timeout=30)
    connection.request(method, page, headers=headers)
    answer = connection.getresponse()
    answer.said = b"" if answer.status == 101 else answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("cookie", ["", "{name}=", "other={key}", "{name}=é", "{name}={key}x"])
def test_without_the_key_every_page_and_socket_is_shut(shown: Dashboard, cookie: str, caplog) -> None:
    sent = {"Cookie": cookie.format(name=shown.cookie, key=shown.key).encode()}
    with caplog.at_level(logging.DEBUG):
        for page in PAGES:
            for method in ("GET", "HEAD", "POST", "OPTIONS"):
                assert _ask(shown, page, sent, method).status in (403, 405)
        assert _ask(shown, "/status/ws", UPGRADE | sent).status == 403
        for query in ("key=", "key=wrong", f"key={shown.key[:-1]}", f"token={shown.key}"):
            assert _ask(shown, f"/status?{query}", {}).status == 403
    warned = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert not any(shown.key in entry.message for entry in warned)


def test_the_key_in_the_address_becomes_a_cookie_and_leaves_the_address(shown: Dashboard) -> None:
    addresses = {
        "/status?key=": "./status", "/?key=": "./", "//elsewhere.example/?key=": "./",
        "/individual-progress?theme=x&key=": "./individual-progress?theme=x",
    }  # fmt: skip
    for page, to in addresses.items():
        answer = _ask(shown, page + shown.key, {})
        assert (answer.status, answer.headers["Location"]) == (302, to)
        words = answer.headers["Set-Cookie"].split("; ")
        assert words[0] == f"{shown.cookie}={shown.key}"
        assert {"HttpOnly", "SameSite=Lax"} <= set(words)
        assert not any(word.startswith("Path") for word in words)  # the browser's own is right behind a proxy


def test_with_the_cookie_pages_and_sockets_open(shown: Dashboard) -> None:
    cookie = {"Cookie": f"a=b; {shown.cookie}={shown.key}"}
    assert b"Dask" in _ask(shown, "/status", cookie).said
    assert _ask(shown, "/none", cookie).status == 404
    assert _ask(shown, "/status/ws", UPGRADE | cookie).status != 403  # Bokeh then checks the session
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(shown.addresses["address"], timeout=30) as page:
        assert page.status == 200


def test_two_pools_have_keys_of_their_own_and_workers_serve_no_pages(shown: Dashboard) -> None:
    with Pool(1, backend="local") as other:
        workers = other._nodes.cluster.scheduler.workers.values()
        assert [worker.services for worker in workers] == [{}]
        theirs = other._nodes.cluster.scheduler.own_dashboard
        assert (theirs.key, theirs.cookie) != (shown.key, shown.cookie)
        assert _ask(theirs, "/status", {"Cookie": f"{theirs.cookie}={shown.key}"}).status == 403
        assert newest_dashboard() == theirs
    assert newest_dashboard() == shown

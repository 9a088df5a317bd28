"""The course as pages, as `make site` writes them: built, every link followed, looked at in a real Chromium.

`make test` has two lessons run for them and takes the others as they are; `make soak` runs every lesson.
"""

import functools
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from hpclab.cli.rehearse import Report
from hpclab.course import lessons
from tests.browser.conftest import ROOT

WHERE = {"HPCLAB_REPOSITORY": "somebody/course", "HPCLAB_HUB": "https://hub.example.org/"}
WIDER = """() => {
    const column = document.querySelector('article').getBoundingClientRect().right + 1;
    const boxes = 'article :is(p, img, pre, math, table, svg, [class^="hpclab-"])';
    const scrolls = e => e && (getComputedStyle(e).overflowX === 'auto' || scrolls(e.parentElement));
    return [...document.querySelectorAll(boxes)].filter(e => e.getBoundingClientRect().right > column
        && !scrolls(e.parentElement)).map(e => e.outerHTML.slice(0, 200));
}"""
SMALL = """() => [...document.querySelectorAll('article :is(p, li, td)')].filter(
    e => e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 16
).map(e => e.outerHTML.slice(0, 200))"""


class Page(HTMLParser):
    """What a page refers to (`links` of readers, `parts` that a browser loads by itself) and its `ids`."""

    def __init__(self, path):
        super().__init__()
        self.links, self.parts, self.ids = set(), set(), set()
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs.get("id"), attrs.get("name")}
        loads = tag not in ("a", "form", "area") and attrs.get("rel") not in ("canonical", "next", "prev")
        (self.parts if loads else self.links).update(
            attrs[name]
            for name in ("href", "src", "srcset", "data", "action", "xlink:href")
            if attrs.get(name)
        )


def digest():
    files = [
        path for top in ("notebooks", "docs", "slurm") for path in (ROOT / top).rglob("*") if path.is_file()
    ]
    kept = [path for path in sorted(files) if "__pycache__" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


QUICK = pytest.param(("--run", "00", "--run", "02"), id="quick")
WHOLE = pytest.param((), id="whole", marks=pytest.mark.soak)


@pytest.fixture(scope="module", params=[QUICK, WHOLE])
def site(request, tmp_path_factory):
    """The folder of the finished site, and its pages by name; nothing of the sources was changed."""
    out, before = tmp_path_factory.mktemp("site"), digest()
    command = [sys.executable, "docs/pages.py", "--out", str(out), *request.param]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | WHERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest() == before
    folder = out / "html"
    ours = [
        path for path in folder.rglob("*.html") if "_static" not in path.parts
    ]  # the theme's templates are there
    return folder, {path.relative_to(folder).as_posix(): Page(path) for path in ours}


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_every_link_and_anchor_leads_somewhere(site):
    folder, pages = site
    assert {f"notebooks/{lesson.name}.html" for lesson in lessons()} < set(pages)
    followed = 0
    for name, page in pages.items():
        for link in page.links | page.parts:
            place = urlsplit(link)
            if place.scheme or place.netloc:
                assert place.scheme in ("https", "data"), f"{name}: {link}"
                continue
            target = (folder / name).parent / unquote(place.path) if place.path else folder / name
            target = target / "index.html" if target.is_dir() else target.resolve()
            assert target.is_file(), f"{name}: {link}"
            there = pages.get(target.relative_to(folder.resolve()).as_posix())
            if place.fragment and there:
                assert unquote(place.fragment) in there.ids, f"{name}: {link}"
            followed += 1
    assert followed > 1000


def test_nothing_comes_from_another_host(site):
    folder, pages = site
    for name, page in pages.items():
        assert not [part for part in page.parts if re.match(r"(https?:)?//", part)], name
    for sheet in folder.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text("utf-8")), sheet


def test_a_lesson_says_what_it_is_and_opens_live(site):
    _, pages = site
    start, scaler = pages["notebooks/00_start_here.html"], pages["notebooks/05_scale_out_with_dask.html"]
    (binder,) = [link for link in scaler.links if "mybinder.org" in link]
    assert binder.startswith("https://mybinder.org/v2/gh/somebody/course/HEAD?urlpath=lab/tree/course/05_")
    (hub,) = [
        link for link in scaler.links if link.startswith("https://hub.example.org/hub/user-redirect/git-pull")
    ]
    assert parse_qs(urlsplit(hub).query)["repo"] == ["https://github.com/somebody/course"]
    assert parse_qs(urlsplit(hub).query)["urlpath"] == [
        "lab/tree/course/notebooks/05_scale_out_with_dask.ipynb"
    ]
    assert "an untouched run" in start.text
    assert '<button type="button" disabled>Commit</button>' in start.text
    assert "<math" in start.text
    assert "<svg" in start.text
    for name, page in pages.items():
        if name.startswith("notebooks/"):
            assert not re.search(r"widget-view|/tmp/hpclab|127\.0\.0\.1:\d|key=[^K]", page.text), name


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def top(site):
    """The address at which the site is served on loopback."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site[0])
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.browser
@pytest.mark.parametrize("width", [380, 1440])
def test_every_page_fits_and_is_large_enough_to_read(site, top, browser, width):
    with browser.new_page(viewport={"width": width, "height": 900}) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        for name in sorted(set(site[1]) - {"search.html", "genindex.html"}):
            page.goto(top + name)
            assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), name
            assert page.evaluate(WIDER) == [], name
            assert page.evaluate(SMALL) == [], name
        page.goto(top)
        page.locator("button.search-button:visible, .search-button-field:visible").first.click()
        box = page.locator("input[type=search]:visible").last
        box.fill("sectors")  # which solutions.md has, too
        box.press("Enter")
        page.get_by_text("Search finished").wait_for(timeout=60_000)
        found = page.locator("#search-results li a").all()
        names = [urlsplit(link.get_attribute("href")).path for link in found]
        assert any("02_write" in name for name in names)
        assert not any("solutions" in name for name in names), "answers are not what a learner finds"
        assert not [url for url in asked if not url.startswith((top, "data:"))]


@pytest.fixture
def program(monkeypatch, tmp_path):
    """docs/pages.py as a module, told to write into a folder of the test's."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import pages

    monkeypatch.setattr(sys, "argv", ["pages.py", "--out", str(tmp_path), "--run", "03"])
    return pages


def test_a_lesson_that_fails_ends_the_build_and_is_named(program, monkeypatch, capsys, tmp_path):
    failed = Report("03", "03_find", 1.0, 1, "code cell 4 (x = 1): ValueError: no")
    monkeypatch.setattr(program.rehearse, "rehearse", lambda *_: failed)
    assert program.main() == 1
    assert "lesson 03 failed in code cell 4 (x = 1): ValueError: no" in capsys.readouterr().err
    assert not (tmp_path / "html").exists()


def test_no_path_or_name_of_this_machine_is_published(program, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "node", lambda: "ourhost")
    (tmp_path / "notebooks").mkdir()
    said = {"text": [f"{ROOT}/x {Path.home()}/y\n{tmp_path}/course tls://127.0.0.1:4321\nourhost s?key=ab-C"]}
    shown = ["~/hpclab/x ~/y\n~/hpclab tls://127.0.0.1:PORT\nlocalhost s?key=KEY"]
    assert program.anonymous(tmp_path)(said) == {"text": shown}
    assert program.anonymous(tmp_path)(["yourhost", 7, None]) == ["yourhost", 7, None]
    for leak in (ROOT, Path.home() / "x", "/tmp/hpclab-p-abc"):
        (tmp_path / "notebooks" / "a.html").write_text(f"<p>{leak}</p>")
        with pytest.raises(RuntimeError, match=r"a\.html would publish"):
            program.refuse_leaks(tmp_path)
    (tmp_path / "notebooks" / "a.html").write_text("<p>~/hpclab</p>")
    program.refuse_leaks(tmp_path)


def test_without_a_repository_no_link_is_broken(program, monkeypatch):
    text = "[kept](a.md) [gone](../LICENSE) ![picture](b.png)"
    (ours,) = [lesson for lesson in lessons() if lesson.number == "05"]
    monkeypatch.setattr(program, "REPOSITORY", "")
    assert program.linked(text, "docs", {"docs/a.md"}) == "[kept](a.md) gone ![picture](b.png)"
    assert "Binder" not in program.above(ours, False)
    monkeypatch.setattr(program, "REPOSITORY", "o/r")
    assert "[gone](https://github.com/o/r/blob/HEAD/LICENSE)" in program.linked(text, "docs", {"docs/a.md"})
    assert "Binder" in program.above(ours, False)


def test_the_workflow_may_publish_and_nothing_else():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    build, publish = flow["jobs"]["build"], flow["jobs"]["publish"]
    assert flow["permissions"] == {"contents": "read"}
    assert "permissions" not in build
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    used = [step["uses"] for step in build["steps"] + publish["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)
    assert "make site" in [step.get("run") for step in build["steps"]]

"""The course as pages, as `make site` writes them: built, every link followed, looked at in a real Chromium.
`make test` has one lesson run for them and takes the others as they are; `make soak` runs every lesson."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import ipywidgets
import pytest
import yaml

from hpclab.cli.rehearse import Report
from tests.browser.conftest import ROOT

WHERE = {"HPCLAB_REPOSITORY": "somebody/course", "HPCLAB_HUB": "https://hub.example.org/"}
LIVE = [
    "https://mybinder.org/v2/gh/somebody/course/HEAD?urlpath=lab/tree/course/00_start_here.ipynb",
    "https://hub.example.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fsomebody%2Fcourse"
    "&branch=main&urlpath=lab%2Ftree%2Fcourse%2Fnotebooks%2F00_start_here.ipynb",
]
WIDER = """() => {
    const column = document.querySelector('article').getBoundingClientRect().right + 1;
    const boxes = 'article :is(p, img, pre, math, table, svg, .output, [class^="hpclab-"])';
    const scrolls = e => e && (getComputedStyle(e).overflowX === 'auto' || scrolls(e.parentElement));
    return [...document.querySelectorAll(boxes)].filter(e => e.getBoundingClientRect().right > column
        && !scrolls(e.parentElement)).map(e => e.outerHTML.slice(0, 200));
}"""
TWICE = """[...document.querySelectorAll('.hpclab-widget .hpclab-widget')].filter(
    inner => getComputedStyle(inner, '::after').content != 'none').length"""  # "Live when ...": once a widget
SMALL = """() => [...document.querySelectorAll('article :is(p, li, td)')].filter(
    e => e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 16
).map(e => e.outerHTML.slice(0, 200))"""

QUICK = pytest.param(("--run", "00"), id="quick")
WHOLE = pytest.param((), id="whole", marks=pytest.mark.soak)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def sources():
    files = (path for top in ("notebooks", "docs", "slurm") for path in (ROOT / top).rglob("*.*"))
    return {path: path.read_bytes() for path in files if path.suffix != ".pyc"}


@pytest.fixture(scope="module", params=[QUICK, WHOLE])
def site(request, tmp_path_factory):
    """The folder of the finished site; nothing of the sources was changed."""
    out, before = tmp_path_factory.mktemp("site"), sources()
    command = [sys.executable, "docs/pages.py", "--out", str(out), *request.param]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | WHERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sources() == before
    return out / "html"


@pytest.fixture
def pages(site):
    """Each page's text by its path; the theme's own templates lie in _static."""
    return {path: path.read_text("utf-8") for path in site.rglob("*.html") if "_static" not in path.parts}


def test_every_link_and_anchor_leads_somewhere(pages):
    ids = {path: re.findall(r'\s(?:id|name)="([^"]+)"', text) for path, text in pages.items()}
    followed = 0
    for page, text in pages.items():
        for link in set(re.findall(r'\s(?:href|src|action)="([^"]+)"', text)):
            place = urlsplit(unescape(link))
            if place.scheme or place.netloc:
                assert place.scheme in ("https", "data"), f"{page}: {link}"
                continue
            target = (page.parent / unquote(place.path)).resolve() if place.path else page
            assert target.is_file(), f"{page}: {link}"
            assert not place.fragment or unquote(place.fragment) in ids.get(target, ()), f"{page}: {link}"
            followed += 1
    assert followed > 1000


def test_a_lesson_says_what_it_is_and_opens_live(site, pages):
    text = unescape(pages[site / "notebooks" / "00_start_here.html"])
    for part in ["an untouched run", "<svg", "<math", 'type="button" disabled>Commit<', *LIVE]:
        assert part in text, part
    lessons = {path.name: text for path, text in pages.items() if path.parent.name == "notebooks"}
    assert "Glossary" in lessons["00_start_here.html"]  # in the side bar
    del lessons["glossary.html"]
    assert len(lessons) == len([*ROOT.glob("notebooks/*.ipynb")])
    places = f"{re.escape(str(ROOT))}|{re.escape(sys.prefix)}|/tmp/hpclab"
    for name, text in lessons.items():
        assert not re.search(rf"widget-view|{places}|127\.0\.0\.1:\d|key=[^K]", text), name


@pytest.mark.browser
def test_every_page_fits_and_is_large_enough_to_read(site, pages, browser):
    """On a phone and on a desk, without a request to another host; what a search finds holds no answers."""
    with browser.new_page() as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        for path in pages.keys() - {site / "search.html"}:
            page.goto(path.as_uri())
            for width in (380, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), path
                assert page.evaluate(WIDER) == [], (path, width)
                assert page.evaluate(SMALL) == [], (path, width)
            assert page.evaluate(TWICE) == 0, path
        page.goto((site / "index.html").as_uri())
        page.locator(".search-button-field:visible").first.click()
        box = page.locator("input[type=search]:visible").last
        box.fill("sectors")  # which solutions.md has, too
        box.press("Enter")
        page.get_by_text("Search finished").wait_for(timeout=60_000)
        found = "".join(link.get_attribute("href") for link in page.locator("#search-results li a").all())
        assert "02_write" in found
        assert "solutions" not in found
        assert not [url for url in asked if not url.startswith(("file:", "data:"))]


@pytest.fixture
def program(monkeypatch):
    """docs/pages.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import pages

    return pages


def test_a_lesson_that_fails_ends_the_build_and_is_named(program, monkeypatch, capsys, tmp_path):
    failed = Report("03", "03_find", 1.0, 1, "code cell 4 (x = 1): ValueError: no")
    monkeypatch.setattr(program.rehearse, "rehearse", lambda *_: failed)
    monkeypatch.setattr(sys, "argv", ["pages.py", "--out", str(tmp_path), "--run", "03"])
    assert program.main() == 1
    assert "lesson 03 failed in code cell 4 (x = 1): ValueError: no" in capsys.readouterr().err
    assert not (tmp_path / "html").exists()


def test_it_is_built_without_a_repository_too(tmp_path):
    text = "import sys, pages; pages.rehearse.choose = lambda *_: []; sys.exit(pages.main())"
    where = {"PYTHONPATH": f"{ROOT}:{ROOT / 'docs'}", "HPCLAB_REPOSITORY": ""}
    command = [sys.executable, "-c", text, "--out", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'href="https://github.com/"' not in (tmp_path / "html" / "index.html").read_text("utf-8")


def test_no_path_or_name_of_this_machine_is_published(program, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "node", lambda: "ourhost")
    monkeypatch.setattr(program, "getuser", lambda: "somebody-else")
    said = {"text": [f"{ROOT}/x {Path.home()}/y\n{tmp_path}/course tls://127.0.0.1:4321\nourhost s?key=ab-C"]}
    shown = {"text": ["~/hpclab/x ~/y\n~/hpclab tls://127.0.0.1:PORT\nlocalhost s?key=KEY"]}
    known = program.private(tmp_path)
    assert program.anonymous(said, known) == shown
    kept = ["yourhost", 7, {"source": "ourhost"}]
    assert program.anonymous([*kept, " somebody R"], known) == [*kept, "  learner R"]


def test_a_word_of_the_glossary_is_linked_as_sphinx_names_its_heading(program):
    links = "[x](glossary.md#CPU-time) [y](glossary.md#Amdahl's-law) [z](other.md#Left-alone)"
    named = "[x](glossary.md#cpu-time) [y](glossary.md#amdahls-law) [z](other.md#Left-alone)"
    assert program.anchored(links) == named


def test_a_control_is_still_and_shows_its_value(program):
    shown = ipywidgets.VBox([
        ipywidgets.Dropdown(options=["gloo", "<nccl>"], index=1, description="Backend"),
        ipywidgets.FloatSlider(value=2.5, min=1, max=8),
        ipywidgets.Text(value='a"b'), ipywidgets.Checkbox(value=True), ipywidgets.HTML("<svg></svg>"),
        ipywidgets.Button(description="Run", layout={"display": "none"}),
    ])  # fmt: skip
    text = program.widget_pictures.of(shown.get_manager_state()["state"], shown.model_id)
    parts = ["<span>Backend</span> <select disabled><option>&lt;nccl&gt;</option>", "<output>2.5</output>"]
    for part in [*parts, 'value="a&quot;b"', '<input type="checkbox" disabled checked>', "<svg></svg>"]:
        assert part in text, part
    assert "Run" not in text
    other = ipywidgets.Valid()
    with pytest.raises(ValueError, match="No page can show a Valid yet"):
        program.widget_pictures.of(other.get_manager_state()["state"], other.model_id)


def test_the_workflow_may_publish_and_nothing_else():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    steps = flow["jobs"]["build"]["steps"] + flow["jobs"]["publish"]["steps"]
    assert flow["permissions"] == {"contents": "read"}
    assert "permissions" not in flow["jobs"]["build"]
    assert flow["jobs"]["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert "make site" in [step.get("run") for step in steps]

"""Opens every page of the built book in a real browser that has no network.

`make pages` builds the book and runs this. Without a browser or a built book the tests are skipped, unless
BPA_REQUIRE_PAGES is set, as on a continuous integration server: then they fail.
"""

import functools
import http.server
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from playwright.sync_api import Browser, Page, sync_playwright

HTML = Path(__file__).parents[1] / "book" / "_build" / "html"
# The listings of sources are made by one template: the definition's stands for all of them.
LISTINGS = {
    path for path in HTML.glob("_modules/**/*.html") if path != HTML / "_modules" / "bpa" / "network.html"
}
PAGES = sorted(
    str(path.relative_to(HTML))
    for path in HTML.rglob("*.html")
    if "_static" not in path.parts and path not in LISTINGS
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
# Chromium by itself looks for updates and the like; here such a request would drown the ones we look for.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    FLAGS.append("--no-sandbox")  # Chromium refuses to run as root otherwise

pytestmark = pytest.mark.pages


def missing(reason: str) -> None:
    """Skip, or fail where pages are required."""
    if os.environ.get("BPA_REQUIRE_PAGES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    if not PAGES:
        missing(f"the book is not built, there is no page below {HTML} (make book)")
    if not CHROMIUM:
        missing("no Chromium was found on the path (apt-get install chromium, or set BPA_CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(QuietHandler, directory=HTML)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Visit:
    """A page opened with every other host cut off, and a list of what went wrong on it."""

    def __init__(self, browser: Browser, url: str, viewport: dict = DESKTOP):
        self.faults: list[str] = []
        # Reduced motion: a contrast measured in the middle of a transition means nothing.
        self.context = browser.new_context(viewport=viewport, reduced_motion="reduce")
        if url.startswith("file:"):
            self.context.set_offline(True)
        origin = url.split("/", 3)[2]
        allowed = (
            ("data:", "blob:", "about:", "file:")
            if not origin
            else ("data:", "blob:", "about:", f"http://{origin}/")
        )

        def guard(route, request):
            if request.url.startswith(allowed):
                route.continue_()
            else:
                self.faults.append(f"foreign request: {request.url}")
                route.abort()

        self.context.route("**/*", guard)
        self.page: Page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.faults.append(f"web socket: {socket.url}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("requestfailed", lambda request: self.faults.append(f"request failed: {request.url}"))
        self.page.on("console", self.listen)
        self.page.on("response", self.check_status)
        self.page.goto(url, wait_until="load")
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function("!document.querySelector('.math') || window.MathJax?.startup?.promise")
        self.page.evaluate("window.MathJax?.startup?.promise")  # resolves when the maths is drawn

    def listen(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def check_status(self, response):
        if response.status >= 400:
            self.faults.append(f"status {response.status}: {response.url}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.context.close()


def undrawn_maths(page: Page) -> list[str]:
    """Formulas that MathJax has not drawn, or drawn as an error."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.math')]
            .filter(formula => !formula.querySelector('mjx-container')
                || formula.querySelector('mjx-merror, [data-mjx-error]'))
            .map(formula => formula.textContent)"""
    )


def broken_images(page: Page) -> list[str]:
    """Images that did not load or have no alternative text; lazy ones are scrolled to first."""
    return page.evaluate(
        """async () => {
            const images = [...document.images].filter(image => image.checkVisibility());
            for (const image of images) { image.loading = 'eager'; }
            await Promise.allSettled(images.map(image => image.decode()));
            return images.filter(image => !image.naturalWidth || !image.alt.trim())
                .map(image => image.outerHTML.slice(0, 200));
        }"""
    )


def too_wide(page: Page) -> list[str]:
    """What sticks out on the right, if the page can be scrolled sideways."""
    return page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) { return []; }
            return [...document.querySelectorAll('main *')]
                .filter(element => element.getBoundingClientRect().right > width + 1)
                .map(element => element.outerHTML.slice(0, 120)).slice(0, 5)
                .concat(`scroll width ${document.documentElement.scrollWidth}`);
        }"""
    )


# What scrolls where it is wider than its column: never on a laptop, sometimes on a phone.
SCROLLS = (
    "pre, table, .pst-scrollable-table-container, .cell_output > .output, mjx-container[display=true], "
    ".bpa-scroll"
)


def cut_off(page: Page, selector: str = SCROLLS) -> list[str]:
    """What is wider than the room it has, with the words it begins with."""
    return page.evaluate(
        """(selector) => [...document.querySelectorAll('article.bd-article')]
            .flatMap(article => [...article.querySelectorAll(selector)])
            .filter(element => element.checkVisibility() && element.scrollWidth > element.clientWidth + 1)
            .map(element => `${element.scrollWidth} in ${element.clientWidth}: ${element.tagName} `
                + element.textContent.trim().slice(0, 60))""",
        selector,
    )


def cut_contents(page: Page) -> list[str]:
    """Lines of the contents, on the right, that reach out of the window."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.bd-sidebar-secondary .nav-link, .bd-sidebar-secondary code')]
            .filter(line => line.checkVisibility())
            .filter(line => line.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .map(line => line.textContent.trim())"""
    )


def silently_cut_off(page: Page) -> list[str]:
    """What is too wide and cannot be scrolled, by hand and by keys, or does not show that it can be."""
    return page.evaluate(
        """(selector) => [...document.querySelectorAll('article.bd-article')]
            .flatMap(article => [...article.querySelectorAll(selector)])
            .filter(element => element.checkVisibility() && element.scrollWidth > element.clientWidth + 1)
            .map(element => element.tagName === 'TABLE' ? element.parentElement : element)
            .filter(element => {
                const style = getComputedStyle(element);
                return !['auto', 'scroll'].includes(style.overflowX) || element.tabIndex < 0
                    || !style.backgroundImage.includes('linear-gradient');
            })
            .map(element => element.outerHTML.slice(0, 120))""",
        SCROLLS,
    )


def wrong_covers(page: Page) -> list[str]:
    """What covers the shadows at its edges with another colour than that of the ground it lies on."""
    return page.evaluate(
        r"""(selector) => {
            const drawing = document.createElement('canvas').getContext('2d');
            const paint = colour => {
                drawing.clearRect(0, 0, 1, 1);
                drawing.fillStyle = colour;
                drawing.fillRect(0, 0, 1, 1);
                return [...drawing.getImageData(0, 0, 1, 1).data];
            };
            const ground = element => {
                if (!element) { return [255, 255, 255, 255]; }
                const colour = paint(getComputedStyle(element).backgroundColor);
                return colour[3] === 255 ? colour : ground(element.parentElement);
            };
            return [...document.querySelectorAll('article.bd-article')]
                .flatMap(article => [...article.querySelectorAll(selector)])
                .filter(element => element.checkVisibility())
                .filter(element => {
                    const image = getComputedStyle(element).backgroundImage;
                    const cover = image.match(/^linear-gradient\(to right, (.*?) 40%/)?.[1];
                    if (!cover) { return false; }
                    const [over, under] = [paint(cover), ground(element)];
                    return over.some((part, place) => Math.abs(part - under[place]) > 1);
                })
                .map(element => element.outerHTML.slice(0, 120));
        }""",
        SCROLLS,
    )


def broken_names(page: Page) -> list[str]:
    """Code in a table that stands on more lines than it has words: broken between two letters."""
    return page.evaluate(
        r"""() => [...document.querySelectorAll('article.bd-article .pst-scrollable-table-container code')]
            .filter(code => code.checkVisibility())
            .filter(code => {
                const range = document.createRange();
                range.selectNodeContents(code);
                const lines = new Set([...range.getClientRects()].map(box => Math.round(box.bottom)));
                return lines.size > code.textContent.trim().split(/[\s-]+/).length;
            })
            .map(code => code.textContent)"""
    )


def torn_formulas(page: Page) -> list[str]:
    """Formulas within a line whose bracket before them or mark after them stands on another line."""
    return page.evaluate(
        r"""() => {
            const article = document.querySelector('article.bd-article') ?? document.body;
            const lines = document.createTreeWalker(article, 4);
            const torn = [];
            const height = (text, start, end) => {
                const range = document.createRange();
                range.setStart(text, start);
                range.setEnd(text, end);
                return range.getBoundingClientRect();
            };
            for (let text = lines.nextNode(); text; text = lines.nextNode()) {
                if (!text.parentElement.checkVisibility()) { continue; }
                const beside = [
                    [text.previousSibling, /^[)\],.;:!?]/, 0],
                    [text.nextSibling, /[(\[]$/, text.length - 1],
                ];
                for (const [formula, mark, place] of beside) {
                    if (!formula?.matches?.('span.math') || !mark.test(text.data)) { continue; }
                    const at = height(text, place, place + 1), box = formula.getBoundingClientRect();
                    if (at.top >= box.bottom || at.bottom <= box.top) {
                        torn.push(formula.parentElement.textContent.slice(0, 60));
                    }
                }
            }
            return torn;
        }"""
    )


def cut_formulas(page: Page) -> list[str]:
    """Formulas within a line that reach beyond the page; others may scroll."""
    return page.evaluate(
        """() => [...document.querySelectorAll('article.bd-article')].flatMap(article => {
            const edge = article.getBoundingClientRect().right;
            return [...article.querySelectorAll('span.math mjx-container')]
                .filter(formula => !formula.closest('.pst-scrollable-table-container'))
                .filter(formula => formula.checkVisibility() && formula.getBoundingClientRect().right > edge)
                .map(formula => formula.parentElement.textContent.slice(0, 80));
        })"""
    )


def cut_titles(page: Page) -> list[str]:
    """Titles of the pages before and after this one that are wider than their place."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.prev-next-area a')]
            .filter(link => link.scrollWidth > link.clientWidth + 1).map(link => link.textContent.trim())"""
    )


def wrong_folds(page: Page) -> list[str]:
    """Folds of cells whose name does not say that a result, a solution or code is in them."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.cell details.hide')]
            .filter(fold => {
                const solution = fold.closest('.cell').matches('.tag_solution');
                const what = !fold.querySelector('.cell_input') ? 'result' : solution ? 'solution' : 'code';
                return [...fold.querySelectorAll(':scope > summary > p')].some(name => {
                    const said = name.textContent.match(/^(?:Show|Hide) the (result|solution|.*)$/)?.[1];
                    return what === 'code' ? ['result', 'solution', undefined].includes(said) : said !== what;
                });
            })
            .map(fold => fold.textContent.trim().slice(0, 80))"""
    )


# Markup of the tools that axe's rules for lists do not know, harmless to a screen reader.
TOLERATED = {
    ("aria-required-children", '<div role="list" class="citation-list">'),  # links back from an entry
    ("definition-list", "<dl>"),  # the parameters of a signature, one a line
}


def barriers(page: Page, content: str, rules: Sequence[str] = ()) -> list[str]:
    """Serious and critical findings of axe, by all rules or some, within what the selector names."""
    # Without preload: it would fetch each style sheet's imports relative to the page, where they are not.
    # What passed is of no interest, and to find a selector for each such node takes as long as all the rules.
    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations", "incomplete"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    report = Axe().run(page, context=content, options=options).response
    found = [
        (rule["id"], node)
        for rule in report["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(rule["id"] == name and node["html"].startswith(html) for name, html in TOLERATED)
    ]
    # Text in the colour of its background: axe leaves open whether that is meant. Here it never is.
    found += [
        ("invisible-text", node)
        for rule in report["incomplete"]
        if rule["id"] == "color-contrast"
        for node in rule["nodes"]
        if any((check.get("data") or {}).get("messageKey") == "equalRatio" for check in node["any"])
    ]
    return [f"{name}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}" for name, node in found]


@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("name", PAGES or ["index.html"])
def test_page_is_whole_without_a_network(browser, address, name, scheme):
    url = f"{address}/{name}" if scheme == "http" else (HTML / name).as_uri()
    with Visit(browser, url) as visit:
        assert undrawn_maths(visit.page) == []
        assert broken_images(visit.page) == []
        assert visit.page.title()
        assert visit.faults == []


@pytest.mark.parametrize("name", PAGES or ["index.html"])
def test_page_fits_a_phone_and_can_be_read_in_both_themes(browser, address, name):
    with Visit(browser, f"{address}/{name}", PHONE) as visit:
        assert too_wide(visit.page) == []
        for theme, rules in (("light", ()), ("dark", ["color-contrast"])):  # a theme changes colours alone
            visit.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            if visit.page.locator(
                "article.bd-article"
            ).count():  # not on the page that leads to the first one
                visit.page.wait_for_selector(f"html[data-theme={theme}]", state="attached")
                assert barriers(visit.page, "article.bd-article", rules) == [], theme
        assert visit.faults == []


@pytest.mark.parametrize("name", PAGES or ["index.html"])
def test_nothing_is_cut_off_on_a_laptop_and_what_scrolls_on_a_phone_shows_it(browser, address, name):
    with Visit(browser, f"{address}/{name}") as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        assert cut_off(visit.page) == []
        assert cut_contents(visit.page) == []
    with Visit(browser, f"{address}/{name}", PHONE) as visit:
        assert silently_cut_off(visit.page) == []
        assert broken_names(visit.page) == []
        visit.page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        for theme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            if visit.page.locator("article.bd-article").count():
                visit.page.wait_for_selector(f"html[data-theme={theme}]", state="attached")
            assert wrong_covers(visit.page) == [], theme
        assert torn_formulas(visit.page) == []
        assert cut_formulas(visit.page) == []
        assert cut_titles(visit.page) == []
        assert wrong_folds(visit.page) == []


CHAPTERS = sorted((HTML.parents[1] / "chapters").glob("*.ipynb"))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_prediction_and_every_live_figure_has_its_face_for_a_page(chapter):
    """A widget needs a kernel: shown in the place of its other face, it is nothing at all."""
    if not PAGES:
        missing(f"the book is not built, there is no page below {HTML} (make book)")
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    tags = [cell["metadata"].get("tags", []) for cell in cells if cell["cell_type"] == "code"]
    page = (HTML / "chapters" / chapter.with_suffix(".html").name).read_text(encoding="utf-8")
    assert page.count('class="bpa-predict"') == sum("predict" in each for each in tags) > 0
    assert page.count('class="bpa-live"') >= sum("play" in each for each in tags) > 0
    assert "application/vnd.jupyter.widget-view" not in page


BAD_PAGE = """<!doctype html><html lang="en"><title>bad</title>
<main style="color:#ddd;background:#fff"><article class="bd-article"><p>pale text</p>
<p style="color:#fff">hidden text</p>
<span class="math">x^2</span><img src="nothing.png"><div style="width:2000px">wide</div></article></main>
<script src="https://example.org/script.js"></script><script>console.error("trouble"); undefinedName</script>
</html>"""


def test_a_bad_page_is_caught(browser, tmp_path):
    (tmp_path / "bad.html").write_text(BAD_PAGE.replace('<span class="math">x^2</span>', ""))
    with Visit(browser, (tmp_path / "bad.html").as_uri(), PHONE) as visit:
        faults = " ".join(visit.faults)
        for fault in (
            "foreign request: https://example.org/script.js",
            "console error: trouble",
            "page error",
        ):
            assert fault in faults
        assert "nothing.png" in faults
        assert len(broken_images(visit.page)) == 1
        assert too_wide(visit.page)
        rules = {found.split(":")[0] for found in barriers(visit.page, "article.bd-article")}
        assert {"color-contrast", "image-alt", "invisible-text"} <= rules
        line = "x" * 300
        visit.page.set_content(
            f"<article class='bd-article'><pre>{line}</pre>"
            f"<pre style='overflow-x: auto' tabindex='0'>{line}</pre>"
            f"<pre style='overflow-x: auto; background: linear-gradient(red, blue)'>{line}</pre><pre>x</pre>"
            f"<pre style='overflow-x: auto; background: linear-gradient(red, blue)' tabindex='0'>{line}</pre>"
            f"<pre hidden>{line}</pre></article>"
        )
        assert len(cut_off(visit.page)) == 4
        assert len(silently_cut_off(visit.page)) == 3
        covered = "overflow-x: auto; background-image: linear-gradient(to right, {} 40%, transparent)"
        visit.page.set_content(
            "<article class='bd-article'><details open style='background: rgb(34, 40, 50)'>"
            f"<pre style='{covered.format('#222832')}'>right</pre>"
            f"<pre style='{covered.format('#121212')}'>wrong</pre>"
            f"<pre style='{covered.format('#121212')}; background-color: #121212'>its own</pre>"
            "</details></article>"
        )
        (found,) = wrong_covers(visit.page)
        assert found.endswith(">wrong</pre>")
        cells = "".join(
            f"<div class='pst-scrollable-table-container' style='width: 3ch; overflow-wrap: {wrap}'>"
            f"<code>{name}</code></div>"
            for wrap, name in (("anywhere", "landmark"), ("normal", "landmark"), ("normal", "cue steps"))
        )
        visit.page.set_content(f"<article class='bd-article'>{cells}</article>")
        assert broken_names(visit.page) == ["landmark"]
        formula = "<span class='math' style='display: inline-block; width: 50px'>x</span>"
        lines = "".join(
            f"<p style='width: 52px'>{line}</p>"
            for line in (f"{formula}.", f"see ({formula}", f"({formula} x")
        )
        visit.page.set_content(
            f"<article class='bd-article'>{lines}</article><div class='prev-next-area'>"
            "<a style='display: block; overflow-x: hidden; width: 3ch'>Backpropamine</a><a>Next</a></div>"
        )
        assert torn_formulas(visit.page) == ["x.", "see (x", "(x x"]
        assert cut_titles(visit.page) == ["Backpropamine"]
        contents = "<a class='nav-link' style='display: block; width: {}'>{}</a>"
        lines = contents.format("2000px", "cut") + contents.format("auto", "fits")
        visit.page.set_content(f"<div class='bd-sidebar-secondary'>{lines}</div>")
        assert cut_contents(visit.page) == ["cut"]
        # The theme gives the element around a formula the width of the line.
        formula = (
            "<span class='math' style='display: inline-block; max-width: 100%; overflow: auto'>{}</span>"
        )
        drawn = "<mjx-container style='display: inline-block; width: {}px'>x</mjx-container>"
        wide, formula = (formula.format(drawn.format(width)) for width in (2000, 50))
        visit.page.set_content(
            f"<article class='bd-article' style='width: 300px'><p>{wide}</p><p>{formula}</p>"
            f"<div class='pst-scrollable-table-container'>{wide}</div></article>"
        )
        assert len(cut_formulas(visit.page)) == 1
        output, code = "<div class='cell_output'>1</div>", "<div class='cell_input'>1</div>"
        visit.page.set_content(
            "".join(
                f"<div class='cell {tag}'><details class='hide'><summary><p>{name}</p></summary>{held}"
                "</details></div>"
                for tag, name, held in (
                    ("", "Show the code of this figure", output),
                    ("", "Show the result", output),
                    ("tag_solution", "Show the code", code),
                    ("tag_solution", "Show the solution", code),
                    ("", "Show the imports", code),
                    ("", "Show code cell source", code),
                )
            )
        )
        assert len(wrong_folds(visit.page)) == 3
        visit.page.set_content('<span class="math">x^2</span>')
        assert undrawn_maths(visit.page) == ["x^2"]

"""A real browser without a network, in which the tests of this folder play live figures."""

import os

import pytest
from javascript import CHROMIUM
from playwright.sync_api import sync_playwright

FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-gpu", "--disable-sync"]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    FLAGS.append("--no-sandbox")  # Chromium refuses to run as root otherwise


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a live figure in a page from a file, offline; any request or error fails the test."""
    faults, contexts = [], []

    def open_live(live, width=800, theme="light", motion="no-preference", before="", text=""):
        path = tmp_path / "page.html"
        path.write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width"></head><body style="height: 3000px">'
            f"{text}{live._repr_html_()}</body></html>",
            encoding="utf-8",
        )
        context = browser.new_context(
            viewport={"width": width, "height": 700},
            color_scheme=theme,
            offline=True,
            has_touch=True,
            reduced_motion=motion,
        )
        contexts.append(context)
        context.add_init_script(before)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:", "about:", "blob:")) or faults.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        frame = page.locator("iframe.bpa-live").first.content_frame
        frame.locator("#figure").wait_for()
        page.wait_for_timeout(200)
        return page, frame

    yield open_live
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def click_link():
    """Clicks a link by its id; a click right after a scroll may still go to what was there before."""

    def click(page, name):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        page.locator(f"#{name}").click()
        page.wait_for_timeout(300)

    return click

"""Drives the two cells in a real browser, by mouse, key and link, and reads what must have changed."""

import math

import pytest
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from playwright.sync_api import expect

from bpa.show import pair

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM)"),
]


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


def numbers(frame):
    """Quantity, formula and value of each row of the table."""
    return [row.locator("th, td").all_text_contents() for row in frame.locator("#numbers tr").all()]


def slide(frame, name, value):
    frame.locator(f"#{name}").fill(str([f"{each:g}" for each in pair.VALUES[name]].index(value)))


def test_each_step_shows_its_numbers(opened):
    page, frame = opened(pair.two_cells(w=0.1, alpha=0.5, eta=0.1))
    assert numbers(frame) == []
    expect(frame.locator("#table")).to_be_hidden()
    assert frame.locator("#back").is_disabled()
    frame.locator("#two").select_option("0.5")
    frame.locator("#step").click()
    frame.locator("#step").focus()
    page.keyboard.press("Enter")
    first, second = math.tanh(1), math.tanh(0.5)
    post = math.tanh(0.5 + 0.1 * first)
    change = 0.1 * first * post
    expect(frame.locator("#table")).to_be_visible()
    table = numbers(frame)
    assert [value for _, _, value in table] == [
        f"{value:.3f}" for value in (0.1, 0.5 + 0.1 * first, post, change, change, 0.1 + 0.5 * change)
    ]
    assert table[3][1] == f"0.100 · {first:.3f} · {post:.3f}"
    assert reading(frame, "message").endswith(f"from 1 to 2 the trace is {change:.3f}.")
    frame.locator("#connection").select_option("1,0")
    assert numbers(frame)[3][1] == f"0.100 · {second:.3f} · {first:.3f}"
    assert "from 2 to 1" in reading(frame, "message")
    frame.locator("#back").click()
    assert reading(frame, "message").startswith("Step 1: ")
    frame.locator("#begin").click()
    assert numbers(frame) == []


def test_a_slider_lives_the_same_steps_again(opened):
    _, frame = opened(pair.two_cells())
    frame.locator("#two").select_option("1")
    frame.locator("#ten").click()
    seen = {reading(frame, "message")}
    assert reading(frame, "message").startswith("Step 10: ")
    for name, value in (("alpha", "0.5"), ("w", "0.5"), ("eta", "0.3"), ("clip", "0.25")):
        slide(frame, name, value)
        assert reading(frame, f"{name}-value") == value
        assert frame.locator(f"#{name}").get_attribute("aria-valuetext") == value
        assert reading(frame, "message").startswith("Step 10: ")
        seen.add(reading(frame, "message"))
    assert len(seen) == 5
    assert reading(frame, "message").endswith("the trace is 0.250.")
    wide = frame.locator("#wire-01").evaluate("wire => parseFloat(wire.style.strokeWidth)")
    assert wide == pytest.approx(6 * (0.5 + 0.5 * 0.25), abs=1e-3)
    slide(frame, "eta", "0")
    assert reading(frame, "message").endswith("the trace is 0.000.")
    slide(frame, "alpha", "-1")
    slide(frame, "eta", "0.3")
    assert frame.locator("#wire-10").evaluate("wire => wire.classList.contains('negative')")
    for _ in range(19):
        frame.locator("#ten").click()
    assert reading(frame, "message").startswith("Step 200: ")
    assert frame.locator("#ten").is_disabled()


LINK = '<p><a id="{0}" href="#pair:{1}">{0}</a></p>'


def test_links_teach_a_lever_to_learn_and_to_take_back(opened, click_link):
    links = [
        ("idle", "begin=yes,one=1,two=1,m=0,steps=5"),
        ("learn", "m=1,steps=1"),
        ("unlearn", "m=-1,steps=1"),
        ("wrong", "m=7"),
    ]
    text = "".join(LINK.format(*each) for each in links)
    page, frame = opened(pair.two_cells("simple", alpha=0.5), motion="reduce", text=text)
    assert frame.locator("#eta").is_hidden()
    traces = []
    for name, _ in links[:3]:
        click_link(page, name)
        traces.append(float(reading(frame, "message").rstrip(".").split()[-1]))
    assert traces[0] == 0
    assert traces[1] == pytest.approx(math.tanh(1) ** 2, abs=1e-3)
    assert -0.2 < traces[2] < -0.1
    assert reading(frame, "message").startswith("Step 7: ")
    click_link(page, "wrong")
    expect(frame.locator("#message")).to_contain_text("This link was not followed: m must be one of")


@pytest.mark.parametrize(("wait", "left"), [(0, 1), (3, 0.8**3), (10, 0.8**10)])
def test_a_late_reward_takes_what_is_left_of_the_eligibility(opened, click_link, wait, left):
    waiting = f"one=0,two=0,m=0,steps={wait}" if wait else "one=0,two=0"
    text = "".join(
        LINK.format(*each)
        for each in (("fire", "begin=yes,eta=0.2,one=1,two=1,m=0,steps=2"), ("wait", waiting))
    )
    page, frame = opened(pair.two_cells("retroactive", eta=0.2), motion="reduce", text=text)
    click_link(page, "fire")
    expect(frame.locator("#message")).to_contain_text("the trace is 0.000, E 0.116.")
    click_link(page, "wait")
    frame.locator("#m").select_option("1")
    frame.locator("#step").click()
    trace = 0.2 * math.tanh(1) ** 2 * left
    assert f"the trace is {trace:.3f}, E" in reading(frame, "message")
    rows = {quantity: value for quantity, _, value in numbers(frame)}
    assert rows["change of the trace, M E"] == f"{trace:.3f}"
    assert rows["new E, (1 − η) E + η x1 x2"] == f"{0.8 * trace:.3f}"
    assert "eligibility E" in frame.locator("#history").get_attribute("aria-label")


@pytest.mark.parametrize(("width", "theme"), [(800, "light"), (390, "dark")])
@pytest.mark.parametrize("plasticity", pair.PLASTIC)
def test_the_two_cells_fit_and_have_no_barrier(opened, width, theme, plasticity):
    page, frame = opened(pair.two_cells(plasticity), width, theme)
    frame.locator("#two").select_option("-0.5")
    frame.locator("#ten").click()
    page.wait_for_timeout(200)
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert frame.locator("html").evaluate(fits) == [0, 0]
    scroll = frame.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert scroll[0] <= scroll[1] + 1, "the numbers do not fit"
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    assert [rule["id"] for rule in report if rule["impact"] in ("serious", "critical")] == []

"""Draws, stores, rubs out and recalls on the sheet in a real browser, by mouse, finger, key and link."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from playwright.sync_api import expect

from bpa.show import sheet, widgets

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM)"),
]


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


def pixel(frame, row, column):
    return frame.locator(f".pixel[data-place='{8 * (row - 1) + column - 1}']")


def widths(frame):
    """Of the wires, in the end."""
    return frame.locator("#wires").evaluate(
        "figure => [...figure.querySelectorAll('.wire')].map(wire => parseFloat(wire.style.strokeWidth))"
    )


def set_slider(frame, name, place):
    frame.locator(f"#{name}").fill(str(place))


def test_a_letter_is_stored_rubbed_out_and_recalled(opened):
    _, frame = opened(sheet.plastic_sheet())
    assert reading(frame, "stored") == "nothing"
    assert set(widths(frame)) == {0}
    frame.locator("#store").click()
    assert reading(frame, "stored") == "1: B"
    assert reading(frame, "largest") == "0.016"
    thin = widths(frame)
    assert min(thin) == max(thin) > 0
    frame.locator("#store").click()
    assert widths(frame) == pytest.approx([2 * width for width in thin])
    assert reading(frame, "largest") == "0.031"
    assert reading(frame, "right") == "not recalled yet"
    frame.locator("#half").click()
    assert frame.locator("#half").is_disabled()
    assert reading(frame, "known") == "32 of 64"
    frame.locator("#recall").click()
    assert reading(frame, "right") == "32 of 32, of B"
    assert reading(frame, "overlaps") == "B 1.00"
    assert (
        reading(frame, "message") == "One reading: 32 of 32 unknown pixels are right. Overlap with B: 1.00."
    )
    label = frame.locator("#answer").get_attribute("aria-label")
    assert label.endswith(" ".join(sheet.LETTERS["B"].split()))
    frame.locator("#forget").click()
    assert reading(frame, "stored") == "nothing"
    assert set(widths(frame)) == {0}


def test_what_two_pictures_have_in_common_is_a_tie(opened):
    _, frame = opened(sheet.plastic_sheet("LT"))
    frame.locator("#letters").fill("2")
    frame.get_by_role("button", name="T", exact=True).click()
    frame.locator("input[value=rub]").check()
    for place in range(64):
        same = sheet.letter("L")[place] == sheet.letter("T")[place]
        if not same:
            frame.locator(f".pixel[data-place='{place}']").click()
    frame.locator("#recall").click()
    different = int((sheet.letter("L") != sheet.letter("T")).sum())
    assert reading(frame, "right") == f"0 of {different}, {different} undecided, of T"
    assert "L 0." in reading(frame, "overlaps")


def test_the_reader_draws_by_mouse_finger_and_keys(opened):
    page, frame = opened(sheet.plastic_sheet())
    frame.locator("#blank").click()
    assert reading(frame, "known") == "64 of 64"
    start, end = pixel(frame, 1, 1).bounding_box(), pixel(frame, 1, 4).bounding_box()
    page.mouse.move(start["x"] + 9, start["y"] + 9)
    page.mouse.down()
    page.mouse.move(end["x"] + 9, end["y"] + 9, steps=12)
    page.mouse.up()
    page.mouse.move(end["x"] + 9, end["y"] + 60)  # the pen is up
    ink = frame.locator(".pixel[aria-label$=': ink']")
    assert ink.count() == 4
    pixel(frame, 5, 5).tap()
    assert pixel(frame, 5, 5).get_attribute("aria-label") == "row 5, column 5: ink"
    for key in ("ArrowDown", "ArrowLeft", " ", "ArrowUp", "Enter", "ArrowRight", "Delete"):
        page.keyboard.press(key)
    assert pixel(frame, 6, 4).get_attribute("aria-label").endswith("ink")
    assert pixel(frame, 5, 4).get_attribute("aria-label").endswith("ink")
    assert pixel(frame, 5, 5).get_attribute("aria-label").endswith("unknown")
    assert page.evaluate("scrollY") == 0, "the arrow keys moved the page"
    assert reading(frame, "known") == "63 of 64"
    assert frame.locator(".pixel[tabindex='0']").count() == 1
    pixel(frame, 5, 4).click()
    assert pixel(frame, 5, 4).get_attribute("aria-label").endswith("paper")  # ink turns to paper
    pixel(frame, 5, 5).click()
    frame.locator("#store").click()
    assert reading(frame, "stored") == "1: drawing 1"


def test_every_control_changes_the_number_that_it_must(opened):
    _, frame = opened(sheet.plastic_sheet())
    set_slider(frame, "letters", 5)
    assert reading(frame, "stored") == "5: O, B, I, H, U"
    frame.get_by_role("button", name="U", exact=True).click()
    frame.locator("#half").click()
    frame.locator("#recall").click()
    assert reading(frame, "right") == "20 of 32, of U"  # as the chapter counts, ties are wrong
    assert reading(frame, "largest") == "0.078"
    frame.locator("#recall").click()
    assert reading(frame, "message").startswith("2 readings: ")
    set_slider(frame, "letters", 20)
    assert reading(frame, "stored").startswith("20: O, B, I, H, U, A, C")
    assert "and 14 with less" in reading(frame, "overlaps")
    twenty = reading(frame, "right")
    set_slider(frame, "eta", 2)
    assert reading(frame, "eta-value") == "0.1"
    assert frame.locator("#eta").get_attribute("aria-valuetext") == "0.1"
    assert reading(frame, "largest") == "2.000"
    assert reading(frame, "right") == twenty  # the sign does not depend on it
    assert frame.locator("#bound").is_hidden()
    frame.locator("#rule").select_option("clip")
    assert reading(frame, "largest") == "0.300"
    set_slider(frame, "bound", 1)
    assert reading(frame, "largest") == "0.100"
    assert reading(frame, "right") != twenty
    frame.locator("#rule").select_option("decay")
    decayed = reading(frame, "largest"), reading(frame, "right")
    assert decayed[0] == f"{1 - 0.9**20:.3f}"
    frame.locator("#rule").select_option("oja")
    assert (reading(frame, "largest"), reading(frame, "right")) == decayed
    assert "Oja's rule is decay" in reading(frame, "remark")
    frame.locator("#store").click()  # a half: unknown pixels are silent neurons
    halved = reading(frame, "right")
    assert reading(frame, "remark") == ""
    frame.locator("#rule").select_option("decay")
    assert reading(frame, "stored").startswith("21: ")
    frame.locator("#kind").select_option("random")
    assert reading(frame, "letters-name") == "random patterns stored"
    assert reading(frame, "stored").startswith("20: R1, R2")
    frame.get_by_label("another one").select_option("R20")
    frame.locator("#half").click()
    assert reading(frame, "right") == "32 of 32, of R20" != halved
    before = frame.locator("#wires").get_attribute("aria-label"), widths(frame)
    for name, value in (("from", "4"), ("to", "1")):
        frame.locator(f"#{name}").select_option(label=value)
    assert (frame.locator("#wires").get_attribute("aria-label"), widths(frame)) != before
    assert "row 4 to the 8 of row 1" in frame.locator("#wires").get_attribute("aria-label")
    frame.locator("#into").select_option(label="3")
    assert frame.locator(".wire:not(.aside)").count() == 8


LINK = '<p style="height: 1500px"><a id="{0}" href="#sheet:{1}">{0}</a></p>'


def test_a_link_in_the_page_drives_the_sheet(opened, click_link):
    live = sheet.plastic_sheet()
    links = "".join(
        LINK.format(*each)
        for each in (
            ("twenty", "letters=20,put=B,cue=half,recall=1"),
            ("decay", "kind=random,letters=20,rule=decay,eta=0.2,put=R1,cue=half,recall=1"),
            ("wrong", "letters=99"),
        )
    )
    page, frame = opened(live, motion="reduce", text=links)
    assert reading(frame, "stored") == "nothing"
    click_link(page, "twenty")
    expect(frame.locator("#right")).to_have_text("25 of 32, of B")
    assert reading(frame, "overlaps").startswith("P 0.81, R 0.81, B 0.78")
    assert reading(frame, "message").startswith("One reading: 25 of 32 unknown pixels are right.")
    assert page.evaluate("document.activeElement.tagName") == "IFRAME"
    assert page.evaluate("scrollY") > 1000
    assert page.evaluate("location.hash").startswith("#sheet:letters=20")
    click_link(page, "decay")
    expect(frame.locator("#right")).to_have_text("18 of 32, of R1")
    assert frame.locator("#rule").input_value() == "decay"
    assert reading(frame, "eta-value") == "0.2"
    click_link(page, "wrong")
    expect(frame.locator("#message")).to_contain_text("This link was not followed: letters must be one of")
    assert reading(frame, "right") == "18 of 32, of R1"
    page.reload()  # the address still has its link
    expect(frame.locator("#message")).to_contain_text("This link was not followed")
    page.goto(page.url.split("#")[0] + "#sheet:letters=20,put=A,cue=half,recall=1")
    page.reload()
    expect(frame.locator("#right")).to_have_text("15 of 32, of A")


def test_a_link_to_no_figure_of_this_page_does_nothing(opened):
    page, frame = opened(widgets.play_maze(seed=0), text=LINK.format("sheet", "letters=20"), motion="reduce")
    page.locator("#sheet").click()
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") == 0
    assert reading(frame, "time") == "0 / 200"


@pytest.mark.parametrize(("width", "theme"), [(800, "light"), (390, "dark")])
def test_the_sheet_fits_and_has_no_barrier(opened, width, theme):
    page, frame = opened(sheet.plastic_sheet(), width, theme)
    set_slider(frame, "letters", 26)
    frame.locator("#rule").select_option("clip")
    frame.locator("#half").click()
    frame.locator("#recall").click()
    page.wait_for_timeout(200)
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert frame.locator("html").evaluate(fits) == [0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    side = pixel(frame, 1, 1).bounding_box()["width"]
    assert side >= 24, "a finger needs as much"
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    assert [rule["id"] for rule in report if rule["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize(("motion", "seconds"), [("no-preference", "0.5s"), ("reduce", "0s")])
def test_wires_thicken_at_once_for_readers_who_want_less_motion(opened, motion, seconds):
    _, frame = opened(sheet.plastic_sheet(), motion=motion)
    took = frame.locator(".wire").first.evaluate("wire => getComputedStyle(wire).transitionDuration")
    assert took == seconds

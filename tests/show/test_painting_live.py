"""Draws for a network in a real browser, and sees it complete the drawing."""

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from playwright.sync_api import expect

from bpa import Network
from bpa.show import painting

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM)"),
]


def figure():
    """Eight by eight pixels that are copied through the traces: not trained, but not random either."""
    net = Network(
        64, 64, 64, plasticity="plastic", alpha="network", generator=torch.Generator().manual_seed(0)
    )
    net.requires_grad_(False)
    for parameter in net.parameters():
        parameter.zero_()
    net.i2h.weight.copy_(2 * torch.eye(64))
    net.h2o.weight.copy_(torch.eye(64))
    net.alpha.fill_(1 / 16)
    net.eta.fill_(0.25)
    pictures = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    return painting.complete_in_page(net, pictures, caption="Draw.")


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


def picture(frame, name):
    return frame.locator(f"#{name}").evaluate("canvas => canvas.toDataURL()")


def picture_of(frame, label):
    return frame.get_by_role("img", name=label, exact=True).evaluate("canvas => canvas.toDataURL()")


def test_what_is_drawn_is_completed_and_every_control_matters(opened, click_link):
    link = '<a id="{0}" href="#painting:{1}">{0}</a> '
    text = link.format("two", "picture=2,hidden=left") + link.format("wrong", "picture=9")
    page, frame = opened(figure(), motion="reduce", text=text)
    assert frame.locator("#age").is_hidden()
    first = float(reading(frame, "error"))
    assert first < float(reading(frame, "error-wiped")) == pytest.approx(1, abs=0.3)
    assert reading(frame, "steps") == "24 with 3 pictures, 3 with the cue"
    seen = {(reading(frame, "error"), picture(frame, "painted"))}
    for half in ("top", "left", "right"):
        frame.locator("#half").select_option(half)
        seen.add((reading(frame, "error"), picture(frame, "painted")))
        assert f"{half} half" in frame.locator("#cue").get_attribute("aria-label")
    frame.get_by_role("button", name="picture 3").click()
    assert frame.locator(".thumb[aria-pressed=true]").count() == 1
    seen.add((reading(frame, "error"), picture(frame, "painted")))
    assert len(seen) == 5
    assert frame.locator("#original").is_disabled()
    before, thumb = picture(frame, "painted"), picture_of(frame, "picture 3")
    pixel = frame.locator(".pixel[data-place='9']")
    label = pixel.get_attribute("aria-label")
    pixel.click()
    assert pixel.get_attribute("aria-label") != label
    assert picture(frame, "painted") != before
    assert picture_of(frame, "picture 3") != thumb
    page.keyboard.press(" ")
    assert picture_of(frame, "picture 3") == thumb
    assert picture(frame, "painted") == before
    frame.locator("#blank").click()
    assert "Picture 3 is of one shade" in reading(frame, "message")
    pixel.tap()
    assert pixel.get_attribute("aria-label") == "row 2, column 2: 100% light"
    frame.locator("#original").click()
    assert picture(frame, "painted") == before
    click_link(page, "two")
    expect(frame.locator("#message")).to_contain_text("Picture 2, left half hidden")
    click_link(page, "wrong")
    expect(frame.locator("#message")).to_contain_text("This link was not followed: picture must be one of")


def test_an_older_copy_has_more_bits_right(opened, click_link):
    nets = {}
    for age, alpha in (("0", 0.0), ("400", 1 / 4)):
        nets[age] = net = Network(16, 16, 16, plasticity="plastic", alpha="network")
        net.requires_grad_(False)
        for parameter in net.parameters():
            parameter.zero_()
        net.i2h.weight.copy_(2 * torch.eye(16))
        net.h2o.weight.copy_(torch.eye(16))
        net.alpha.fill_(alpha)
        net.eta.fill_(0.25)
    drawn = torch.tensor([[1.0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1]]).view(1, 4, 4)
    link = '<a id="young" href="#painting:age=0,hidden=top">0</a>'
    live = painting.complete_in_page(nets, drawn, bits=True, hidden="right")
    page, frame = opened(live, motion="reduce", text=link)
    assert "right half hidden" in reading(frame, "message")
    assert reading(frame, "error").endswith(", 8 of 8 bits right")
    assert reading(frame, "error-wiped").endswith(", 0 of 8 bits right")
    frame.locator("#age").select_option(label="0")
    assert reading(frame, "error") == "1.00, 0 of 8 bits right"
    frame.locator("#age").select_option(label="400")
    click_link(page, "young")
    expect(frame.locator("#error")).to_have_text("1.00, 0 of 8 bits right")
    assert "top half hidden" in reading(frame, "message")


@pytest.mark.parametrize(("width", "theme"), [(800, "light"), (390, "dark")])
def test_the_painting_fits_and_has_no_barrier(opened, width, theme):
    page, frame = opened(figure(), width, theme)
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert frame.locator("html").evaluate(fits) == [0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert frame.locator(".pixel").first.bounding_box()["width"] >= 24, "a finger needs as much"
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    assert [rule["id"] for rule in report if rule["impact"] in ("serious", "critical")] == []

"""The two cells in the page are a bpa.Network of two neurons, number by number."""

import html
import json
import re
from pathlib import Path

import pytest
import torch
from javascript import run_javascript

from bpa import Network, network
from bpa.show import pair

CHAPTERS = sorted((Path(__file__).parents[2] / "book" / "chapters").glob("*.ipynb"))
SOURCES = ("numbers.js", "network.js", "settings.js", "pair.js")

LIVE = """({ settings, steps }) => {
  const pair = new Pair(settings);
  const moments = pair.live(steps);
  const told = steps.map((step, t) => [0, 1].map((i) => [0, 1].map(
    (j) => pair.explain(moments[t], moments[t + 1], step, i, j))));
  return { moments, told };
}"""


def two_neurons(plasticity: str, w: float, alpha: float, eta: float, clip: float) -> Network:
    net = Network(2, 2, 1, plasticity=plasticity, alpha="network", clip=clip, fanout=False).double()
    net.requires_grad_(False)
    for parameter in net.parameters():
        parameter.zero_()
    net.w[0, 1], net.i2h.weight[:] = w, torch.eye(2)
    net.alpha.fill_(alpha)
    if plasticity != "simple":
        net.eta.fill_(eta)
    return net


@pytest.mark.parametrize("plasticity", pair.PLASTIC)
@pytest.mark.parametrize(("alpha", "clip"), [(1.0, 1.0), (-1.0, 0.25), (0.5, 2.0)])
def test_each_number_of_each_step_is_that_of_the_network(plasticity, alpha, clip):
    w, eta = 0.1, 0.3
    generator = torch.Generator().manual_seed(0)
    xs = torch.randint(-2, 3, (25, 2), generator=generator).double() / 2
    ms = torch.randint(-2, 3, (25,), generator=generator).double() / 2
    net = two_neurons(plasticity, w, alpha, eta, clip)
    steps = [
        {"inputs": x.tolist(), "m": None if plasticity == "plastic" else m.item()}
        for x, m in zip(xs, ms, strict=True)
    ]
    settings = {"plasticity": plasticity, "w": w, "alpha": alpha, "eta": eta, "clip": clip}
    got = run_javascript(LIVE, {"settings": settings, "steps": steps}, SOURCES)
    h, hebb = torch.zeros(1, 2).double(), torch.zeros(1, 2, 2).double()
    eligibility = torch.zeros(1, 2, 2).double() if plasticity == "retroactive" else None
    largest = 0.0
    for t, (x, m) in enumerate(zip(xs, ms, strict=True)):
        rate = net.eta if plasticity == "plastic" else m
        strengths = net.w + net.alpha * hebb[0]
        arriving = x + h[0] @ strengths
        post = net(x.view(1, 2), network.Hidden(h, hebb, eligibility))[2].h
        new_hebb, new_eligibility = network.rewire(net, rate, h, post, hebb, eligibility)
        moment = got["moments"][t + 1]
        assert moment["x"] == pytest.approx(post[0].tolist(), abs=1e-9)
        assert moment["hebb"] == pytest.approx(new_hebb.flatten().tolist(), abs=1e-9)
        if eligibility is not None:
            assert moment["eligibility"] == pytest.approx(new_eligibility.flatten().tolist(), abs=1e-9)
        for i in (0, 1):
            for j in (0, 1):
                told = got["told"][t][i][j]
                source = h[0, i] * post[0, j] if eligibility is None else eligibility[0, i, j]
                wanted = {
                    "strength": strengths[i, j],
                    "arriving": arriving[j],
                    "post": post[0, j],
                    "change": rate * source,
                    "newHebb": new_hebb[0, i, j],
                    "newStrength": (net.w + net.alpha * new_hebb[0])[i, j],
                }
                assert {name: told[name] for name in wanted} == pytest.approx(
                    {name: float(value) for name, value in wanted.items()}, abs=1e-9
                )
        h, hebb, eligibility = post, new_hebb, new_eligibility
        largest = max(largest, hebb.abs().max().item())
    assert largest > 0.2
    if clip == 0.25:
        assert largest == clip, "the clip was not at work"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"plasticity": "fast"}, 'plasticity must be one of "none", "plastic"'),
        ({"w": None}, "w must be a number, got null"),
    ],
)
def test_the_pair_refuses_what_it_does_not_know(settings, words):
    attempt = """(settings) => {
      try { new Pair(settings).live([{ inputs: [1, 1], m: null }]); } catch (error) { return error.message; }
      return "nothing";
    }"""
    known = {"plasticity": "plastic", "w": 0.1, "alpha": 1, "eta": 0.1, "clip": 1}
    assert run_javascript(attempt, known, SOURCES) == "nothing"
    assert run_javascript(attempt, known | settings, SOURCES).startswith(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plasticity": "none"}, "plasticity must be one of 'plastic', 'simple', 'retroactive', got 'none'"),
        ({"w": 0.3}, "w must be one of -0.5, -0.1, 0, 0.1, 0.5, got 0.3"),
        ({"alpha": "1"}, "alpha must be"),
        ({"eta": -1}, "eta must be"),
        ({"clip": float("inf")}, "clip must be"),
    ],
)
def test_other_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        pair.two_cells(**arguments)


def test_every_link_of_the_book_is_one_that_its_figure_follows():
    found = 0
    for path in CHAPTERS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        links = [
            settings
            for cell in cells
            if cell["cell_type"] == "markdown"
            for settings in re.findall(r'<a href="#pair:([^"]*)">', "".join(cell["source"]))
        ]
        code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        figures = re.findall(r"two_cells\(\s*(?:\"(\w+)\")?", code)
        assert len(figures) == (1 if links else len(figures)), f"{path.stem}: which of them would it drive?"
        if not links:
            continue
        read = run_javascript(
            "({ links, allowed }) => links.map((link) => readSettings(link, allowed))",
            {"links": links, "allowed": pair.allowed_settings(figures[0] or "plastic")},
            SOURCES,
        )
        assert len(read) == len(links)
        numbers = {*pair.allowed_settings(figures[0] or "plastic")} & {*pair.VALUES}
        assert "begin" in read[0]
        for link in read:  # the first sets everything, and those after it go on from there
            assert numbers & {*link} == (numbers if "begin" in link else set()), f"{path.stem}: {link}"
        found += len(links)
    assert found >= 4


def test_the_figure_holds_what_the_page_needs():
    live = pair.two_cells("simple", alpha=0.5, caption="Step.")
    page = html.unescape(live._repr_html_())
    assert 'data-name="pair"' in page
    assert len(page) < 100_000
    assert "eta" not in live.data["settings"]
    assert live.data["settings"]["m"] == ["-1", "-0.5", "0", "0.5", "1"]
    assert live.data["start"]["alpha"] == "0.5"

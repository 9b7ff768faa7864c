"""The network that completes a drawing in the page is the one that was trained."""

import html
import json
import re
from pathlib import Path

import pytest
import torch
from javascript import run_javascript

from bpa import LSTM, Network
from bpa.show import painting, widgets
from bpa.tasks.pictures import Pictures, digits, standardised

CHAPTERS = sorted((Path(__file__).parents[2] / "book" / "chapters").glob("*.ipynb"))
SOURCES = ("numbers.js", "network.js", "settings.js", "episode.js")

COMPLETE = """({ network, parameters, pictures, timing, half, which }) => {
  const net = new Network(network, parameters);
  const scaled = pictures.map(standardised);
  const inputs = shownInTurn(scaled, timing);
  const hidden = hiddenPixels(half, 8);
  const cue = scaled[which].map((value, k) => (hidden[k] ? 0 : value));
  const answers = [false, true].map((wiped) => [...answerCue(net, inputs, cue, timing.showSteps, wiped)]);
  return { inputs, hidden, answers,
           errors: answers.map((answer) => hiddenError(answer, scaled[which], hidden)) };
}"""


def lively(plasticity: str = "plastic", cell: type = Network, pixels: int = 64) -> Network | LSTM:
    """A network in which the traces matter."""
    net = cell(pixels, 10, pixels, plasticity=plasticity, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    net.requires_grad_(False)
    for name, parameter in net.named_parameters():
        spread = {"w": 0.3, "alpha": 0.5, "i2h.weight": 0.1}.get(name, 0.3)
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return net


@pytest.mark.parametrize("half", ["top", "bottom", "left", "right"])
@pytest.mark.parametrize(
    ("plasticity", "cell"), [("plastic", Network), ("retroactive", Network), ("simple", LSTM)]
)
def test_the_page_completes_as_the_network_does(half, plasticity, cell):
    net = lively(plasticity, cell)
    pictures = digits("test")[[3, 5, 8]]
    timing = {"presentations": 2, "showSteps": 3, "pauseSteps": 1}
    got = run_javascript(
        COMPLETE,
        {
            "network": widgets.network_settings(net),
            "parameters": widgets.network_parameters(net),
            "pictures": pictures.flatten(1).tolist(),
            "timing": timing,
            "half": half,
            "which": 1,
        },
        SOURCES,
    )
    task = Pictures(split="test", hidden=half, batch_size=1)
    hidden = task.hidden_pixels()[0].flatten()
    assert got["hidden"] == hidden.tolist()
    scaled = standardised(pictures).flatten(1).double()
    pause = torch.zeros(64).double()
    shown = torch.stack([part for _ in range(2) for each in scaled for part in (each, each, each, pause)])
    assert torch.allclose(torch.tensor(got["inputs"]).double(), shown, atol=1e-6)
    assert len(shown) + 3 == task.episode_length
    net = net.double()
    state = net.unroll(shown[:, None], engine="eager").hidden
    cue = scaled[1].masked_fill(hidden, 0).expand(3, 1, 64).contiguous()
    zeros = {
        name: torch.zeros_like(getattr(state, name))
        for name in ("hebb", "eligibility")
        if getattr(state, name) is not None
    }
    answers = []
    for case, answer, error in zip(
        (state, state._replace(**zeros)), got["answers"], got["errors"], strict=True
    ):
        wanted = net.unroll(cue, case, engine="eager").logits[-1, 0]
        assert torch.allclose(torch.tensor(answer).double(), wanted, atol=1e-6)
        gap = (wanted - scaled[1])[hidden].square().mean().item()
        assert error == pytest.approx(gap, abs=1e-6)
        answers.append(wanted)
    assert not torch.allclose(*answers, atol=0.01), "the traces do not matter here"


def test_a_picture_of_one_shade_is_nothing():
    got = run_javascript("(picture) => standardised(picture)", [0.3] * 64, SOURCES)
    assert got == [0] * 64


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"net": lively("none")}, "net must be plastic"),
        ({"net": lively(pixels=60)}, "net must have as many outputs as inputs, the pixels of a square"),
        ({"net": Network(64, 5, 4, plasticity="plastic")}, "net must have as many outputs as inputs"),
        ({"pictures": torch.rand(3, 64)}, r"pictures must be a tensor \[K, 8, 8\], got \(3, 64\)"),
        ({"pictures": [torch.rand(8, 8)]}, r"pictures must be a tensor \[K, 8, 8\], got list"),
        ({"pictures": torch.rand(7, 8, 8)}, "pictures must be 1 to 6, got 7"),
        ({"pictures": torch.rand(3, 8, 8) * 2}, "pictures must be numbers from 0 to 1"),
        ({"pictures": torch.full((1, 8, 8), torch.nan)}, "pictures must be numbers from 0 to 1"),
        ({"net": {}}, "net must be one or more networks"),
        ({"net": {"old": lively()}}, "net must be one or more networks by their age"),
        ({"net": {"0": lively(), "1": lively(pixels=16)}}, "net must be networks for pictures of one size"),
        ({"bits": True}, "pictures must be numbers 0 or 1"),
        ({"bits": "yes"}, "bits must be True or False"),
        ({"show_steps": 0}, "show_steps must be"),
        ({"hidden": "random"}, "hidden must be"),
    ],
)
def test_other_arguments_are_refused(arguments, words):
    known = {"net": lively(), "pictures": torch.rand(3, 8, 8)}
    with pytest.raises(ValueError, match=words):
        painting.complete_in_page(**known | arguments)


def test_every_link_of_the_book_is_one_that_its_figure_follows():
    links = [
        settings
        for path in CHAPTERS
        if "complete_in_page(" in (text := path.read_text(encoding="utf-8"))
        for cell in json.loads(text)["cells"]
        for settings in re.findall(r'<a href="#painting:([^"]*)">', "".join(cell["source"]))
    ]
    everywhere = sum(path.read_text(encoding="utf-8").count("#painting:") for path in CHAPTERS)
    assert everywhere == len(links) >= 5
    script = "({ links, allowed }) => links.map((link) => readSettings(link, allowed))"
    ages = ("0", "25", "50", "100", "150", "200", "300", "400")
    allowed = painting.allowed_settings(3, ages)
    read = run_javascript(script, {"links": links, "allowed": allowed}, SOURCES)
    assert len(read) == len(links)


def test_bits_are_signs_and_errors_in_sign_are_counted():
    script = """({ picture, answer, hidden }) => {
      const wanted = signs(picture);
      return [wanted, hiddenRight(answer, wanted, hidden)];
    }"""
    given = {"picture": [0, 1, 1, 0], "answer": [-0.2, 0.1, -3, 0], "hidden": [False, True, True, True]}
    assert run_javascript(script, given, SOURCES) == [[-1, 1, 1, -1], 1]


def test_copies_of_several_ages_are_in_the_page():
    nets = {"0": lively(pixels=16), "400": lively(pixels=16)}
    live = painting.complete_in_page(nets, torch.rand(2, 4, 4).round(), bits=True)
    assert [each["age"] for each in live.data["networks"]] == ["0", "400"]
    assert live.data["settings"]["age"] == ["0", "400"]
    assert live.data["side"] == 4


def test_the_figure_holds_what_the_page_needs():
    live = painting.complete_in_page(lively(), torch.rand(2, 8, 8), caption="Draw.")
    page = html.unescape(live._repr_html_())
    assert 'data-name="painting"' in page
    assert live.data["settings"]["picture"] == ["1", "2"]
    assert len(page) < 120_000

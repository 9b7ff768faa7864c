"""The memory in the page is the definition's, and it knows what every link of the book asks for."""

import html
import json
import math
import re
from pathlib import Path

import pytest
import torch
from javascript import run_javascript

from bpa import network
from bpa.show import sheet, widgets

CHAPTERS = sorted((Path(__file__).parents[2] / "book" / "chapters").glob("*.ipynb"))
SOURCES = ("numbers.js", "network.js", "settings.js", "memory.js")

REMEMBER = """({ settings, stored, cues, readings }) => {
  const memory = new Memory(settings);
  stored.forEach((pattern) => memory.store(pattern));
  return {
    hebb: [...memory.hebb],
    arriving: cues.map((cue) => [...memory.arriving(cue)]),
    recalled: cues.map((cue) => [...memory.recall(cue, readings)]),
    overlaps: cues.map((cue) => stored.map((pattern) => overlap(cue, pattern))),
  };
}"""


def by_definition(rule: str, eta: float, clip: float, stored: torch.Tensor) -> torch.Tensor:
    """The matrix [N, N] after each pattern in turn, by the functions of bpa.network."""
    hebb = torch.zeros(1, stored.shape[1], stored.shape[1], dtype=torch.float64)
    for pattern in stored.double():
        pre = pattern[None]
        if rule == "hebb":
            hebb = network.clipped(hebb, eta * network.outer(pre, pre), clip)
        else:
            hebb = {"decay": network.decay, "oja": network.oja}[rule](
                torch.tensor([eta]).double(), pre, pre, hebb
            )
    return hebb[0]


@pytest.mark.parametrize(
    ("rule", "eta", "clip"),
    [("hebb", 1 / 64, 1e300), ("hebb", 0.1, 0.25), ("decay", 0.2, 1e300), ("oja", 0.2, 1e300)],
)
@pytest.mark.parametrize("readings", [1, 3])
def test_the_same_patterns_give_the_same_matrix_and_the_same_recall(rule, eta, clip, readings):
    stored = torch.stack([sheet.letter(name) for name in "OBIHU"] + [*sheet.random_patterns(3)[:4]])
    stored[3, 20:] = 0  # a part of an H: its unknown pixels are silent neurons
    cues = stored.clone()
    cues[:, 32:] = 0
    hebb = by_definition(rule, eta, clip, stored)
    answers = cues.double()
    for _ in range(readings):
        arriving = answers @ hebb
        silent = arriving.abs() < 1e-12
        answers = torch.where(cues == 0, arriving.sign() * ~silent, cues.double())
    settings = {"size": 64, "rule": rule, "eta": eta, "clip": clip}
    got = run_javascript(
        REMEMBER,
        {"settings": settings, "stored": stored.tolist(), "cues": cues.tolist(), "readings": readings},
        SOURCES,
    )
    assert torch.allclose(torch.tensor(got["hebb"]).double().view(64, 64), hebb, rtol=0, atol=1e-6)
    assert hebb.abs().max() > 0.04
    first = torch.tensor(got["arriving"]).double()
    assert torch.allclose(first, cues.double() @ hebb, rtol=0, atol=1e-6)
    assert torch.equal(torch.tensor(got["recalled"]).double(), answers)
    overlaps = cues.double() @ stored.double().T / 64
    assert torch.allclose(torch.tensor(got["overlaps"]).double(), overlaps, rtol=0, atol=1e-6)


def test_rules_and_readings_differ_where_they_must():
    """What the test above compares would prove little of rules that give the same."""
    stored = torch.stack([sheet.letter(name) for name in "OBIHU"])
    plain = by_definition("hebb", 0.2, math.inf, stored)
    assert torch.allclose(
        by_definition("decay", 0.2, math.inf, stored), by_definition("oja", 0.2, math.inf, stored)
    ), "of pixels that are all +1 or -1"
    stored[1, 32:] = 0
    matrices = [plain, by_definition("hebb", 0.2, 0.3, stored)]
    matrices += [by_definition(rule, 0.2, math.inf, stored) for rule in ("decay", "oja")]
    for k, one in enumerate(matrices):
        assert all(not torch.allclose(one, other, atol=0.01) for other in matrices[:k])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rule": "bcm"}, 'rule must be one of "hebb", "decay", "oja", got "bcm"'),
        ({"eta": 0}, "eta must be a number above 0, got 0"),
        ({"clip": None}, "clip must be a number above 0, got null"),
        ({"size": 3}, "pattern must have 3 numbers, got 4"),
    ],
)
def test_a_memory_refuses_what_it_does_not_know(settings, words):
    attempt = """(settings) => {
      try { new Memory(settings).store([1, -1, 1, 1]); } catch (error) { return error.message; }
      return "nothing";
    }"""
    known = {"size": 4, "rule": "hebb", "eta": 0.1, "clip": 1.0}
    assert run_javascript(attempt, known, SOURCES) == "nothing"
    assert run_javascript(attempt, known | settings, SOURCES) == words


READ = """({ links, allowed }) => links.map((link) => {
  try { return readSettings(link, allowed); } catch (error) { return error.message; }
})"""


def read_links(links: list[str]) -> list:
    return run_javascript(READ, {"links": links, "allowed": sheet.allowed_settings()}, SOURCES)


def test_a_link_is_read_whole_or_refused():
    links = [
        "letters=20",
        "rule=oja,eta=0.1,put=B",
        "letters=27",
        "speed=3",
        "letters",
        "letters=1=2",
        "eta=0.1,eta=0.2",
        "",
    ]
    read = read_links(links)
    assert read[:2] == [{"letters": "20"}, {"rule": "oja", "eta": "0.1", "put": "B"}]
    for message, words in zip(
        read[2:],
        [
            'letters must be one of "0", "1"',
            'a setting must be one of "kind", "letters"',
            'a setting must be name=value, got "letters"',
            'a setting must be name=value, got "letters=1=2"',
            "eta must be set once",
            "a setting must be name=value",
        ],
        strict=True,
    ):
        assert message.startswith(words), message


def book_links() -> list[tuple[str, str]]:
    """Chapter and settings of every link in the book that drives the sheet."""
    return [
        (path.stem, settings)
        for path in CHAPTERS
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "markdown"
        for settings in re.findall(r'<a href="#sheet:([^"]*)">', "".join(cell["source"]))
    ]


def test_every_link_of_the_book_is_one_that_the_sheet_follows():
    found = book_links()
    assert len(found) >= 5
    for (chapter, link), read in zip(found, read_links([link for _, link in found]), strict=True):
        assert isinstance(read, dict), f"{chapter}: {link}: {read}"
        # What a link leaves out stays as the link before it, or the reader, has set it.
        assert {"kind", "letters", "rule", "put", "cue", "recall"} <= {*read}, f"{chapter}: {link}"
        assert "eta" in read or read["rule"] == "plain", f"{chapter}: {link}"  # there it is a scale


def test_a_chapter_with_such_a_link_has_the_sheet():
    for chapter in {chapter for chapter, _ in book_links()}:
        (path,) = [path for path in CHAPTERS if path.stem == chapter]
        assert "plastic_sheet(" in path.read_text(encoding="utf-8"), chapter


def test_letters_are_different_and_each_has_ink():
    patterns = torch.stack([sheet.letter(name) for name in sheet.LETTERS])
    assert patterns.shape == (26, 64)
    assert patterns.unique(dim=0).shape == patterns.shape
    assert ((patterns == 1).sum(1) > 10).all()


@pytest.mark.parametrize("letters", ["O", "", "ob", "OB1", "OBO", 5, ["O", "B"]])
def test_other_letters_are_refused(letters):
    with pytest.raises(ValueError, match="letters must be"):
        sheet.plastic_sheet(letters)


def test_an_unknown_letter_is_refused():
    with pytest.raises(ValueError, match="name must be a letter from A to Z, got 'ß'"):
        sheet.letter("ß")


def test_the_figure_holds_what_the_page_needs():
    live = sheet.plastic_sheet("XLSA", caption="Draw.")
    page = html.unescape(live._repr_html_())
    assert 'data-name="sheet"' in page
    assert "Draw." in page
    assert len(page) < 100_000
    names = [name for name, _ in live.data["patterns"]["letters"]]
    assert names[:6] == ["X", "L", "S", "A", "B", "C"]
    assert sorted(names) == sorted(sheet.LETTERS)
    assert {rule for _, rule, _ in sheet.RULES.values()} == set(widgets.SCRIPTED_RULES)
    assert [float(text) for text in live.data["settings"]["bound"]] == list(sheet.BOUNDS)

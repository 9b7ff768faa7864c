"""What the page shows of an agent that walks: its policy, its value, and what the ideal agent would know."""

import re

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM, run_javascript
from playwright.sync_api import expect
from test_widgets import lively

from bpa import LSTM, Network, load
from bpa.envs.baselines import expected_reward
from bpa.experiments.decode import load_goal_decoder
from bpa.show import widgets

SOURCES = ("maze.js", "network.js", "numbers.js", "belief.js", "lab.js", "mind.js")

FORESEE = """({ settings, network, parameters, deeds }) => {
  const lab = new Laboratory(settings, network, parameters);
  lab.begin(4);
  const { subject } = lab;
  const plain = (part) => (part && part.fill ? [...part] : part);
  const state = () => JSON.stringify(Object.values(subject.network.state).map(plain));
  const operate = (from) => {
    for (const [time, ...deed] of deeds) if (time === lab.time && time > from) lab.do(...deed);
  };
  const seen = [];
  let same = true;
  while (!lab.done) {
    operate(0);
    const before = state();
    const { logits, value } = foresee(subject.network, subject.observation);
    same = same && before === state();
    const step = subject.network.step.bind(subject.network);
    let then;
    subject.network.step = (x) => { then = step(x); return then; };
    lab.step();
    subject.network.step = step;
    seen.push([[...logits, value], [...then.logits, then.value]]);
  }
  const [values, knows] = [[...subject.values], [...subject.ideal.pairs]];
  lab.goTo(50);
  const back = [subject.values.length, subject.values.every((value, k) => value === values[k])];
  while (!lab.done) {
    operate(50);
    lab.step();
  }
  const again = JSON.stringify(knows) === JSON.stringify([...subject.ideal.pairs]);
  return { same, seen, values, back, again };
}"""


@pytest.mark.parametrize(
    ("cell", "settings"),
    [(Network, {"plasticity": kind}) for kind in ("none", "plastic", "simple", "retroactive")]
    + [(LSTM, {"plasticity": "none"}), (LSTM, {"plasticity": "simple"})],
)
def test_what_it_is_about_to_do_is_what_it_does_and_looking_changes_nothing(cell, settings):
    net = lively(cell(17, 13, 4, generator=torch.Generator().manual_seed(5), **settings), seed=6)
    plastic = settings["plasticity"] != "none"
    deeds = [[20, "frozen", True], [40, "frozen", False], [40, "traces", False], [60, "wipe", "hebb"]]
    given = {
        "settings": widgets.maze_settings(7, 100, 10.0, 0.0),
        "network": widgets.network_settings(net),
        "parameters": widgets.network_parameters(net),
        "deeds": [*(deeds if plastic else []), [70, "wipe", "h"], [80, "goal", 3], [90, "agent", 8]],
    }
    got = run_javascript(FORESEE, given, SOURCES)
    assert got["same"]
    foreseen, done = torch.tensor(got["seen"], dtype=torch.float64).unbind(1)
    assert torch.equal(foreseen, done)
    assert done.std(0).min() > 1e-3, "it does not always do the same"
    assert got["values"] == done[:, -1].tolist()
    assert got["back"] == [50, True]
    assert got["again"]


TICKS = "(ranges) => ranges.map(([low, high]) => roundTicks(low, high))"


def test_lines_of_a_picture_stand_at_round_numbers():
    ranges = [[0, 10], [0, 19.6], [0, 0.031], [-2.5, 10], [-300, 1]]
    assert run_javascript(TICKS, ranges, ("mind.js",)) == [
        [0, 2, 4, 6, 8, 10],
        [0, 5, 10, 15],
        [0, 0.01, 0.02, 0.03],
        [-2, 0, 2, 4, 6, 8, 10],
        [-300, -200, -100, 0],
    ]


def test_no_zero_has_a_sign():
    numbers = [[-0.004, 2], [-0.0, 0], [-0.4, 0], [-0.04, 1], [-0.05, 2], [10, 1], [-10, 2], [-0.001, 3]]
    got = run_javascript("(given) => given.map((each) => fixed(...each))", numbers, ("numbers.js",))
    assert got == ["0.00", "0", "0", "0.0", "-0.05", "10.0", "-10.00", "-0.001"]


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


pages = [
    pytest.mark.pages,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM)"),
]


def browsed(test):
    """A test that drives a real browser."""
    for mark in pages:
        test = mark(test)
    return test


@browsed
def test_policy_value_and_knowledge_are_shown_before_every_step(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=7), 390)
    figure = page.frames[1]
    frame.locator("#step").click()
    assert figure.evaluate("network.aside") is None, "it is computed only where it is seen"
    frame.locator("#mind summary").click()
    expect(frame.locator("#policy")).to_be_visible()

    def live(until):
        figure.evaluate(f"while (lab.time < {until}) act(); draw()")

    def policy():
        texts = [reading(frame, f"policy-{action}") for action in range(4)]
        assert all(re.fullmatch(r"\d+ %", text) for text in texts)
        return [int(text[:-2]) for text in texts]

    def canvas(name):
        return frame.locator(name).evaluate("canvas => canvas.toDataURL()")

    names = frame.locator("#policy th").all_text_contents()
    assert names == ["up", "down", "left", "right"]
    moves = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}
    certain = 0
    for _ in range(12):
        chances = policy()
        assert 98 <= sum(chances) <= 102
        before = figure.evaluate("maze.agent")
        frame.locator("#step").click()
        after = figure.evaluate("maze.agent")
        if max(chances) > 98 and reading(frame, "gaps") == "none yet":
            certain += 1
            down, right = moves[chances.index(max(chances))]
            assert after == [before[0] + down, before[1] + right]
    assert certain > 6
    assert reading(frame, "knows") == "its own place: 1 of 65 cells; its goal: 51 of 65 cells"
    low = float(reading(frame, "value"))
    live(27)  # the goal is found, and it is put somewhere else
    assert reading(frame, "gaps") == "27"
    place = int(re.match(r"its own place: (\d+) of", reading(frame, "knows"))[1])
    assert reading(frame, "knows").endswith("its goal: 1 of 65 cells")
    assert place > 1
    assert float(reading(frame, "value")) > 2 * low
    label = frame.locator("#values").get_attribute("aria-label")
    assert label.endswith(f"now {reading(frame, 'value')}, after 1 reward.")
    seen = canvas("#maze")
    frame.locator("#known").uncheck()
    assert canvas("#maze") != seen
    live(62)
    sure = policy(), canvas("#values")
    frame.locator("#laboratory > summary").click()
    frame.locator("#wipe-hebb").click()
    assert (policy(), canvas("#values")) != sure, "what was done shows before the next step"
    live(200)
    assert [reading(frame, f"policy-{action}") for action in range(4)] == ["–"] * 4
    frame.locator("#back").click()
    assert sum(policy()) > 97


@browsed
def test_the_ideal_agent_is_told_of_the_readers_hand_but_not_where_to(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=7))
    page.frames[1].evaluate("while (lab.time < 60) act(); draw()")
    frame.locator("#mind summary").click()
    frame.locator("#laboratory > summary").click()
    frame.locator("#move-goal").click()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    goals = int(re.search(r"its goal: (\d+) of 65", reading(frame, "knows"))[1])
    assert goals >= 64
    told = reading(frame, "knows")
    for _ in range(5):  # one step need not tell it anything
        frame.locator("#step").click()
    assert reading(frame, "knows") != told
    for _ in range(5):
        frame.locator("#back").click()
    assert reading(frame, "knows") == told
    frame.locator("#back").click()  # before it was done
    assert reading(frame, "knows").endswith("its goal: 1 of 65 cells")


@browsed
def test_a_tally_says_what_share_of_the_ideal_agents_reward_it_is(opened):
    _, frame = opened(widgets.watch_agent(load("maze-11"), seed=7))
    frame.locator("#many").click()
    expect(frame.locator("#with")).to_contain_text("in 20 episodes")
    mean, share = re.match(
        r"mean reward ([\d.]+) ± [\d.]+ in 20 episodes, (\d+) % of", reading(frame, "with")
    ).groups()
    ideal = expected_reward("ideal", 11, 200)
    assert int(share) == pytest.approx(100 * float(mean) / ideal, abs=0.6)
    assert 85 < int(share) < 105
    assert f" {ideal:.1f} an episode," in reading(frame, "ideal")


@browsed
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_fold_fits_and_has_no_barrier(opened, width, theme):
    live = widgets.watch_agent(load("maze-11"), seed=3, decoder=load_goal_decoder("maze-11"))
    page, frame = opened(live, width, theme)
    shut = page.locator("iframe").evaluate("e => e.offsetHeight")
    frame.locator("#mind summary").press("Enter")
    page.frames[1].evaluate("while (lab.time < 60) act(); draw()")
    page.wait_for_timeout(300)
    assert page.locator("iframe").evaluate("e => e.offsetHeight") > shut + 250
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert frame.locator("html").evaluate(fits) == [0, 0]
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    assert [(rule["id"], rule["nodes"]) for rule in report] == []


@browsed
def test_an_agent_whose_ideal_score_nobody_knows_has_no_share(opened):
    net = Network(17, 6, 4, generator=torch.Generator().manual_seed(0))
    _, frame = opened(widgets.watch_agent(net, size=19, episode_length=10, seed=1))
    frame.locator("#many").click()
    expect(frame.locator("#with")).to_contain_text("in 20 episodes")
    assert "%" not in reading(frame, "with")
    frame.locator("#mind summary").click()
    expect(frame.locator("#knows")).to_have_text(re.compile("of 225 cells"))

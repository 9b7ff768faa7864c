"""The laboratory of the page: an episode that is operated on is the same one in Python."""

import itertools
import re

import pytest
import torch
from javascript import run_javascript
from test_widgets import lively

from bpa import LSTM, GridMaze, Network, load
from bpa.experiments.decode import load_goal_decoder
from bpa.show import widgets
from bpa.training.rollout import sample

SOURCES = ("maze.js", "network.js", "numbers.js", "belief.js", "lab.js")
T = 120
LEVERS = {"traces": True, "frozen": False, "forced": None}

OPERATE = """({ settings, network, parameters, seed, deeds, back }) => {
  const lab = new Laboratory(settings, network, parameters);
  lab.begin(seed);
  const seen = [];
  const todo = [...deeds];
  while (!lab.done) {
    while (todo.length && todo[0][0] === lab.time) lab.do(...todo.shift().slice(1));
    const { reward } = lab.step();
    seen.push({ reward, agent: lab.subject.maze.agent, h: [...lab.subject.network.h] });
  }
  const { noise, kind } = lab;
  const { foreign } = lab.subject;
  const { other } = lab;
  const donor = other && { noise: other.noise, steps: other.maze.time, rewards: other.rewardSteps };
  const ended = [lab.subject.score, [...lab.subject.network.h], lab.deeds];
  const twin = lab.leftAlone().path.map(({ to }) => to);
  for (const step of back) lab.goTo(step);
  const then = [lab.time, [...lab.subject.network.h], lab.deeds, lab.leftAlone().path.length];
  while (!lab.done) lab.step();
  return { noise, kind, foreign, donor, seen, ended, twin, then,
           again: [lab.subject.score, [...lab.subject.network.h]] };
}"""


def operated(net, seed, deeds, back=(), size=7):
    """What the page's laboratory lives, and where it is after going back to the steps `back`."""
    given = {
        "settings": widgets.maze_settings(size, T, 10.0, 0.0),
        "network": widgets.network_settings(net),
        "parameters": widgets.network_parameters(net),
        "seed": seed,
        "deeds": deeds,
        "back": list(back),
    }
    return run_javascript(OPERATE, given, SOURCES)


def numbers(values):
    return torch.tensor(values, dtype=torch.float32)


class Subject:
    """An agent that is operated on, by the definition, in double precision."""

    def __init__(self, net, noise, donor=None, size=7):
        self.net, self.noise, self.donor = net, noise, donor
        self.maze = GridMaze(size, 1, T)
        self.observation = self.maze.reset(numbers([noise["goal"]]))
        self.hidden = net.initial_state(1)
        self.levers = dict(LEVERS)

    def do(self, name, value):
        if name in LEVERS:
            self.levers[name] = value
        elif name == "agent":
            self.maze.agent = self.maze.free_cells[[value]]
            self.observation = self.maze.observation()
        elif name == "goal":
            self.maze.goal_index = torch.tensor([value])
            self.maze.goal = self.maze.free_cells[[value]]
        elif name == "wipe":
            self.take(value, self.net.initial_state(1))
        else:
            what, whose = value.split()
            noise, steps = (
                (self.noise, self.maze.time)
                if whose == "twin"
                else (self.donor["noise"], self.donor["steps"])
            )
            giver = Subject(self.net, noise)
            giver.live([], steps)
            self.take(what, giver.hidden)
            self.foreign = giver.maze.goal[0].tolist()

    def take(self, what, state):
        """The traces, or the activity, of another state."""
        names = ("hebb", "eligibility") if what == "hebb" else ("h", "cell")
        parts = {name: getattr(state, name, None) for name in names}
        self.hidden = self.hidden._replace(**{name: part for name, part in parts.items() if part is not None})

    def parameters(self):
        """Those of this step: alpha counts as 0 without the traces, a forced M(t) is all bias."""
        changed = {name: parameter.detach().clone() for name, parameter in self.net.named_parameters()}
        if not self.levers["traces"]:
            changed["alpha"].zero_()
        if (forced := self.levers["forced"]) is not None:
            changed["h2mod.weight"].zero_()
            changed["h2mod.bias"].fill_(50 * forced)  # tanh of it is -1, 0 or 1
        return changed

    @torch.no_grad()
    def step(self):
        """One step; its reward."""
        t, before = self.maze.time, self.hidden
        given = self.observation.double(), before
        logits, _, self.hidden = torch.func.functional_call(self.net, self.parameters(), given)
        if self.levers["frozen"]:
            traces = {name: getattr(before, name) for name in ("hebb", "eligibility")}
            self.hidden = self.hidden._replace(**traces)
        action = sample(logits, numbers([self.noise["action"][t]]))
        self.observation, reward, _ = self.maze.step(action, numbers([self.noise["teleport"][t]]))
        return reward.item()

    def live(self, deeds, steps=T):
        """Reward, place and activity at each step, with these deeds on the way."""
        seen = []
        for t in range(steps):
            for _, *deed in [deed for deed in deeds if deed[0] == t]:
                self.do(*deed)
            reward = self.step()
            seen.append((reward, self.maze.agent[0].tolist(), self.hidden.h[0]))
        return seen


def assert_same(net, got, deeds):
    """What the page lived is what the definition lives."""
    subject = Subject(net.double(), got["noise"], got["donor"])
    want = subject.live(deeds)
    assert [step["agent"] for step in got["seen"]] == [place for _, place, _ in want]
    assert [step["reward"] for step in got["seen"]] == [reward for reward, _, _ in want]
    ours = torch.tensor([step["h"] for step in got["seen"]], dtype=torch.float64)
    torch.testing.assert_close(ours, torch.stack([h for *_, h in want]), rtol=0, atol=1e-5)
    assert got["ended"][0] == sum(reward for reward, _, _ in want)
    if got["foreign"] is not None:
        assert got["foreign"]["goal"] == subject.foreign
    return want


def agent(cell=Network, **settings):
    return lively(cell(17, 13, 4, generator=torch.Generator().manual_seed(5), **settings), seed=6)


OPERATIONS = [
    ([], "with"),
    ([[0, "traces", False]], "without"),
    ([[30, "traces", False], [60, "traces", True]], "operated"),
    ([[0, "frozen", True]], "operated"),
    ([[20, "frozen", True], [50, "wipe", "hebb"], [70, "frozen", False]], "operated"),
    ([[60, "give", "hebb donor"]], "operated"),
    ([[40, "frozen", True], [70, "give", "hebb twin"], [90, "give", "h donor"]], "operated"),
    ([[20, "goal", 0], [50, "agent", 9], [90, "goal", 1]], "operated"),
    ([[10, "forced", -1], [40, "wipe", "h"], [40, "wipe", "hebb"], [60, "forced", None]], "operated"),
]


@pytest.mark.parametrize(("deeds", "kind"), OPERATIONS)
@pytest.mark.parametrize("plasticity", ["simple", "retroactive"])
def test_an_operation_in_the_page_is_the_same_one_in_python(deeds, kind, plasticity):
    net = agent(plasticity=plasticity)
    got = operated(net, 3, deeds, back=[100, 55, 31])
    assert got["kind"] == kind
    assert got["ended"][2] == deeds
    want = assert_same(net, got, deeds)
    if deeds:
        untouched = operated(net, 3, [])
        assert [step["h"] for step in untouched["seen"]] != [step["h"] for step in got["seen"]]
        assert untouched["twin"] == got["twin"], "left alone is left alone"
    step, h, left, twins_steps = got["then"]  # gone back, with what had been done until then
    assert twins_steps == step, "who is left alone goes back too"
    assert (step, left) == (31, [deed for deed in deeds if deed[0] <= 31])
    torch.testing.assert_close(torch.tensor(h, dtype=torch.float64), want[30][2], rtol=0, atol=1e-5)
    if not [deed for deed in deeds if deed[0] > 31]:
        assert got["again"] == got["ended"][:2]


PUT = """({ settings, moves }) => {
  const life = new Life(settings.maze, settings.network, settings.parameters);
  life.begin(episodeNoise(1, settings.maze.episodeLength));
  return moves.map(([what, index]) => {
    try { life.put(what, index); return life.maze[what]; } catch (error) { return error.message; }
  });
}"""


def test_the_hand_puts_nothing_into_a_wall_nor_the_goal_on_the_agent():
    net = agent(plasticity="none")
    settings = {
        "maze": widgets.maze_settings(7, T, 10.0, 0.0),
        "network": widgets.network_settings(net),
        "parameters": widgets.network_parameters(net),
    }
    cells = GridMaze(7, 1, T).free_cells.tolist()
    centre = cells.index([3, 3])
    moves = [
        ["goal", 2],
        ["agent", 2],
        ["goal", centre],
        ["agent", 5],
        ["goal", centre],
        ["goal", 99],
        ["agent", -1],
    ]
    got = run_javascript(PUT, {"settings": settings, "moves": moves}, SOURCES)
    refused = [f"{what} cannot be put on the cell of index {index}" for what, index in moves]
    assert got == [cells[2], refused[1], refused[2], cells[5], cells[centre], *refused[5:]]


@pytest.mark.parametrize("cell", [Network, LSTM])
def test_activity_is_wiped_with_the_cell_of_an_lstm(cell):
    net = agent(cell, plasticity="none")
    deeds = [[40, "wipe", "h"]]
    assert_same(net, operated(net, 1, deeds), deeds)


@pytest.mark.parametrize(("gift", "follows"), [("hebb donor", True), ("h donor", False)])
def test_traces_of_a_donor_take_a_trained_agent_to_its_goal_and_its_activity_does_not(gift, follows):
    """The same as Chapter 12 says of its pairs."""
    got = operated(load("maze-11"), 7, [[80, "give", gift]], size=11)
    donor, foreign = got["donor"], got["foreign"]
    assert donor["steps"] == 100
    assert donor["rewards"]
    assert foreign["since"] == 80
    places = [[row, column] for row, column in (step["agent"] for step in got["seen"])]
    cells = GridMaze(11, 1, T)
    cells.reset(numbers([got["noise"]["goal"]]))
    assert foreign["goal"] != cells.goal[0].tolist()
    arrivals = [
        t
        for t in range(80, T)
        if places[t] == foreign["goal"] and places[t - 1] != foreign["goal"] and not got["seen"][t]["reward"]
    ]
    assert foreign["visits"] == len(arrivals)
    earned = sum(step["reward"] > 0 for step in got["seen"][80:])
    before = sum(step["reward"] > 0 for step in got["seen"][40:80])
    assert before >= 3
    assert (foreign["visits"] > 3 > earned) if follows else (foreign["visits"] < 2 < earned)


LINKS = """({ lives, texts }) => ({
  written: lives.map((life) => writeLink(life, life.network)),
  read: lives.map((life) => readLink(writeLink(life, life.network), 200, 65, 12)),
  others: texts.map((text) => readLink(text, 200, 65, 12)),
})"""


def test_a_moment_of_an_episode_is_told_in_a_link_and_nothing_else_is_taken_for_one():
    deeds = [
        [0, "traces", False],
        [3, "forced", -1],
        [3, "forced", None],
        [9, "frozen", True],
        [10, "goal", 64],
    ]
    deeds += [[10, "agent", 0], [40, "wipe", "hebb"], [99, "give", "h twin"], [100, "give", "hebb donor"]]
    lives = [{"seed": 2**32 - 1, "time": 100, "network": 0, "deeds": deeds}]
    lives += [{"seed": 0, "time": 0, "network": network, "deeds": deeds[:0]} for network in (0, 3)]
    lives += [{"seed": 1, "time": 9, "network": 11, "deeds": deeds[:4]}]
    texts = [
        "",
        "agent",
        "1",
        "4294967296-3",
        "1-201",
        "1-9-n12",
        "1-9-n-1",
        "1-9-3_wipe_h-n1",
        "1-9-3_goal_65",
        "1-9-3_wipe_w",
    ]
    texts += [
        "1-9-10_wipe_h",
        "1-9-4_wipe_h-3_wipe_h",
        "1-9-3_constructor_name",
        "1-9-",
    ]
    texts += ["1-9-3_traces_toString", "agent-1-9", "1-9-3_goal_m1"]
    got = run_javascript(LINKS, {"lives": lives, "texts": texts}, SOURCES)
    assert got["read"] == lives
    assert all(re.fullmatch(r"[\w-]+", link) for link in got["written"])
    assert got["written"][1:] == [
        "0-0",
        "0-0-n3",
        "1-9-n11-0_traces_off-3_forced_m1-3_forced_own-9_frozen_on",
    ]
    assert got["others"] == [None] * len(texts)


DONORS = """(settings) => {
  const lab = new Laboratory(settings.maze, settings.network, settings.parameters);
  return Array.from({ length: 60 }, (_, seed) => {
    lab.begin(seed);
    while (lab.time < 20) lab.step();
    return [lab.subject.maze.goalIndex, lab.donor().maze.goalIndex, lab.other.rewardSteps.length];
  });
}"""


def test_a_donor_has_found_another_goal():
    """In the smallest maze one goal in eight would be the same by chance."""
    net = agent(plasticity="simple")
    settings = {
        "maze": widgets.maze_settings(5, T, 10.0, 0.0),
        "network": widgets.network_settings(net),
        "parameters": widgets.network_parameters(net),
    }
    for own, donors, rewards in run_javascript(DONORS, settings, SOURCES):
        assert own != donors
        assert rewards > 0


READ = """({ decoder, h }) => h.map((h) => readGoal(decoder, { h }))"""


def test_the_goal_is_read_in_the_page_as_in_python():
    decoder = load_goal_decoder("maze-11")
    h = torch.rand(5, 100, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    told = {"weight": decoder.weight.tolist(), "bias": decoder.bias.tolist()}
    got = run_javascript(READ, {"decoder": told, "h": h.tolist()}, SOURCES)
    torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), decoder.read(h))
    with pytest.raises(ValueError, match=r"decoder must read 13 neurons, got weights of shape \(2, 100\)"):
        widgets.watch_agent(agent(plasticity="none"), decoder=decoder)


def test_a_lever_put_back_in_the_same_moment_was_never_moved():
    moves = [[5, "frozen", True], [5, "frozen", False], [9, "forced", 1], [9, "forced", 0], [20, "forced", 0]]
    got = operated(agent(plasticity="simple"), 3, moves)
    assert got["ended"][2] == [[9, "forced", 0]]


def test_noise_goes_by_the_seed_alone():
    net = agent(plasticity="simple")
    one, same, other = (operated(net, seed, []) for seed in (7, 7, 8))
    assert one == same
    assert one["noise"] != other["noise"]
    taken = list(itertools.chain(one["noise"]["action"], one["noise"]["teleport"]))
    assert len(set(taken)) == 2 * T

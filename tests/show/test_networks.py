"""Several networks in one figure of the page: each lives the same episode, and what arrives is checked."""

import numpy as np
import pytest
import torch
from javascript import run_javascript
from test_lab import Subject, T, agent

from bpa import LSTM, Network
from bpa.show import widgets
from bpa.show.learner import learner_laboratory, train_in_page

SOURCES = ("maze.js", "network.js", "networks.js", "numbers.js", "belief.js", "lab.js")
CELLS = {
    "none": (Network, {"plasticity": "none"}),
    "plastic": (Network, {"plasticity": "plastic"}),
    "simple": (Network, {"plasticity": "simple"}),
    "retroactive": (Network, {"plasticity": "retroactive"}),
    "LSTM": (LSTM, {"plasticity": "none"}),
}


def five():
    return {name: agent(cell, **settings) for name, (cell, settings) in CELLS.items()}


def halved(net):
    """The network with its weights rounded to float16."""
    net.load_state_dict({name: tensor.half().float() for name, tensor in net.state_dict().items()})
    return net


BECOME = """({ maze, told, seed, deeds, order }) => {
  const networks = new Networks(told, order[0]);
  const lab = new Laboratory(maze, networks.now.settings, networks.now.parameters);
  lab.begin(seed);
  for (const deed of deeds) {
    while (lab.time < deed[0]) lab.step();
    lab.do(...deed.slice(1));
  }
  while (!lab.done) lab.step();
  return order.map((index) => {
    networks.index = index;
    lab.become(networks.now.settings, networks.now.parameters);
    const { foreign, score, network } = lab.subject;
    return {
      noise: lab.noise, kind: lab.kind, deeds: lab.deeds, time: lab.time, foreign, score, h: [...network.h],
      donor: lab.other && { noise: lab.other.noise, steps: lab.other.maze.time }, twin: lab.leftAlone().score,
      levers: lab.levers,
    };
  });
}"""


def lived(nets, deeds, order, seed=3):
    told = [widgets.named_network(name, net, halves=True) for name, net in nets.items()]
    maze = widgets.maze_settings(7, T, 10.0, 0.0)
    return run_javascript(
        BECOME, {"maze": maze, "told": told, "seed": seed, "deeds": deeds, "order": order}, SOURCES
    )


DEEDS = [
    [0, "frozen", True],
    [30, "give", "hebb donor"],
    [50, "frozen", False],
    [60, "forced", -1],
    [80, "wipe", "h"],
]


@pytest.mark.parametrize(
    "deeds",
    [[], DEEDS, [[0, "traces", False]], [[60, "forced", -1]], [[40, "give", "h donor"], [90, "goal", 1]]],
)
def test_every_network_lives_the_same_episode_and_the_same_is_done_to_it(deeds):
    nets = five()
    order = [0, 1, 2, 3, 4, 1]
    got = lived(nets, deeds, order)
    names = list(nets)
    for index, there in zip(order, got, strict=True):
        net, name = halved(nets[names[index]]), names[index]
        assert there["noise"] == got[0]["noise"]
        assert (there["time"], there["deeds"]) == (T, deeds), "what was done is kept, felt or not"
        traces, modulated = name not in ("none", "LSTM"), name in ("simple", "retroactive")
        felt = [
            [time, what, value]
            for time, what, value in deeds
            if (traces or not (what in ("traces", "frozen") or str(value).startswith("hebb")))
            and (modulated or what != "forced")
        ]
        as_definition(net, there, felt)
        silenced = bool(felt) and felt == [[0, "traces", False]]
        assert there["kind"] == ("without" if silenced else "operated" if felt else "with")
        if not felt:
            assert there["twin"] == there["score"]
    assert got[1] == got[5], "it is the same again"
    assert len({there["score"] for there in got}) > 1


def as_definition(net, got, deeds):
    subject = Subject(net.double(), got["noise"], got["donor"])
    want = subject.live(deeds)
    assert got["score"] == sum(reward for reward, _, _ in want)
    torch.testing.assert_close(torch.tensor(got["h"], dtype=torch.float64), want[-1][2], rtol=0, atol=1e-5)
    if got["foreign"] is not None:
        assert got["foreign"]["goal"] == subject.foreign
    net.float()


def test_a_half_is_read_as_numpy_writes_it():
    values = np.concatenate(
        [
            np.random.default_rng(0).normal(size=200),
            [0.0, -0.0, 6e-8, -3e-5, 6e-5, 65504.0, -65504.0, 2.0**-14],
        ]
    ).astype("<f2")
    got = run_javascript("(text) => [...decodeHalves(text)]", widgets.encode(values.tobytes()), SOURCES)
    assert got == values.astype(float).tolist()
    assert (values[200:205] != 0).sum() == 3, "numbers below the smallest normal one are among them"


ARRIVE = """({ maze, network, parameters, change }) => {
  const good = () => ({
    name: "plastic, Hebb's rule, 850 iterations, seed 0", maze: { ...maze }, settings: { ...network },
    parameters: Object.fromEntries(Object.entries(parameters).map(([k, text]) => [k, decodeFloats(text)])),
  });
  const sent = good();
  const changed = new Function("sent", change)(sent);
  try {
    const { name, settings, parameters } = readArrival(changed === undefined ? sent : changed, maze);
    const alike = Object.entries(parameters).every(([part, numbers]) =>
      numbers !== sent.parameters[part] && numbers.every((number, k) => number === sent.parameters[part][k]));
    return { name, settings, alike };
  } catch (error) {
    return error.message;
  }
}"""


def arrived(change, plasticity="simple"):
    net = agent(plasticity=plasticity)
    given = {
        "maze": widgets.maze_settings(7, T, 10.0, 0.0),
        "network": widgets.network_settings(net),
        "parameters": widgets.network_parameters(net),
        "change": change,
    }
    return run_javascript(ARRIVE, given, SOURCES), given


def test_a_network_that_arrives_is_copied():
    got, given = arrived("")
    assert got == {
        "name": "plastic, Hebb's rule, 850 iterations, seed 0",
        "settings": given["network"],
        "alike": True,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("return null", "what arrives must be an object"),
        ("return 'network'", "what arrives must be an object"),
        ("return [sent]", "what arrives must be an object"),
        ("sent.more = 1", "what arrives must have maze, name, parameters, settings, got maze, more, name"),
        ("delete sent.maze", "what arrives must have maze, name, parameters, settings, got name"),
        ("sent.name = '<b>bold</b>'", "a name must be 1 to 100 letters"),
        ("sent.name = 'x'.repeat(101)", "a name must be 1 to 100 letters"),
        ("sent.name = { toString: () => 'x' }", "a name must be 1 to 100 letters"),
        ("sent.maze.size = 11", "size of the maze must be 7, got 11"),
        ("sent.maze.episodeLength = 1e9", "episodeLength of the maze must be 120"),
        ("sent.maze = null", "maze must be an object"),
        ("sent.settings.rule = 'mine'", 'rule must be one of "hebb", "decay", "oja", got "mine"'),
        ("sent.settings.cell = 'gru'", "cell must be one of"),
        ("sent.settings.modulator = 'constructor'", "modulator must be one of"),
        ("sent.settings.inputSize = 18", "inputSize must be one of 17, got 18"),
        ("sent.settings.numActions = 5", "numActions must be one of 4, got 5"),
        ("sent.settings.hiddenSize = 1e6", "hiddenSize must be 1 to 256"),
        ("sent.settings.hiddenSize = '13'", "hiddenSize must be 1 to 256"),
        ("sent.settings.clip = NaN", "clip must be a number above 0"),
        ("sent.settings.clip = '2'", "clip must be a number above 0"),
        ("sent.settings.fanout = 1", "fanout must be one of true, false, got 1"),
        ("sent.settings.fanout = false", "parameters must have"),
        ("sent.settings.plasticity = 'none'", "parameters must have"),
        ("sent.settings.extra = 1", "settings must have"),
        ("delete sent.parameters.w", "parameters must have"),
        ("sent.parameters.w = [...sent.parameters.w]", "w must be finite numbers"),
        ("sent.parameters.w = 'AAAA'", "w must be finite numbers"),
        ("sent.parameters.alpha[7] = NaN", "alpha must be finite numbers"),
        ("sent.parameters['h2o.bias'] = new Float64Array(5)", "h2o.bias must have 4 numbers, got 5"),
        ("sent.settings.rule = 'oja'", 'rule "oja" needs plasticity "plastic"'),
    ],
)  # fmt: skip
def test_what_is_no_network_of_this_maze_is_refused(change, message):
    got, _ = arrived(change)
    assert isinstance(got, str), got
    assert message in got


KEEP = """({ told, more }) => {
  const networks = new Networks(told, 1);
  const { settings, parameters } = networks.now;
  return more.map((name) => {
    const index = networks.add({ name, settings, parameters });
    return [index, networks.all.map((each) => each.name), networks.now.name];
  });
}"""


def test_those_that_came_with_the_figure_stay_and_the_last_four_that_arrived():
    told = [widgets.named_network(name, agent(plasticity="simple")) for name in ("a", "b")]
    got = run_javascript(KEEP, {"told": told, "more": ["c", "d", "c", "e", "f", "g"]}, SOURCES)
    assert [names for _, names, _ in got] == [
        ["a", "b", "c"],
        ["a", "b", "c", "d"],
        ["a", "b", "d", "c"],
        ["a", "b", "d", "c", "e"],
        ["a", "b", "d", "c", "e", "f"],
        ["a", "b", "c", "e", "f", "g"],
    ]
    assert all(index == len(names) - 1 for index, names, _ in got)
    assert {chosen for *_, chosen in got} == {"b"}


def test_a_network_by_itself_is_not_rounded_and_one_of_several_is():
    net = agent(plasticity="simple")
    (alone,) = widgets.watch_agent(net).data["networks"]
    one, other = widgets.watch_agent({"a": net, "b": agent(LSTM)}, chosen="b").data["networks"]
    assert alone["parameters"] == widgets.network_parameters(net)
    assert not alone["halves"]
    assert one["halves"]
    assert other["halves"]
    assert len(one["parameters"]["w"]) < 0.6 * len(alone["parameters"]["w"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"net": {}}, "net must have at least one network, got none"),
        ({"chosen": "c"}, "chosen must be one of 'a', 'b', got 'c'"),
        ({"decoder": {"c": None}}, "decoder must be a mapping of some of the names, a, b"),
        ({"legend": ""}, "legend"),
        ({"slider": True, "receives": True}, "slider must be False where networks are received"),
        ({"net": {"a": Network(5, 3, 4)}}, "17 inputs and 4 actions, got 5 and 4"),
    ],
)
def test_a_figure_of_several_networks_refuses_what_does_not_fit(arguments, message):
    given = {"net": {name: agent(plasticity="none") for name in "ab"}} | arguments
    with pytest.raises(ValueError, match=message):
        widgets.watch_agent(**given)


def test_a_weight_too_large_for_a_half_is_refused():
    net = agent(plasticity="none")
    with torch.no_grad():
        net.w[0, 0] = 1e5
    widgets.watch_agent(net)
    with pytest.raises(
        ValueError, match="net must have weights below 65504 to be one of several, got larger ones in 'a'"
    ):
        widgets.watch_agent({"a": net})


def test_the_laboratory_of_the_learner_has_its_maze_and_its_network():
    learner, laboratory = train_in_page(laboratory=True), learner_laboratory()
    assert laboratory.data["maze"] == learner.data["maze"]
    (untrained,) = laboratory.data["networks"]
    assert untrained["settings"] == learner.data["variants"][learner.data["chosen"]]["network"]
    assert laboratory.data["receives"]
    assert laboratory.name == "laboratory"
    assert learner.data["laboratory"]
    assert not train_in_page().data["laboratory"]

import html
import json
import math
import re

import matplotlib
import pytest
import torch
from javascript import run_javascript
from matplotlib import pyplot as plt

from bpa import LSTM, GridMaze, Network, data
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.envs.baselines import expected_reward
from bpa.maze import draw_noise
from bpa.show import widgets
from bpa.training.rollout import rollout, sample

matplotlib.use("Agg")


WALK = """({ settings, goal, actions, uniforms }) => {
  const maze = new GridMaze(settings);
  const seen = [{ observation: maze.reset(goal), reward: 0, agent: maze.agent }];
  actions.forEach((action, t) => {
    const { observation, reward } = maze.step(action, uniforms[t]);
    seen.push({ observation, reward, agent: maze.agent });
  });
  let refused = false;
  try { maze.step(0, 0); } catch { refused = true; }
  return { walls: maze.walls, goal: maze.goal, seen, refused };
}"""


@pytest.mark.parametrize(("size", "reward", "penalty"), [(5, 10.0, 0.0), (11, 10.0, 0.0), (13, 2.5, 0.25)])
@pytest.mark.parametrize("seed", [0, 3])
def test_the_maze_in_the_page_is_the_maze(size, reward, penalty, seed):
    generator = torch.Generator().manual_seed(seed)
    T = 400
    maze = GridMaze(size, 1, T, reward, penalty)
    noise = draw_noise(T, 1, generator)
    noise.teleport[:3] = torch.tensor([0.0, 1 - 2**-24, 0.5])[:, None]
    actions = torch.randint(4, (T, 1), generator=generator)
    observations, rewards, agents = [maze.reset(noise.goal)], [torch.zeros(1)], [maze.agent]
    for t in range(T):
        observation, reward_now, _ = maze.step(actions[t], noise.teleport[t])
        observations.append(observation)
        rewards.append(reward_now)
        agents.append(maze.agent)
    got = run_javascript(
        WALK,
        {
            "settings": widgets.maze_settings(size, T, reward, penalty),
            "goal": noise.goal.item(),
            "actions": actions[:, 0].tolist(),
            "uniforms": noise.teleport[:, 0].tolist(),
        },
    )
    assert got["walls"] == maze.walls.tolist()
    assert got["goal"] == maze.goal[0].tolist()
    assert got["refused"]
    assert [step["agent"] for step in got["seen"]] == torch.stack(agents)[:, 0].tolist()
    assert (torch.stack(rewards) > 0).sum() >= 1, "a walk that never meets its goal tests no teleport"
    assert torch.equal(torch.tensor([float(s["reward"]) for s in got["seen"]]), torch.stack(rewards)[:, 0])
    sensed = torch.tensor([step["observation"] for step in got["seen"]])
    assert torch.equal(sensed, torch.stack(observations)[:, 0])


LIVE = """({ settings, network, parameters, traces, goal, action, teleport }) => {
  const maze = new GridMaze(settings);
  const net = new Network(network, parameters);
  net.traces = traces;
  let observation = maze.reset(goal);
  const seen = [];
  action.forEach((uniform, t) => {
    const { logits, value } = net.step(observation);
    const taken = sampleAction(logits, uniform);
    const outcome = maze.step(taken, teleport[t]);
    observation = outcome.observation;
    seen.push({ action: taken, reward: outcome.reward, logits: [...logits], value,
                modulation: net.modulation, h: [...net.h] });
  });
  return { seen, hebb: net.hebb && [...net.hebb], eligibility: net.eligibility && [...net.eligibility] };
}"""

VARIANTS = [
    {"plasticity": "simple"},
    {"plasticity": "simple", "alpha": "neuron", "fanout": False, "modulator": "sigmoid"},
    {"plasticity": "simple", "clipping": "soft", "clip": 1.0},
    {"plasticity": "retroactive"},
    {"plasticity": "retroactive", "alpha": "network", "clip": 0.3, "modulator": "tanh"},
    {"plasticity": "plastic", "clip": math.inf},
    {"plasticity": "plastic", "rule": "decay"},
    {"plasticity": "plastic", "rule": "oja"},
    {"plasticity": "none"},
    {"cell": LSTM, "plasticity": "none"},
    {"cell": LSTM, "plasticity": "plastic", "alpha": "neuron"},
    {"cell": LSTM, "plasticity": "simple", "clipping": "soft", "clip": 1.0},
    {"cell": LSTM, "plasticity": "retroactive", "fanout": False, "modulator": "sigmoid"},
]


def variant_name(variant: dict) -> str:
    return " ".join(part.__name__ if isinstance(part, type) else str(part) for part in variant.values())


def lively(net: Network | LSTM, seed: int) -> Network | LSTM:
    """A network whose traces matter, fresh ones have alpha near 0; but not so wild that rounding grows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name in ("w", "alpha"):
                spread = (0.7 if name == "w" else 0.3) / net.hidden_size**0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
            if name == "h2o.weight":
                parameter.mul_(10)
    return net


def javascript_life(net: Network | LSTM, noise, size: int = 11, traces: bool = True) -> dict:
    """What the page's own network does with the noise of the first episode of `noise`."""
    return run_javascript(
        LIVE,
        {
            "settings": widgets.maze_settings(size, len(noise.action), 10.0, 0.0),
            "network": widgets.network_settings(net),
            "parameters": widgets.network_parameters(net),
            "traces": traces,
            "goal": noise.goal[0].item(),
            "action": noise.action[:, 0].tolist(),
            "teleport": noise.teleport[:, 0].tolist(),
        },
    )


def double_life(net: Network | LSTM, noise, size: int = 11) -> tuple[dict, object]:
    """The same episode by the definition, in double precision; the maze keeps its own float32."""
    net = net.double()
    maze = GridMaze(size, 1, len(noise.action))
    observation, hidden = maze.reset(noise.goal), net.initial_state(1)
    seen = {"action": [], "reward": [], "logits": [], "value": [], "modulation": [], "h": []}
    with torch.no_grad():
        for uniform, teleport in zip(noise.action, noise.teleport, strict=True):
            logits, value, hidden = net(observation.double(), hidden)
            action = sample(logits, uniform)
            observation, reward, _ = maze.step(action, teleport)
            modulation = net.modulation(hidden.h)
            seen["action"].append(action.item())
            seen["reward"].append(reward.item())
            seen["logits"].append(logits[0].tolist())
            seen["value"].append(value.item())
            seen["modulation"].append(None if modulation is None else modulation.item())
            seen["h"].append(hidden.h[0].tolist())
    return seen, hidden


@pytest.mark.parametrize("variant", VARIANTS, ids=variant_name)
def test_the_network_in_the_page_is_the_network(variant):
    T = 200
    cell = variant.get("cell", Network)
    settings = {name: value for name, value in variant.items() if name != "cell"}
    net = lively(cell(17, 13, 4, generator=torch.Generator().manual_seed(5), **settings), seed=6)
    noise = draw_noise(T, 1, torch.Generator().manual_seed(7))
    got = javascript_life(net, noise)
    want, hidden = double_life(net, noise)
    for name, values in want.items():
        ours = [step[name] for step in got["seen"]]
        if name in ("action", "reward", "modulation") and (None in values or name == "action"):
            assert ours == values
        else:
            torch.testing.assert_close(
                torch.tensor(ours, dtype=torch.float64),
                torch.tensor(values, dtype=torch.float64),
                rtol=0,
                atol=1e-6,
            )
    assert len(set(want["action"])) >= 3
    for name in ("hebb", "eligibility"):
        trace = getattr(hidden, name)
        assert (got[name] is None) == (trace is None)
        if trace is not None:
            assert trace.abs().max() > 0.01, "a trace that stays zero tests nothing"
            torch.testing.assert_close(
                torch.tensor(got[name], dtype=torch.float64), trace.flatten(), rtol=0, atol=1e-6
            )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_page_and_rollout_live_the_same_life_action_by_action(seed):
    net = lively(Network(17, 100, 4, generator=torch.Generator().manual_seed(seed)), seed)
    noise = draw_noise(200, 1, torch.Generator().manual_seed(10 + seed))
    with torch.no_grad():
        trajectory = rollout(net, GridMaze(batch_size=1), noise)
    seen = javascript_life(net, noise)["seen"]
    assert [step["action"] for step in seen] == trajectory.actions[:, 0].tolist()
    assert [step["reward"] for step in seen] == trajectory.rewards[:, 0].tolist()


def test_silenced_traces_are_a_network_with_alpha_zero():
    net = lively(Network(17, 13, 4, generator=torch.Generator().manual_seed(1)), seed=1)
    noise = draw_noise(200, 1, torch.Generator().manual_seed(2))
    with_traces, silenced = (javascript_life(net, noise, traces=traces) for traces in (True, False))
    with torch.no_grad():
        net.alpha.zero_()
    want, _ = double_life(net, noise)
    assert [step["action"] for step in silenced["seen"]] == want["action"]
    assert [step["action"] for step in with_traces["seen"]] != want["action"]


def test_a_network_that_forgets_the_row_and_column_order_is_caught():
    net = lively(Network(17, 13, 4, generator=torch.Generator().manual_seed(5)), seed=6)
    noise = draw_noise(200, 1, torch.Generator().manual_seed(7))
    want, _ = double_life(net, noise)
    with torch.no_grad():
        net.w.copy_(net.w.T.clone())
    assert [step["action"] for step in javascript_life(net, noise)["seen"]] != want["action"]


REFUSED = """({ network, parameters, changes, dropped }) => {
  for (const name of dropped) delete parameters[name];
  try { new Network({ ...network, ...changes }, parameters); } catch (error) { return error.message; }
  return null;
}"""


@pytest.mark.parametrize(
    ("changes", "dropped", "message"),
    [
        ({}, [], None),
        ({"plasticity": "telepathic"}, [], 'plasticity must be one of "none"'),
        ({"rule": "own"}, [], 'rule must be one of "hebb", "decay", "oja", got "own"'),
        ({"rule": "oja"}, [], 'rule "oja" needs plasticity "plastic"'),
        ({"cell": "gru"}, [], 'cell must be one of "rnn", "lstm", got "gru"'),
        ({"cell": "lstm"}, [], "parameter w must have"),
        ({"modulator": "relu"}, [], "modulator must be one of"),
        ({"alphaShape": None}, [], "alphaShape null does not go"),
        ({"fanout": False}, [], "parameter modfanout.weight must have 0 numbers"),
        ({}, ["h2v.bias"], "parameter h2v.bias is missing"),
    ],
)
def test_the_network_in_the_page_refuses_what_it_does_not_know(changes, dropped, message):
    net = Network(17, 5, 4)
    given = {
        "network": widgets.network_settings(net),
        "parameters": widgets.network_parameters(net),
        "changes": changes,
        "dropped": dropped,
    }
    refused = run_javascript(REFUSED, given)
    assert (refused is None) if message is None else refused.startswith(message)


@pytest.mark.parametrize("kind", ["fast-weights", "a class of one's own"])
def test_a_network_that_the_page_cannot_run_is_refused(kind):
    class Mine(Network):
        """What it computes, nobody knows."""

    net = FastWeightNetwork(17, 5, 4) if kind == "fast-weights" else Mine(17, 5, 4)
    with pytest.raises(ValueError, match=r"net must be a bpa.Network or bpa.LSTM, .* got (Fast|Mine)"):
        widgets.network_settings(net)


def document(live: widgets.Live) -> str:
    """The page inside the frame, as the browser reads it out of the attribute."""
    (attribute,) = re.findall(r'srcdoc="([^"]*)"', live._repr_html_())
    return html.unescape(attribute)


def small_figures(count: int) -> list:
    return [plt.figure(figsize=(1, 1)) for _ in range(count)]


def test_a_live_figure_asks_no_one_for_anything_and_can_only_run_scripts():
    net = Network(17, 10, 4)
    lives = [
        widgets.play_maze(),
        widgets.watch_agent(net),
        widgets.frames(small_figures(2), ["a", "b"], title="</script><b>", alt='two "plots"'),
    ]
    for live in lives:
        page = live._repr_html_()
        assert 'sandbox="allow-scripts"' in page
        inside = document(live)
        assert not re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", inside + page)
        assert inside == live.document()
        assert inside.count("<script") == inside.count("</script>")
        (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', inside, re.S)
        assert json.loads(data) == json.loads(json.dumps(live.data))
        assert page == live._repr_html_()


def test_the_reader_is_compared_with_what_python_computes_and_what_was_measured():
    scores = widgets.play_maze(episode_length=(200, 50, 60), agent="maze-11").data["scores"]
    for length, folder in ((200, "agents"), (50, "short"), (60, None)):
        earned = {row["name"]: row["reward"] for row in scores[length]}
        assert earned["random walker"] == expected_reward("random", 11, length)
        assert earned["ideal agent"] == expected_reward("ideal", 11, length)
        assert ("trained agent" in earned) == (folder is not None)
        if folder is not None:
            told = json.loads((data.HERE / folder / "maze-11.json").read_text(encoding="utf-8"))
            assert earned["trained agent"] == told["mean_reward"]
            assert scores[length][-1]["error"] == told["standard_error"]
    # A maze too large to compute in seconds has a shorter scale.
    names = [row["name"] for row in widgets.play_maze(size=19, episode_length=30).data["scores"][30]]
    assert names == ["random walker", "straight walker", "oracle"]


def test_frames_close_their_figures_and_carry_every_text():
    plt.close("all")
    live = widgets.frames(small_figures(3), [0, 1, 2], title="Title", alt="A plot", caption="Look <here>")
    assert plt.get_fignums() == []
    assert live.data["alts"] == ["A plot (0)", "A plot (1)", "A plot (2)"]
    assert "Look &lt;here&gt;" in live.document()
    assert [len(set(frames)) for frames in live.data["frames"]] == [1, 1]  # empty figures: the same bytes


def test_parameters_survive_the_way_into_the_page():
    net = Network(17, 10, 4)
    decoded = run_javascript(
        "(p) => Object.fromEntries(Object.entries(p).map(([k, v]) => [k, [...decodeFloats(v)]]))",
        widgets.network_parameters(net),
    )
    for name, tensor in net.state_dict().items():
        assert decoded[name] == tensor.flatten().tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: widgets.play_maze(size=10), "size must be an odd number"),
        (lambda: widgets.play_maze(seed=-1), "seed must be a whole number"),
        (lambda: widgets.play_maze(title=" "), "title must be text"),
        (lambda: widgets.play_maze(episode_length=(50, 50)), "must be one or more different numbers"),
        (lambda: widgets.play_maze(episode_length=[]), "must be one or more different numbers"),
        (lambda: widgets.play_maze(agent="maze-12"), "agent must be one of"),
        (lambda: widgets.play_maze(size=9, agent="maze-11"), "lives in mazes of size 11 with reward 10"),
        (lambda: widgets.play_maze(wall_penalty=0.1, agent="maze-11"), "wall penalty 0, got 11, 10 and 0.1"),
        (lambda: widgets.watch_agent(Network(5, 10, 4)), "17 inputs and 4 actions, got 5 and 4"),
        (lambda: widgets.watch_agent(Network(17, 10, 4), episode_length=0), "episode_length must be"),
        (lambda: widgets.frames(small_figures(1), ["a"], title="t", alt="a"), "at least two, got 1"),
        (lambda: widgets.frames(small_figures(2), ["a"], title="t", alt="a"), "as many as figures, 2, got 1"),
        (lambda: widgets.frames(small_figures(2), "ab", title="t", alt=""), "alt must be text"),
        (lambda: widgets.frames(small_figures(2), "ab", title="t", alt=["x"]), "as many as figures, 2"),
        (lambda: widgets.frames([1, 2], "ab", title="t", alt="a"), "figure"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    plt.close("all")

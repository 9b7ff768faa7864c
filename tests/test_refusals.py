"""What is asked too early, of nothing, or with the wrong kind of numbers ends in one clear error."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bpa import GridMaze, Network, TrainConfig
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.cli import main
from bpa.envs.baselines import Explorer, Ideal, Oracle, covering_path, ideal_path, maze_map
from bpa.envs.cue_reward import CueReward, best_rewards
from bpa.envs.gymnasium import CueRewardEnv, CueRewardVectorEnv, GridMazeEnv, GridMazeVectorEnv
from bpa.experiments.evaluate import episode_rewards, report, step_rewards, supervised_metrics
from bpa.show.play import episode
from bpa.tasks.base import Batch
from bpa.training.a2c import a2c_loss, discounted_returns, lambda_returns
from bpa.training.checkpoint import build_network, save_weights
from bpa.training.rollout import rollout
from bpa.training.supervised import batch_accuracy, batch_loss, masked_cross_entropy, masked_squared_error

GRID = maze_map(5)

TOO_EARLY = {
    "maze": lambda: GridMaze(5).observation(),
    "maze step": lambda: GridMaze(5, 1).step(torch.tensor([0])),
    "cues": lambda: CueReward().observation(),
    "cues step": lambda: CueReward(batch_size=1).step(torch.tensor([0])),
    "best rewards": lambda: best_rewards(CueReward()),
    "text": lambda: GridMazeEnv(render_mode="ansi").render(),
    "picture": lambda: GridMazeEnv(render_mode="rgb_array").render(),
    "texts": lambda: GridMazeVectorEnv(2, render_mode="ansi").render(),
    "pictures": lambda: GridMazeVectorEnv(2, render_mode="rgb_array").render(),
    "cues in words": lambda: CueRewardEnv(render_mode="ansi").render(),
    "cues in pictures": lambda: CueRewardVectorEnv(2, render_mode="rgb_array").render(),
    "oracle": lambda: Oracle(GRID)(GridMaze(5)),
    "explorer": lambda: Explorer(GRID, covering_path(5, 20))(GridMaze(5)),
    "ideal": lambda: Ideal(GRID, ideal_path(5, 20), 20)(GridMaze(5, episode_length=20)),
}


@pytest.mark.parametrize("name", TOO_EARLY)
def test_before_the_first_reset_everybody_says_so(name):
    with pytest.raises(RuntimeError, match=r"call reset\(\) before"):
        TOO_EARLY[name]()


def test_an_explorer_or_an_ideal_agent_that_comes_late_says_so():
    maze = GridMaze(5, 2)
    maze.reset()
    maze.step(torch.tensor([0, 0]))
    with pytest.raises(RuntimeError, match=r"call reset\(\) before"):
        Explorer(GRID, covering_path(5, 20))(maze)
    with pytest.raises(RuntimeError, match=r"call reset\(\) before"):
        Ideal(GRID, ideal_path(5, 20), 200)(maze)


NO_ACTIONS = [
    None,
    "up",
    {},
    object(),
    [0, None],
    [[0], [1, 2]],
    [0.0, 1.0],
    [True, False],
    ["0", "1"],
    [0, 4],
    [-1, 0],
    [0],
    [],
    0,
    np.array([0, None]),
    np.array([object(), object()]),
    np.array(["0", "1"]),
    np.array([0, 1j]),
    np.array([0, 2**63], dtype=np.uint64),
    np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
    torch.tensor([0, 1j]),
    torch.zeros(2),
    torch.zeros(2, dtype=torch.bool),
    torch.zeros(2, dtype=torch.long).to_sparse(),
    torch.zeros(2, dtype=torch.long, device="meta"),
    torch.zeros(0, dtype=torch.long),
    torch.zeros(2, 1, dtype=torch.long),
]


@pytest.mark.parametrize("wrong", NO_ACTIONS, ids=lambda wrong: type(wrong).__name__)
def test_actions_that_are_none_are_a_value_error_everywhere(wrong):
    for env in (GridMaze(5, 2), CueReward(batch_size=2), GridMazeVectorEnv(2, 5)):
        env.reset()
        with pytest.raises(ValueError, match=r"actions must (be|have)"):
            env.step(wrong)
        assert (env.maze if isinstance(env, GridMazeVectorEnv) else env).time == 0
    env = GridMazeEnv(5)
    env.reset()
    if not isinstance(wrong, int):
        with pytest.raises(ValueError, match="action must be a whole number from 0 to 3, got"):
            env.step(wrong)
    with pytest.raises(ValueError, match=r"actions must (be|have)"):
        a2c_loss(torch.zeros(1, 2, 4), torch.zeros(1, 2), wrong, torch.zeros(1, 2))


def test_actions_of_every_whole_number_kind_move_the_agents():
    envs, env = GridMazeVectorEnv(2, 5), GridMazeEnv(5)
    expected, first = [], []
    kinds = (np.int64, np.uint8, np.int32, np.uint64, torch.tensor, list, tuple)
    for kind in kinds:
        envs.reset(seed=0), env.reset(seed=0)
        actions = (
            kind([3, 2]) if kind not in (np.int64, np.uint8, np.int32, np.uint64) else np.array([3, 2], kind)
        )
        envs.step(actions)
        env.step(actions[0])
        expected.append(envs.maze.agent.tolist())
        first.append(env.maze.agent.tolist())
    assert all(places == expected[0] for places in expected)
    assert all(places == first[0] for places in first)
    with pytest.raises(ValueError, match="action must be a whole number"):
        env.step(True)


LOGITS = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
VALUES, ACTIONS = torch.full((3, 2), 0.5), torch.tensor([[0, 1], [2, 3], [3, 0]])
REWARDS = torch.tensor([[1, 0], [0, 10], [0, 1]])


@pytest.mark.parametrize("gae_lambda", [1.0, 0.5])
def test_whole_rewards_are_rewards(gae_lambda):
    want = a2c_loss(LOGITS, VALUES, ACTIONS, REWARDS.float(), gae_lambda=gae_lambda)
    for dtype in (torch.int64, torch.int8, torch.uint8, torch.int32):
        got = a2c_loss(LOGITS, VALUES, ACTIONS, REWARDS.to(dtype), gae_lambda=gae_lambda)
        assert torch.equal(got, want)
        returns = discounted_returns(REWARDS.to(dtype), 0.9)
        assert torch.equal(returns, discounted_returns(REWARDS.float(), 0.9))
        assert returns.dtype == torch.float32
        looked = lambda_returns(REWARDS.to(dtype), VALUES, 0.9, gae_lambda)
        assert torch.equal(looked, lambda_returns(REWARDS.float(), VALUES, 0.9, gae_lambda))
    found = REWARDS > 0
    assert torch.equal(discounted_returns(found, 0.9), discounted_returns(found.float(), 0.9))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"actions": ACTIONS.float()}, "actions must be int64 from 0 to 3, got torch.float32"),
        ({"actions": ACTIONS.int()}, "actions must be int64 from 0 to 3, got torch.int32"),
        ({"actions": ACTIONS + 1}, "actions must be int64 from 0 to 3, got 4"),
        ({"actions": ACTIONS - 1}, "actions must be int64 from 0 to 3, got -1"),
        ({"rewards": REWARDS * 1j}, "rewards must be real numbers, got torch.complex64"),
        ({"values": VALUES * 1j}, "values must be real numbers, got torch.complex64"),
        ({"rewards": [[0, 1]]}, "rewards must be a tensor of shape"),
        ({"logits": LOGITS[:0]}, r"logits must have shape \[T, B, A\] with T at least 1, got \[0, 2, 4\]"),
        ({"logits": LOGITS[:, :0]}, r"logits must have shape \[T, B, A\] with B at least 1"),
        ({"logits": LOGITS[..., :0]}, r"logits must have shape \[T, B, A\] with A at least 1"),
        ({"logits": None}, "logits must be a tensor of shape"),
    ],
)
def test_the_loss_names_what_does_not_fit(wrong, said):
    fits = {"logits": LOGITS, "values": VALUES, "actions": ACTIONS, "rewards": REWARDS.float()}
    with pytest.raises(ValueError, match=said):
        a2c_loss(**(fits | wrong))


def test_returns_of_nothing_are_refused():
    for wrong in ([1, 2], None, torch.zeros(0, 2), torch.tensor(1.0)):
        with pytest.raises(ValueError, match=r"rewards must be a tensor \[T, ...\] with T at least 1, got"):
            discounted_returns(wrong, 0.9)
    with pytest.raises(ValueError, match="values must have shape"):
        lambda_returns(torch.zeros(3, 2), torch.zeros(4, 2), 0.9, 0.5)


CLASSES, COUNTS = ACTIONS, torch.tensor([[True, False], [True, True], [False, True]])


def test_the_losses_of_lessons_take_whole_numbers_and_name_what_does_not_fit():
    everywhere = torch.ones(3, 2, 4, dtype=torch.bool)
    signs = LOGITS > 0
    want = masked_squared_error(LOGITS, signs.float(), everywhere)
    assert torch.equal(masked_squared_error(LOGITS, signs, everywhere), want)
    assert torch.equal(masked_squared_error(LOGITS, signs.long(), everywhere), want)
    outside = torch.where(COUNTS, CLASSES, 99)  # where nothing counts anything may stand
    got = masked_cross_entropy(LOGITS, outside, COUNTS)
    assert torch.equal(got, masked_cross_entropy(LOGITS, CLASSES, COUNTS))
    for wrong, said in (
        (CLASSES.int(), "targets must be int64 from 0 to 3, got torch.int32"),
        (CLASSES.float(), "targets must be int64 from 0 to 3, got torch.float32"),
        (COUNTS, "targets must be int64 from 0 to 3, got torch.bool"),
        (CLASSES + 1, "targets must be int64 from 0 to 3, got 4"),
        (CLASSES - 100, "targets must be int64 from 0 to 3, got -100"),
    ):
        with pytest.raises(ValueError, match=said):
            masked_cross_entropy(LOGITS, wrong, torch.ones_like(COUNTS))
        if wrong.dtype != torch.float32:
            with pytest.raises(ValueError, match=said):
                batch_loss(LOGITS, Batch(LOGITS, wrong, torch.ones_like(COUNTS)))
    with pytest.raises(ValueError, match=r"mask must be torch\.bool and True somewhere, got torch\.int32"):
        masked_squared_error(LOGITS, LOGITS, everywhere.int())
    for wrong in (LOGITS[:0], LOGITS[:, :0]):
        with pytest.raises(ValueError, match=r"at least 1, got \[(0, 2|3, 0), 4\]"):
            masked_squared_error(wrong, wrong, wrong.bool())
        with pytest.raises(ValueError, match=r"at least 1, got \[(0, 2|3, 0), 4\]"):
            masked_cross_entropy(wrong, wrong[..., 0].long(), wrong[..., 0].bool())
    with pytest.raises(ValueError, match=r"mask must be torch\.bool and True somewhere"):
        batch_accuracy(LOGITS, Batch(LOGITS, CLASSES, COUNTS & False))
    with pytest.raises(ValueError, match="targets must have shape"):
        batch_accuracy(LOGITS, Batch(LOGITS, CLASSES[:2], COUNTS[:2]))


NETWORKS = {
    "simple": lambda: Network(5, 4, 3),
    "oja": lambda: Network(5, 4, 3, plasticity="plastic", rule="oja"),
    "lstm": lambda: LSTM(5, 4, 3),
    "plastic lstm": lambda: LSTM(5, 4, 3, plasticity="retroactive"),
    "fast weights": lambda: FastWeightNetwork(5, 4, 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_and_engine_refuses_sequences_of_nothing(name):
    net = NETWORKS[name]()
    with pytest.raises(ValueError, match=r"x must have shape \[B, 5\] with B at least 1, got \[0, 5\]"):
        net(torch.zeros(0, 5))
    for engine in ("auto", "eager"):
        with pytest.raises(ValueError, match=r"xs must have shape \[T, B, 5\] with T at least 1"):
            net.unroll(torch.zeros(0, 2, 5), engine=engine)
        with pytest.raises(ValueError, match=r"xs must have shape \[T, B, 5\] with B at least 1"):
            net.unroll(torch.zeros(3, 0, 5), engine=engine)
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        net.initial_state(0)
    for wrong in ((1, 2), torch.zeros(2, 4), "new", net.initial_state(3)):
        with pytest.raises(ValueError, match="hidden"):
            net(torch.zeros(2, 5), wrong)
    assert net(torch.full((2, 5), torch.nan))[1].isnan().all()  # NaN is a number like any other


@pytest.mark.parametrize("engine", ["auto", "eager"])
@pytest.mark.parametrize(("inputs", "actions"), [(5, 4), (17, 3), (17, 6)])
def test_a_network_of_other_sizes_does_not_act(inputs, actions, engine):
    maze = GridMaze(5, 2, 3)
    net = Network(inputs, 4, actions)
    said = f"net must have 17 inputs and 4 actions for GridMaze, got {inputs} and {actions}"
    with pytest.raises(ValueError, match=said):
        rollout(net, maze, maze.sample_noise(), engine)
    with pytest.raises(ValueError, match="noise must be drawn for GridMaze"):
        rollout(Network(17, 4, 4), maze, "noise", engine)


SMALL = {"hidden_size": 6, "batch_size": 2, "episode_length": 20, "size": 5}


def broken(config, number):
    """A network of `config` with one tensor of its weights filled by `number`."""
    net = build_network(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.i2h.bias[:] = 100  # every neuron fires
        net.h2o.weight[:2] = number
    return net


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_have_no_score(number):
    config = TrainConfig(**SMALL)
    net = broken(config, number)
    said = r"weights must be finite, got 12 of 24 numbers in 'h2o.weight' that are not"
    for asked in (report, step_rewards, episode_rewards, lambda *both: next(episode(*both))):
        with pytest.raises(ValueError, match=said):
            asked(net, config)
    taught = TrainConfig(task="recall", hidden_size=6)
    with pytest.raises(ValueError, match="weights must be finite"):
        supervised_metrics(broken(taught, number), taught, episodes=2)


def test_finite_weights_that_overflow_have_no_score():
    config = TrainConfig(**SMALL)
    net = broken(config, 3e38)
    with pytest.raises(ValueError, match=r"weights must give finite outputs, got \d+ of \d+ that are not"):
        report(net, config, episodes=2)
    with pytest.raises(ValueError, match="weights must give finite outputs"):
        next(episode(net, config))
    taught = TrainConfig(task="recall", hidden_size=6)
    with pytest.raises(ValueError, match="weights must give finite outputs"):
        supervised_metrics(broken(taught, 3e38), taught, episodes=2)


@pytest.mark.parametrize("command", ["evaluate", "play"])
def test_the_commands_refuse_weights_that_are_not_finite(command, tmp_path, capsys):
    config = TrainConfig(**SMALL)
    path = tmp_path / "weights.safetensors"
    save_weights(path, broken(config, 1.0), config)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: torch.full_like(file.get_tensor(name), torch.nan) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata)
    assert main([command, str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "weights must be finite, got" in said.err
    assert said.err.count("\n") == 1

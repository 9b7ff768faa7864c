"""PyTorch's global defaults, of precision and of device, are other people's: nothing here depends on them."""

import ast
import contextlib
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import bpa
from bpa import GridMaze, Network, TrainConfig, train
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.envs import from_gymnasium
from bpa.envs.base import REGISTRY
from bpa.envs.baselines import POLICIES, expected_reward, score
from bpa.envs.cue_reward import CueReward, best_rewards
from bpa.envs.gymnasium import CueRewardEnv, GridMazeEnv, GridMazeVectorEnv
from bpa.experiments.evaluate import report
from bpa.show.play import episode
from bpa.tasks.patterns import Patterns
from bpa.tasks.pictures import Pictures, guess_error
from bpa.tasks.sequences import AssociativeRecall, Languages
from bpa.training.checkpoint import load_weights
from bpa.training.supervised import fit

FACTORIES = {
    "arange",
    "as_tensor",
    "empty",
    "empty_strided",
    "eye",
    "full",
    "hann_window",
    "linspace",
    "logspace",
    "normal",
    "ones",
    "rand",
    "randint",
    "randn",
    "randperm",
    "scalar_tensor",
    "tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
}
DRAWS = {"normal", "rand", "randint", "randn", "randperm"}
BY_TYPE = {"Tensor", "FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "BoolTensor"}
GLOBALS = {"set_default_dtype", "set_default_device", "set_default_tensor_type"}
LAYERS = {"skip_init", "Linear", "Embedding", "LSTM", "LSTMCell", "RNN", "GRU", "LayerNorm", "Conv2d"}


def faults(text, name="module.py"):
    """Calls that leave dtype or device to PyTorch's defaults, or draw elsewhere than in bpa/noise.py."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, called = ast.unparse(node.func.value), node.func.attr
        given = {keyword.arg for keyword in node.keywords}
        where = f"{name}:{node.lineno}: {ast.unparse(node)}"
        if owner == "torch" and called == "Generator":
            wanted = {"device"}
        elif (owner == "torch" and called in FACTORIES) or (
            owner.split(".")[-1] in ("nn", "utils") and called in LAYERS
        ):
            wanted = {"dtype", "device"}
        else:
            wanted = set()
        refused = owner == "torch" and called in BY_TYPE | GLOBALS
        draws = owner == "torch" and called in DRAWS and name != "noise.py"
        if refused or draws or not wanted <= given:
            found.append(where)
        if name == "noise.py" and called in DRAWS and "device=generator.device" not in where:
            found.append(where)
    return found


@pytest.mark.parametrize(
    "wrong",
    [
        "torch.zeros(3)",
        "torch.zeros(3, dtype=torch.float32)",
        "torch.zeros(3, device='cpu')",
        "torch.tensor(True)",
        "torch.arange(3, device='cpu')",
        "torch.Generator()",
        "torch.Tensor(3)",
        "torch.set_default_dtype(torch.float64)",
        "torch.rand(3, dtype=torch.float32, device='cpu')",
        "nn.Linear(3, 4)",
        "nn.utils.skip_init(nn.Linear, 3, 4)",
        "x = [torch.eye(n) for n in range(3)]",
    ],
)
def test_the_search_for_such_calls_finds_them(wrong):
    assert len(faults(wrong)) == 1
    assert not faults(
        "torch.zeros(3, dtype=torch.float32, device=x.device); x.new_zeros(3); torch.zeros_like(x)"
    )
    assert faults("torch.rand(3, generator=g, dtype=d, device='cpu')", "noise.py")


def test_every_factory_call_names_dtype_and_device_and_every_draw_the_generators_device():
    root = Path(bpa.__file__).parent
    modules = [path for path in root.rglob("*.py") if not path.name.startswith("chapter_")]
    assert len(modules) > 40
    found = [fault for path in modules for fault in faults(path.read_text(encoding="utf-8"), path.name)]
    assert not found, "\n".join(found)


@contextlib.contextmanager
def default(setting):
    """Within, PyTorch's default precision or default device is another one."""
    before = torch.get_default_dtype()
    try:
        if isinstance(setting, torch.dtype):
            torch.set_default_dtype(setting)
        elif setting is not None:
            torch.set_default_device(setting)
        yield
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)


def everything(task, engine, folder):
    """Numbers of all that a run of `task` is: weights, history, what a resumed run and a score say."""
    small = {"hidden_size": 6, "batch_size": 2, "episode_length": 20, "size": 5, "iterations": 2}
    if task == "cues":
        small["optimizer"] = "muon"
    config = TrainConfig(task=task, engine=engine, out=folder, quiet=True, checkpoint_every=1, **small)
    result = train(config)
    longer = train(config.replace(iterations=3, resume=True))
    net, stored = load_weights(folder)
    numbers = {f"longer {record.iteration}": record[1:4] for record in longer.history}
    numbers |= {f"{record.iteration}": record[1:4] for record in result.history}
    numbers |= {name: tensor.tolist() for name, tensor in longer.network.state_dict().items()}
    numbers["score"] = report(net, stored, episodes=3)
    if task == "maze":
        numbers["seen"] = [moment[:5] for moment in episode(net, stored)]
    assert {tensor.dtype for tensor in longer.network.state_dict().values()} == {torch.float32}
    return numbers


SETTINGS = [torch.float64, torch.float16, "meta"]


@pytest.mark.parametrize("engine", ["auto", "eager"])
@pytest.mark.parametrize("task", REGISTRY)
def test_every_task_trains_and_is_scored_alike_under_other_defaults(task, engine, tmp_path):
    want = everything(task, engine, tmp_path / "usual")
    for setting in SETTINGS:
        with default(setting):
            assert everything(task, engine, tmp_path / str(setting)) == want


def run_of(net, inputs):
    """Outputs of a network and the gradient of their sum."""
    outputs = net.unroll(torch.ones(3, 2, inputs, dtype=torch.float32, device="cpu"), engine="eager")
    outputs.logits.sum().backward()
    return [outputs.logits.tolist(), *(p.grad.tolist() for p in net.parameters() if p.grad is not None)]


def seeded():
    return torch.Generator(device="cpu").manual_seed(0)


NETWORKS = {
    "simple": lambda: Network(5, 4, 3, generator=seeded()),
    "retroactive": lambda: Network(5, 4, 3, plasticity="retroactive", generator=seeded()),
    "lstm": lambda: LSTM(5, 4, 3, plasticity="plastic", generator=seeded()),
    "fast weights": lambda: FastWeightNetwork(5, 4, 3, gated=True, generator=seeded()),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_networks_are_float32_on_the_cpu(name, setting):
    want = run_of(NETWORKS[name](), 5)
    with default(setting):
        net = NETWORKS[name]()
        assert {(p.dtype, p.device.type) for p in net.parameters()} == {(torch.float32, "cpu")}
        assert run_of(net, 5) == want
        assert {p.dtype for p in net.double().parameters()} == {torch.float64}


def drawn_from(make):
    """What an environment or a task with a generator of seed 0 shows."""
    source = make(generator=seeded())
    if isinstance(source, GridMaze | CueReward):
        seen = [source.reset()]
        for action in (0, 1, 1):
            actions = torch.full((source.batch_size,), action, dtype=torch.int64, device="cpu")
            seen += source.step(actions)[:2]
        if isinstance(source, CueReward):
            seen.append(best_rewards(source))
        return seen
    batch = source.sample()
    return [*batch, source.bayes_loss(batch)] if isinstance(source, Languages) else list(batch)


MADE = {
    "maze": lambda **k: GridMaze(5, 3, wall_penalty=0.5, **k),
    "cues": lambda **k: CueReward(4, 20, 3, jitter=2, **k),
    "dealt cues": lambda **k: CueReward(4, 2, 3, pairing="dealt", **k),
    "patterns": lambda **k: Patterns(30, noise=0.1, **k),
    "few bits": lambda **k: Patterns(6, 2, **k),
    "digits": Pictures,
    "photographs": lambda **k: Pictures("photographs", "test", hidden="left", shrink=4, patch_size=8, **k),
    "languages": lambda **k: Languages(3, 20, 2, **k),
    "recall": AssociativeRecall,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_environments_and_tasks_show_the_same(name, setting):
    want = drawn_from(MADE[name])
    with default(setting):
        got = drawn_from(MADE[name])
    for ours, theirs in zip(got, want, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.device == theirs.device
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_gymnasiums_checker_is_content_and_observations_stay_in_their_space(setting):
    with default(setting), warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("bpa/GridMaze-v0", size=5, render_mode="ansi").unwrapped)
        check_env(GridMazeEnv(size=7), skip_render_check=True)
        check_env(CueRewardEnv(cue_bits=4, episode_length=12), skip_render_check=True)
        envs = GridMazeVectorEnv(3, 5, 4, wall_penalty=1.0)
        observation, _ = envs.reset(seed=0)
        for actions in np.random.default_rng(0).integers(4, size=(9, 3)):
            assert envs.observation_space.contains(observation)
            observation, reward, *_ = envs.step(actions)
            assert observation.dtype == np.float32
            assert reward.dtype == np.float64


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_episodes_of_gymnasium_are_the_same(setting):
    def episodes():
        vector_env = gymnasium.make_vec("CartPole-v1", num_envs=3, max_episode_steps=30)
        env = from_gymnasium(vector_env, bootstrap=True, generator=seeded())
        noise = env.sample_noise()
        seen = [*noise, env.reset(noise)]
        for numbers in noise.action:
            *now, done = env.step((numbers < 0.8).long())
            seen += [*now, done]
            if done.all():
                break
        return seen

    want = episodes()
    with default(setting):
        got = episodes()
    for ours, theirs in zip(got, want, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.device == theirs.device
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_baselines_fits_and_sizes_are_the_same(setting):
    def numbers():
        task = AssociativeRecall(2, 4, 3, 2, generator=seeded())
        net = Network(task.input_size, 4, task.output_size, generator=seeded())
        return [
            *(expected_reward(policy, 5, 20) for policy in POLICIES),
            *(score(policy, 5, 10, seeded(), 20) for policy in POLICIES),
            fit(task, net, 2),
            count_parameters(net),
            matching_hidden_size(lambda hidden: Network(17, hidden, 4), 5000),
            guess_error(Pictures(generator=seeded()), Pictures(generator=seeded()), batches=3),
        ]

    want = numbers()
    with default(setting):
        assert numbers() == want


def test_counting_parameters_draws_nothing():
    before = torch.random.get_rng_state()
    for build in (
        lambda h: Network(17, h, 4),
        lambda h: LSTM(17, h, 4),
        lambda h: FastWeightNetwork(17, h, 4),
    ):
        matching_hidden_size(build, 20_000)
    assert torch.equal(torch.random.get_rng_state(), before)
    generator = seeded()
    at_first = generator.get_state()
    assert matching_hidden_size(lambda h: Network(17, h, 4, generator=generator), 5000) > 10
    assert torch.equal(generator.get_state(), at_first)

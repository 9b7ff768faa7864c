"""Each published program has a preset with its own settings, and none of them mixes two programs."""

import pytest
import torch

from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.network import Network
from bpa.train import train
from bpa.training.checkpoint import build_network
from bpa.training.config import TrainConfig
from bpa.training.presets import HIDDEN_SIZES, PRESETS, published
from bpa.training.tasks import build_task

EVERYWHERE = {
    "batch_size": 30,
    "learning_rate": 1e-4,
    "optimizer": "adam",
    "learning_rate_schedule": "constant",
    "warmup_iterations": 101,
    "baseline": "first",
    "gae_lambda": 1.0,
    "alpha": "synapse",
    "rule": "hebb",
    "cell": "rnn",
}
A2C = {
    "gamma": 0.9,
    "value_coef": 0.1,
    "concentration_coef": 0.03,
    "adam_eps": 1e-4,
    "max_gradient_norm": 4.0,
}
MAZE = {"task": "maze", "episode_length": 200, "reward": 10.0, "wall_penalty": 0.0}
SAID = {
    "simplemaze": EVERYWHERE
    | A2C
    | MAZE
    | {"size": 11, "hidden_size": 100, "clip": 2.0, "fanout": True, "initial_weight": 0.001},
    "maze": EVERYWHERE
    | A2C
    | MAZE
    | {
        "size": 13,
        "iterations": 200_002,
        "clip": 1.0,
        "fanout": False,
        "initial_weight": 0.01,
        "initial_eta": 0.01,
    },
    "cues": EVERYWHERE
    | {
        "task": "cues",
        "iterations": 200_000,
        "concentration_coef": 0.1,
        "max_gradient_norm": 2.0,
        "adam_eps": 1e-6,
        "episode_length": 120,
        "hidden_size": 200,
        "clip": 1.0,
        "fanout": False,
        "initial_weight": 0.01,
        "initial_eta": 0.1,
        "cues.num_cues": 4,
        "cues.cue_bits": 20,
        "cues.reward": 1.0,
        "cues.wrong_penalty": 1.0,
        "cues.trials": "published",
    },
}


@pytest.mark.parametrize("program", SAID)
def test_each_program_has_the_settings_it_was_run_with(program):
    preset = PRESETS[f"published-{program}"]
    assert preset.named_settings().items() >= SAID[program].items()
    assert published(program) == preset


def test_the_rivals_have_the_neurons_they_were_run_with():
    """The maze's rivals have equally many parameters, to one neuron; a plastic one of 100 would be nearer."""
    assert HIDDEN_SIZES["maze"] == {"none": 139, "plastic": 101, "simple": 100, "retroactive": 100}
    for program, sizes in HIDDEN_SIZES.items():
        for plasticity, hidden_size in sizes.items():
            config = published(program, plasticity)
            assert (config.hidden_size, config.plasticity) == (hidden_size, plasticity)
            assert config.replace(plasticity="simple", hidden_size=100) == published(program).replace(
                hidden_size=100
            )
    nets = {kind: build_network(published("maze", kind)) for kind in HIDDEN_SIZES["maze"]}
    counts = {kind: count_parameters(net) for kind, net in nets.items()}
    assert max(counts.values()) / min(counts.values()) < 1.02
    nearest = {
        kind: matching_hidden_size(lambda h, kind=kind: Network(17, h, 4, plasticity=kind), counts["simple"])
        for kind in ("none", "plastic")
    }
    assert nearest == {"none": 139, "plastic": 100}


@pytest.mark.parametrize(
    ("program", "plasticity", "said"),
    [
        ("sr", "simple", "program must be one of 'simplemaze', 'maze', 'cues', got 'sr'"),
        ("simplemaze", "none", "plasticity must be one that 'simplemaze' has, 'simple', got 'none'"),
        (
            "maze",
            "modul",
            "plasticity must be one of 'none', 'plastic', 'simple', 'retroactive', got 'modul'",
        ),
    ],
)
def test_what_no_program_is_or_has_is_refused(program, plasticity, said):
    with pytest.raises(ValueError, match=said):
        published(program, plasticity)


@pytest.mark.parametrize("program", HIDDEN_SIZES)
def test_first_values_and_the_burn_in_are_reached_by_settings(program):
    """No parameter moves in the first 101 iterations; w and alpha begin where the program begins."""
    for plasticity in HIDDEN_SIZES[program]:
        config = published(program, plasticity)
        net = build_network(config, torch.Generator().manual_seed(0))
        for name in ("w", "alpha"):
            tensor = getattr(net, name)
            if tensor is not None:
                assert tensor.min() >= 0
                assert 0.99 * config.initial_weight < tensor.max() < config.initial_weight
        if plasticity in ("plastic", "retroactive"):
            assert net.eta.item() == torch.tensor(config.initial_eta).item()
    small = {"hidden_size": 3, "batch_size": 2, "quiet": True, "engine": "eager", "size": 5}
    small["episode_length"] = 8
    config = published(program).replace(**small, iterations=101)
    begun = build_network(config, torch.Generator().manual_seed(0))
    ended = train(config, network=begun).network
    for name, tensor in begun.state_dict().items():
        assert torch.equal(tensor, ended.state_dict()[name]), name
    ended = train(config.replace(iterations=102), network=begun).network
    assert not torch.equal(begun.w, ended.w)


def test_every_preset_describes_a_run_that_can_begin():
    for name, config in PRESETS.items():
        assert TrainConfig.from_dict(config.as_dict()) == config, name
        env = build_task(config, batch_size=2)
        net = build_network(config)
        assert net(env.reset())[0].shape == (2, env.num_actions)


def test_first_values_scale_what_is_drawn_and_change_nothing_else():
    def drawn(**values):
        return Network(17, 9, 4, "retroactive", generator=torch.Generator().manual_seed(0), **values)

    default, ten, same = drawn(), drawn(initial_weight=0.01, initial_eta=0.1), drawn(initial_weight=0.001)
    assert all(torch.equal(a, b) for a, b in zip(default.parameters(), same.parameters(), strict=True))
    torch.testing.assert_close(ten.w, 10 * default.w)
    torch.testing.assert_close(ten.alpha, 10 * default.alpha)
    assert (default.eta.item(), ten.eta.item()) == pytest.approx((0.01, 0.1))
    for name, tensor in default.state_dict().items():
        if name not in ("w", "alpha", "eta"):
            assert torch.equal(tensor, ten.state_dict()[name])
    assert default.settings() == ten.settings(), "first values are no settings of the network"
    assert not drawn(initial_weight=0).w.any()
    keeping = drawn(initial_self=0.6)
    torch.testing.assert_close(keeping.w, default.w + 0.6 * torch.eye(9))
    for name, tensor in default.state_dict().items():
        if name != "w":
            assert torch.equal(tensor, keeping.state_dict()[name])
    config = TrainConfig(hidden_size=9, initial_self=0.6)
    assert (build_network(config).w.diagonal() > 0.59).all()
    assert not hasattr(build_network(config.replace(cell="lstm", plasticity="none")), "initial_self")


@pytest.mark.parametrize("name", ["initial_weight", "initial_eta", "initial_self"])
@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "little", None])
def test_first_values_out_of_range_are_refused(name, wrong):
    said = f"{name} must be a finite number of at least 0, got"
    with pytest.raises(ValueError, match=said):
        TrainConfig(**{name: wrong})
    with pytest.raises(ValueError, match=said):
        Network(5, 3, 2, "plastic", **{name: wrong})

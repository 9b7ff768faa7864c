"""An agent that is trained in the page, from nothing, by plain JavaScript."""

from __future__ import annotations

from typing import Any, cast

import torch

from bpa.arguments import shown
from bpa.cells.base import RecurrentNetwork
from bpa.cells.lstm import LSTM
from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.envs.baselines import expected_reward
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE
from bpa.network import Network
from bpa.show.widgets import Live, maze_settings, network_settings, watch_agent
from bpa.training.checkpoint import FORMAT, build_network
from bpa.training.checkpoint import network_settings as described
from bpa.training.config import TrainConfig
from bpa.training.presets import PRESETS

# The networks to choose from: what the page calls them, and what of a config makes them.
VARIANTS: dict[str, dict[str, str]] = {
    "no plasticity": {"cell": "rnn", "plasticity": "none", "rule": "hebb"},
    "plastic, Hebb's rule": {"cell": "rnn", "plasticity": "plastic", "rule": "hebb"},
    "plastic, with decay": {"cell": "rnn", "plasticity": "plastic", "rule": "decay"},
    "plastic, Oja's rule": {"cell": "rnn", "plasticity": "plastic", "rule": "oja"},
    "simple modulation": {"cell": "rnn", "plasticity": "simple", "rule": "hebb"},
    "retroactive modulation": {"cell": "rnn", "plasticity": "retroactive", "rule": "hebb"},
    "LSTM": {"cell": "lstm", "plasticity": "none", "rule": "hebb"},
    "LSTM, simple modulation": {"cell": "lstm", "plasticity": "simple", "rule": "hebb"},
}
RATES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02)
PENALTIES = (0.0, 0.003, 0.01, 0.03, 0.1)
SMALL = PRESETS["quick"].replace(size=7, episode_length=100, hidden_size=32, batch_size=16)

# What the learner of the page can do of what a config may ask for.
FOLLOWED: dict[str, tuple[Any, ...]] = {
    "task": ("maze",),
    "baseline": ("own",),
    "early_iterations": (0,),
    "warmup_iterations": (0,),
    "on_divergence": ("stop", "skip"),
}


def training_settings(config: TrainConfig) -> dict[str, Any]:
    """What the scripts need to know of how to train.

    Raises:
        ValueError: the config asks for something that they do not do.
    """
    for name, followed in FOLLOWED.items():
        value = getattr(config, name)
        if value not in followed:
            allowed = " or ".join(map(repr, followed))
            raise ValueError(f"{name} must be {allowed} to learn in a page, got {shown(value)}")
    return {
        "iterations": config.iterations,
        "batchSize": config.batch_size,
        "optimizer": config.optimizer,
        "learningRate": config.learning_rate,
        "learningRateSchedule": config.learning_rate_schedule,
        "adamEps": config.adam_eps,
        "maxGradientNorm": config.max_gradient_norm,
        "gradientNormLimit": config.gradient_norm_limit,
        "onDivergence": config.on_divergence,
        "gamma": config.gamma,
        "gaeLambda": config.gae_lambda,
        "valueCoef": config.value_coef,
        "concentrationCoef": config.concentration_coef,
        "baseline": config.baseline,
    }


def offered(label: str, config: TrainConfig, parameters: int) -> dict[str, Any]:
    """What the scripts need to know of one of VARIANTS, of about so many parameters."""
    config = config.replace(**VARIANTS[label])

    def build(hidden_size: int) -> RecurrentNetwork[Any]:
        return build_network(config, shape=(OBSERVATION_SIZE, hidden_size, NUM_ACTIONS))

    size = matching_hidden_size(build, parameters)
    net = build(size)
    return {
        "label": label,
        "network": network_settings(cast(Network | LSTM, net)),
        "described": described(net),
        "shapes": {name: list(tensor.shape) for name, tensor in net.state_dict().items()},
        "fields": VARIANTS[label] | {"hidden_size": size},
    }


def train_in_page(
    config: TrainConfig = SMALL,
    title: str = "Train an agent in this page",
    caption: str = "",
    laboratory: bool = False,
) -> Live:
    """An agent that is trained from nothing in the reader's browser, without a kernel and without a network.

    The reader sees the learning curve, the agent walking as it learns, and its trace; chooses network,
    learning rate, penalty on concentrated policies and seed; stops, tests it with the traces and without, and
    saves its weights as a file that `bpa.load` and `bpa evaluate` read. Every network has about as many
    parameters as that of the config. The seed is one of the page: `bpa.train` with the same seed draws other
    numbers.

    Args:
        config: of the maze, the network that is chosen at first, and the training; the largest maze has side
            17, since the ideal agent is its mark. By default the preset "quick" in a maze of side 7, with
            100 steps, 32 neurons and 16 episodes in a batch.
        title, caption: set above and below.
        laboratory: offer to take the network to the laboratory of the page, which `learner_laboratory` makes.

    Raises:
        ValueError: the config asks for something that the page does not do.

    Example:
        >>> from bpa.show.learner import train_in_page
        >>> train_in_page()
        <live figure: Train an agent in this page>
    """
    training = training_settings(config)
    chosen = {name: getattr(config, name) for name in ("cell", "plasticity", "rule")}
    if chosen not in VARIANTS.values():
        names = " or ".join(", ".join(fields.values()) for fields in VARIANTS.values())
        got = ", ".join(chosen.values())
        raise ValueError(f"cell, plasticity and rule must be {names} to learn in a page, got {got}")
    maze = config.size, config.episode_length, config.reward, config.wall_penalty
    parameters = count_parameters(build_network(config))
    data = {
        "maze": maze_settings(*maze),
        "training": training,
        "first": {
            "initialWeight": config.initial_weight,
            "initialEta": config.initial_eta,
            "initialSelf": config.initial_self,
        },
        "variants": [offered(label, config, parameters) for label in VARIANTS],
        "chosen": list(VARIANTS.values()).index(chosen),
        "rates": sorted({*RATES, config.learning_rate}),
        "penalties": sorted({*PENALTIES, config.concentration_coef}),
        "ideal": expected_reward("ideal", *maze),
        "random": expected_reward("random", *maze),
        "hebbLimit": min(config.clip, 2.0),
        "format": FORMAT,
        "laboratory": bool(laboratory),
        "config": config.replace(out=None, resume=False, tensorboard=False).as_dict(),
    }
    scripts = [
        "numbers.js",
        "board.js",
        "maze.js",
        "network.js",
        "learn.js",
        "trainer.js",
        "safetensors.js",
        "train.js",
    ]
    return Live("train.html", scripts, data, title, caption, height=1100, downloads=True)


def learner_laboratory(
    config: TrainConfig = SMALL, title: str = "The laboratory of your agents", caption: str = ""
) -> Live:
    """A figure of `watch_agent` in the maze of the learner, for the networks that the learner hands over.

    At first it has a network with the random weights of `bpa.train`. Each one that comes stands beside it, so
    that the reader may compare; the last four are kept. One such figure goes on a page.

    Args:
        config: as for `train_in_page`.
        title, caption: set above and below.

    Example:
        >>> from bpa.show.learner import learner_laboratory
        >>> learner_laboratory()
        <live figure: The laboratory of your agents>
    """
    net = build_network(config, generator=torch.Generator(device="cpu").manual_seed(config.seed))
    return watch_agent(
        {"untrained": cast(Network | LSTM, net)},
        config.size,
        config.episode_length,
        config.reward,
        config.wall_penalty,
        title=title,
        caption=caption,
        receives=True,
        name="laboratory",
    )

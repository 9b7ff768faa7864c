"""Advantage actor-critic through a lifetime of plasticity: the loss and the loop. [2019, sec. 4.2]"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from bpa import runs
from bpa.arguments import require_choice, require_number, require_shape
from bpa.config import BASELINES, TrainConfig
from bpa.maze import GridMaze
from bpa.network import Network
from bpa.rollout import draw_chance, rollout
from bpa.runs import Checkpoint, Record

__all__ = ["Diverged", "TrainConfig", "TrainResult", "a2c_loss", "discounted_returns", "train"]


class Diverged(ArithmeticError):
    """A loss or a gradient is not finite; the weights before it are kept."""


class TrainResult(NamedTuple):
    """What a training run gives."""

    network: Network
    history: list[Record]
    config: TrainConfig


def discounted_returns(rewards: Tensor, gamma: float) -> Tensor:
    """R_t = r_t + gamma R_{t+1}, with R_T = 0: rewards [T, ...] -> returns [T, ...]."""
    returns = torch.empty_like(rewards)
    following = torch.zeros_like(rewards[0])
    for t in range(len(rewards) - 1, -1, -1):
        following = rewards[t] + gamma * following
        returns[t] = following
    return returns


def a2c_loss(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    rewards: Tensor,
    gamma: float = 0.9,
    value_coef: float = 0.1,
    concentration_coef: float = 0.03,
    baseline: str = "own",
) -> Tensor:
    """The advantage actor-critic loss as published, a scalar.

    [ sum_t mean_b( -log pi(a) (R - V).detach() ) + value_coef sum_t mean_b (R - V)^2
      + concentration_coef sum_t mean_b sum_a pi(a)^2 ] / T

    The last term is the Simpson index of the policy: it grows as the policy concentrates on one action.

    Args:
        logits: [T, B, A]. values: [T, B]. actions: int64 [T, B], each below A. rewards: [T, B].
        gamma: discount a step, 0 to 1.
        value_coef, concentration_coef: at least 0.
        baseline: "own", V is each episode's own value; "first", V is the value of the batch's first episode
            for all of them, the slip of the published code.

    Raises:
        ValueError: a shape or a number does not fit.
    """
    require_shape("logits", logits, ("T", "B", "A"))
    T, B, _ = logits.shape
    for name, value in (("values", values), ("actions", actions), ("rewards", rewards)):
        require_shape(name, value, (T, B))
    require_number("gamma", gamma, low=0, high=1)
    require_number("value_coef", value_coef, low=0)
    require_number("concentration_coef", concentration_coef, low=0)
    require_choice("baseline", baseline, BASELINES)

    if baseline == "first":
        values = values[:, :1].expand(T, B)
    log_policy = torch.log_softmax(logits, dim=-1)
    log_taken = log_policy.gather(-1, actions[..., None])[..., 0]
    advantage = discounted_returns(rewards, gamma) - values
    policy_loss = (-log_taken * advantage.detach()).mean(1).sum()
    value_loss = advantage.square().mean(1).sum()
    concentration = log_policy.exp().square().sum(-1).mean(1).sum()
    return (policy_loss + value_coef * value_loss + concentration_coef * concentration) / T


def checkpoint_of(
    config: TrainConfig,
    iteration: int,
    seconds: float,
    net: Network,
    optimizer: torch.optim.Adam,
    generator: torch.Generator,
) -> Checkpoint:
    """All that a run needs to go on after `iteration`. Adam's tensors are named after their parameters."""
    tensors = {f"network.{name}": tensor for name, tensor in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = value
    return Checkpoint(config, iteration, seconds, tensors | {"generator": generator.get_state()})


def restore(
    path: Path, checkpoint: Checkpoint, net: Network, optimizer: torch.optim.Adam, generator: torch.Generator
) -> None:
    """Put the run back to where the checkpoint at `path` was taken; ValueError names what does not fit."""
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "generator": {}}
    for name, tensor in checkpoint.tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    runs.load_state(path, net, parts["network"])
    for name, parameter in net.named_parameters():
        keys = ("step", "exp_avg", "exp_avg_sq")
        held = {key: parts["optimizer"].get(f"{name}.{key}") for key in keys}
        if any(value is not None for value in held.values()):
            for key, value in held.items():
                shape = () if key == "step" else tuple(parameter.shape)
                require_shape(f"{path}: optimizer.{name}.{key}", value, shape, like=parameter)
            optimizer.state[parameter] = held
    if "" not in parts["generator"]:
        raise ValueError(f"{path} lacks the tensor 'generator'")
    try:
        generator.set_state(parts["generator"][""])
    except (RuntimeError, TypeError):
        raise ValueError(f"{path}: the tensor 'generator' is not the state of a generator") from None


def train(config: TrainConfig, watch: Callable[[Network, list[Record]], None] | None = None) -> TrainResult:
    """Train a network in the grid maze, as `config` says; write its folder if `config.out` names one.

    The same config gives the same weights. No global random state is touched.

    Args:
        config: the settings.
        watch: called after every iteration with the network and the history so far, which it must not
            change. A notebook can draw a learning curve with it, or keep copies of the weights.

    Raises:
        ValueError: `config.out` exists and is not resumed, or cannot be resumed.
        Diverged: a loss or gradient is not finite. The folder keeps the weights from before that iteration.
    """
    generator = torch.Generator().manual_seed(config.seed)
    net = runs.build_network(config, generator)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate, eps=config.adam_eps)
    history: list[Record] = []
    folder: Path | None = None
    begun, seconds_before = 0, 0.0
    if config.resume and config.out is not None:
        folder = Path(config.out)
        checkpoint = runs.load_checkpoint(folder)
        runs.refuse_other_settings(checkpoint.config, config)
        restore(folder / runs.CHECKPOINT, checkpoint, net, optimizer, generator)
        begun, seconds_before = checkpoint.iteration, checkpoint.seconds
        history = runs.read_history(folder / "history.csv", up_to=begun)
        runs.write_config(folder, config)
        runs.write_history(folder / "history.csv", history)
    elif config.out is not None:
        folder = runs.create_folder(config.out, checkpoint_of(config, 0, 0.0, net, optimizer, generator))

    maze = GridMaze(
        config.size,
        config.batch_size,
        config.episode_length,
        config.reward,
        config.wall_penalty,
        generator=generator,
    )
    started = time.perf_counter()
    progress = tqdm(
        range(begun + 1, config.iterations + 1),
        initial=begun,
        total=config.iterations,
        disable=config.quiet,
        unit="it",
    )
    for iteration in progress:
        luck_before = generator.get_state()
        trajectory = rollout(
            net, maze, draw_chance(config.episode_length, config.batch_size, generator), config.engine
        )
        loss = a2c_loss(
            trajectory.logits,
            trajectory.values,
            trajectory.actions,
            trajectory.rewards,
            config.gamma,
            config.value_coef,
            config.concentration_coef,
            config.baseline,
        )
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), config.max_gradient_norm).item()
        if not (math.isfinite(norm) and math.isfinite(loss.item())):
            if folder is not None:
                generator.set_state(luck_before)
                seconds = seconds_before + time.perf_counter() - started
                runs.save_checkpoint(
                    folder, checkpoint_of(config, iteration - 1, seconds, net, optimizer, generator)
                )
                runs.save_weights(folder / "weights.safetensors", net, config)
            raise Diverged(
                f"iteration {iteration}: the loss is {loss.item():g} and the gradient norm {norm:g}; "
                f"the weights of iteration {iteration - 1} are kept; a smaller learning rate may help"
            )
        if iteration > config.warmup_iterations:
            optimizer.step()

        seconds = seconds_before + time.perf_counter() - started
        reward = trajectory.rewards.sum(0).mean().item()
        history.append(Record(iteration, reward, loss.item(), norm, seconds))
        if folder is not None:
            with open(folder / "history.csv", "a") as file:
                file.write(",".join(map(repr, history[-1])) + "\n")
        if folder is not None and (
            iteration % config.checkpoint_every == 0 or iteration == config.iterations
        ):
            runs.save_checkpoint(folder, checkpoint_of(config, iteration, seconds, net, optimizer, generator))
        recent = history[-100:]
        progress.set_postfix_str(
            f"reward {sum(record.reward for record in recent) / len(recent):.1f}, "
            f"{config.batch_size * (iteration - begun) / (time.perf_counter() - started):.0f} episodes/s",
            refresh=False,
        )
        if watch is not None:
            watch(net, history)
    if folder is not None:
        runs.save_weights(folder / "weights.safetensors", net, config)
    return TrainResult(net, history, config)

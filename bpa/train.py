"""The training loop: an agent that is rewarded, or a network that is given lessons."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from bpa import runs
from bpa.a2c import a2c_loss, discounted_returns
from bpa.arguments import require_shape
from bpa.config import TrainConfig
from bpa.descent import Diverged, clipped_gradient, refuse_divergence
from bpa.rollout import draw_luck, rollout
from bpa.runs import Checkpoint
from bpa.supervised import lesson_accuracy, lesson_loss
from bpa.worlds import REWARDED, build_world

__all__ = ["Diverged", "TrainConfig", "TrainResult", "a2c_loss", "discounted_returns", "train"]


class TrainResult(NamedTuple):
    """What a training run gives."""

    network: Any  # a `bpa.Network`, or a `bpa.lstm.LSTM` if the config asks for one
    history: list[Any]  # of `bpa.runs.Record`, or `LessonRecord` where the task gives lessons
    config: TrainConfig


def reward_loss(net: Any, world: Any, config: TrainConfig) -> tuple[Tensor, float]:
    """The actor-critic loss of a batch of new episodes, and their mean reward."""
    seen = rollout(net, world, draw_luck(world), config.engine)
    loss = a2c_loss(
        seen.logits,
        seen.values,
        seen.actions,
        seen.rewards,
        config.gamma,
        config.value_coef,
        config.concentration_coef,
        config.baseline,
    )
    return loss, seen.rewards.sum(0).mean().item()


def study_loss(net: Any, world: Any, config: TrainConfig) -> tuple[Tensor, float]:
    """The loss of a new lesson, and the share of right answers."""
    lesson = world.sample()
    outputs = net.unroll(lesson.inputs, engine=config.engine).logits
    return lesson_loss(outputs, lesson), lesson_accuracy(outputs.detach(), lesson)


def checkpoint_of(
    config: TrainConfig,
    iteration: int,
    seconds: float,
    net: Any,
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
    path: Path, checkpoint: Checkpoint, net: Any, optimizer: torch.optim.Adam, generator: torch.Generator
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


def train(config: TrainConfig, watch: Callable[[Any, list[Any]], None] | None = None) -> TrainResult:
    """Train a network as `config` says; write its folder if `config.out` names one.

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
    history: list[Any] = []
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
        runs.write_history(folder, config, history)
    elif config.out is not None:
        folder = runs.create_folder(config.out, checkpoint_of(config, 0, 0.0, net, optimizer, generator))

    def save(iteration: int) -> None:
        """Keep the run as it stands after `iteration`."""
        if folder is not None:
            taken = checkpoint_of(config, iteration, seconds_so_far(), net, optimizer, generator)
            runs.save_checkpoint(folder, taken)

    def seconds_so_far() -> float:
        return seconds_before + time.perf_counter() - started

    world = build_world(config, generator=generator)
    objective = reward_loss if config.task in REWARDED else study_loss
    kind = runs.record_kind(config)
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
        loss, score = objective(net, world, config)
        norm = clipped_gradient(loss, net, config.max_gradient_norm)
        try:
            refuse_divergence(iteration, loss.item(), norm)
        except Diverged:
            generator.set_state(luck_before)
            save(iteration - 1)
            if folder is not None:
                runs.save_weights(folder / "weights.safetensors", net, config)
            raise
        if iteration > config.warmup_iterations:
            optimizer.step()

        history.append(kind(iteration, score, loss.item(), norm, seconds_so_far()))
        if folder is not None:
            runs.append_history(folder, history[-1])
        if iteration % config.checkpoint_every == 0 or iteration == config.iterations:
            save(iteration)
        recent = [record[1] for record in history[-100:]]
        progress.set_postfix_str(
            f"{kind._fields[1]} {sum(recent) / len(recent):.3g}, "
            f"{config.batch_size * (iteration - begun) / (time.perf_counter() - started):.0f} episodes/s",
            refresh=False,
        )
        if watch is not None:
            watch(net, history)
    if folder is not None:
        runs.save_weights(folder / "weights.safetensors", net, config)
    return TrainResult(net, history, config)

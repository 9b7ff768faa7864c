"""The training loop: an agent that is rewarded, or a network that is given lessons."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bpa import runs
from bpa.a2c import a2c_loss, discounted_returns
from bpa.config import TrainConfig
from bpa.descent import (
    Diverged,
    bad_numbers,
    build_optimizers,
    clip_gradient,
    fault,
    gradient_norm,
    load_optimizer_state,
    optimizer_state,
    scheduled,
)
from bpa.engines import room_for_loops
from bpa.interrupt import deferred_signals
from bpa.parallel import Team, average_gradients, join_team, own_device, summed, values_of_the_first
from bpa.progress import EventFiles, Progress, summary_writer
from bpa.rollout import draw_luck, rollout
from bpa.runs import Checkpoint
from bpa.supervised import lesson_accuracy, lesson_loss
from bpa.worlds import REWARDED, build_world

__all__ = ["Diverged", "TrainConfig", "TrainResult", "a2c_loss", "discounted_returns", "train"]

MOST_LEFT_OUT = 100  # steps left out in a row, after which a run is given up

log = logging.getLogger("bpa")


class TrainResult(NamedTuple):
    """What a training run gives."""

    network: Any  # a `bpa.Network`, or a `bpa.lstm.LSTM` if the config asks for one
    history: list[Any]  # of `bpa.runs.Record`, or `LessonRecord` where the task gives lessons
    config: TrainConfig


class Learner(NamedTuple):
    """What a run changes, and its one source of chance."""

    net: Any
    optimizers: list[torch.optim.Optimizer]
    generator: torch.Generator


class Outcome(NamedTuple):
    """What one batch of episodes gave."""

    loss: Tensor
    score: float  # mean reward per episode, or share of right answers
    hidden: Any  # the state after the last step


def be_rewarded(net: Any, world: Any, config: TrainConfig, team: Team) -> Outcome:
    """Live through a batch of new episodes; the loss is that of the actor-critic."""
    chance = draw_luck(world)
    if team.size > 1:
        chance = chance.part(team.share(config.batch_size))
        world = build_world(config, chance.action.shape[1], world.generator, device=world.device)
    seen = rollout(net, world, chance, config.engine)
    values, baseline = seen.values, config.baseline
    if team.size > 1 and baseline == "first":  # of the whole batch, not of this share
        values, baseline = values_of_the_first(team, values), "own"
    loss = a2c_loss(
        seen.logits,
        values,
        seen.actions,
        seen.rewards,
        config.gamma,
        config.value_coef,
        config.concentration_coef,
        baseline,
        config.gae_lambda,
    )
    return Outcome(loss, seen.rewards.sum(0).mean().item(), seen.hidden)


def be_taught(net: Any, world: Any, config: TrainConfig, team: Team) -> Outcome:
    """Sit through a batch of new lessons; the loss is what the answers lack."""
    lesson = world.sample()
    weight = 1.0
    if team.size > 1:
        counting = lesson.mask.sum()
        lesson = lesson.part(team.share(config.batch_size))
        weight = (lesson.mask.sum() * team.size / counting).item()  # shares need not ask equally much
    out = net.unroll(lesson.inputs, engine=config.engine)
    accuracy = lesson_accuracy(out.logits.detach(), lesson)
    return Outcome(lesson_loss(out.logits, lesson) * weight, accuracy * weight, out.hidden)


def checkpoint_of(
    config: TrainConfig,
    iteration: int,
    seconds: float,
    learner: Learner,
    scale: float = 1.0,
    left_out: int = 0,
) -> Checkpoint:
    """All that a run needs to go on after `iteration`."""
    net, optimizers, generator = learner
    tensors = {f"network.{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer_state(net, optimizers).items()}
    tensors["generator"] = generator.get_state()
    return Checkpoint(config, iteration, seconds, tensors, scale, left_out)


def restore(path: Path, checkpoint: Checkpoint, learner: Learner) -> None:
    """Put the run back to where the checkpoint at `path` was taken; ValueError names what does not fit."""
    net, optimizers, generator = learner
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "generator": {}}
    for name, tensor in checkpoint.tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    runs.load_state(path, net, parts["network"])
    load_optimizer_state(f"{path}: optimizer", net, optimizers, parts["optimizer"])
    if "" not in parts["generator"]:
        raise ValueError(f"{path} lacks the tensor 'generator'")
    try:
        generator.set_state(parts["generator"][""])
    except (RuntimeError, TypeError):
        raise ValueError(f"{path}: the tensor 'generator' is not the state of a generator") from None


def begin(
    config: TrainConfig, learner: Learner, team: Team, stack: contextlib.ExitStack
) -> tuple[Checkpoint, list[Any]]:
    """Make the run folder or go on in it: the checkpoint to go on from, and the history up to it.

    The first process keeps all others out of the folder until `stack` is closed.
    """
    fresh = checkpoint_of(config, 0, 0.0, learner)
    if config.out is None:
        return fresh, []
    folder = Path(config.out)
    if not config.resume:
        if team.rank == 0:
            runs.create_folder(config.out, fresh)
            stack.enter_context(runs.written_alone(folder))
        return fresh, []
    if team.rank == 0 and os.path.exists(folder / runs.CHECKPOINT):
        stack.enter_context(runs.written_alone(folder))
    checkpoint = runs.load_checkpoint(folder)
    runs.refuse_other_settings(checkpoint.config, config)
    if checkpoint.iteration > config.iterations:
        raise ValueError(
            f"{folder / runs.CHECKPOINT} is of iteration {checkpoint.iteration}, after the last one, "
            f"{config.iterations}"
        )
    restore(folder / runs.CHECKPOINT, checkpoint, learner)
    history = runs.read_history(folder / "history.csv", up_to=checkpoint.iteration)
    if team.rank == 0:
        runs.rewrite(folder, config, history, learner.net)
    return checkpoint, history


def stopped_after(iteration: int, config: TrainConfig, writes: bool) -> str:
    """What is said of a run that was stopped after this iteration."""
    kept = "nothing is kept"
    if writes and iteration == config.iterations:
        kept = f"it was the last one, and {config.out} is complete"
    elif writes:
        kept = f"go on with: bpa train --resume --out {shlex.quote(config.out or '')}"
    return f"stopped after iteration {iteration}; {kept}"


def train(config: TrainConfig, watch: Callable[[Any, list[Any]], None] | None = None) -> TrainResult:
    """Train a network as `config` says; write its folder if `config.out` names one.

    The same config gives the same weights. No global random state is touched. Ctrl-C and SIGTERM wait for
    the end of the iteration and keep it; a second one does not wait. Under torchrun each process takes an
    equal share of the batch, and the first one writes.

    Args:
        config: the settings.
        watch: called after every iteration with the network and the history so far, which it must not
            change. A notebook can draw a learning curve with it, or keep copies of the weights.

    Raises:
        ValueError: `config.out` exists and is not resumed, or cannot be resumed.
        Diverged: a loss, gradient or trace is beyond all bounds, and `config.on_divergence` does not pass it
            over. The folder keeps the weights from before that iteration.
        KeyboardInterrupt: the run was stopped; the folder keeps what it has learned, and can be resumed.
    """
    device = own_device(config.torch_device())
    team = join_team(device)
    team.share(config.batch_size)
    if config.tensorboard:
        summary_writer()  # refuses, as all that may refuse does, before anything is made
    generator = torch.Generator(device="cpu").manual_seed(config.seed)
    net = runs.build_network(config, generator).to(device)
    optimizers = build_optimizers(net, config.optimizer, config.learning_rate, config.adam_eps)
    learner = Learner(net, optimizers, generator)
    world = build_world(config, generator=generator, device=device)
    live = be_rewarded if config.task in REWARDED else be_taught
    kind = runs.record_kind(config)
    writes = config.out is not None and team.rank == 0
    folder = Path(config.out or "")
    with contextlib.ExitStack() as stack:
        stack.enter_context(room_for_loops(config.engine, net, world if config.task in REWARDED else None))
        stops = stack.enter_context(deferred_signals())
        checkpoint, history = begin(config, learner, team, stack)
        scale, left_out = checkpoint.learning_rate_scale, checkpoint.left_out
        begun = checkpoint.iteration
        started = time.perf_counter() - checkpoint.seconds
        del checkpoint  # three times the network, in memory

        def keep(iteration: int) -> None:
            """Write the run as it stands after `iteration`."""
            if writes:
                seconds = time.perf_counter() - started
                runs.save_checkpoint(
                    folder, checkpoint_of(config, iteration, seconds, learner, scale, left_out)
                )
                runs.save_weights(folder / "weights.safetensors", net, config)

        events = EventFiles(folder, begun) if config.tensorboard and team.rank == 0 else None
        if events is not None:
            stack.enter_context(contextlib.closing(events))
        quiet = config.quiet or team.rank > 0
        progress = Progress(begun, config.iterations, kind._fields[1], config.batch_size, quiet)
        stack.enter_context(contextlib.closing(progress))
        for iteration in range(begun + 1, config.iterations + 1):
            luck_before = generator.get_state()
            net.zero_grad()
            outcome = live(net, world, config, team)
            outcome.loss.backward()
            average_gradients(team, net)
            mine = [outcome.loss.item() / team.size, outcome.score / team.size]
            mine += [bad_numbers(outcome.hidden), len(stops)]
            loss, score, bad_traces, stopped = summed(team, mine, like=outcome.loss)
            norm = gradient_norm(net)
            reason = fault(loss, norm, config.gradient_norm_limit, bad_traces)
            if reason is None:
                left_out = 0
                if iteration > config.warmup_iterations:
                    clip_gradient(net, norm, config.max_gradient_norm)
                    factor = scheduled(config.learning_rate_schedule, iteration, config.iterations) * scale
                    for optimizer in optimizers:
                        optimizer.param_groups[0]["lr"] = config.learning_rate * factor
                        optimizer.step()
            elif config.on_divergence == "stop" or left_out == MOST_LEFT_OUT:
                generator.set_state(luck_before)
                keep(iteration - 1)
                raise Diverged(
                    f"iteration {iteration}: {reason}; the weights of iteration {iteration - 1} are kept; "
                    "a smaller learning rate may help"
                )
            else:
                left_out += 1
                scale /= 2 if config.on_divergence == "halve-lr" else 1
                log.warning(
                    "iteration %d: %s; its step is left out, the learning rate is %g times the one set",
                    iteration,
                    reason,
                    scale,
                )

            if team.size == 1:  # a team must stop as one, an iteration later
                stopped = len(stops)
            history.append(kind(iteration, score, loss, norm, time.perf_counter() - started))
            if writes:
                runs.append_history(folder, history[-1])
            if events is not None:
                events.write(history[-1])
            if iteration % config.checkpoint_every == 0 or iteration == config.iterations or stopped:
                keep(iteration)
            progress.update(history)
            if watch is not None:
                watch(net, history)
            if stopped:
                raise KeyboardInterrupt(stopped_after(iteration, config, writes))
        if stops:  # after the last iteration
            raise KeyboardInterrupt(stopped_after(config.iterations, config, writes))
    return TrainResult(net, history, config)

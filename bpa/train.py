"""The training loop: an agent that is rewarded, or a network that is told what was right."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from bpa.cells.base import RecurrentPolicy, SequencePolicy, load_state, require_policy
from bpa.engines import room_for_loops
from bpa.envs.base import Environment, Noise, entry, require_environment
from bpa.tasks.base import SupervisedTask
from bpa.training import checkpoint as runs
from bpa.training.a2c import a2c_loss, discounted_returns
from bpa.training.checkpoint import Checkpoint, History, Record, given_cell
from bpa.training.config import OWN, TrainConfig
from bpa.training.distributed import (
    Team,
    average_gradients,
    join_team,
    own_device,
    summed,
    values_of_the_first,
)
from bpa.training.optim import (
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
from bpa.training.progress import EventFiles, Progress, summary_writer
from bpa.training.rollout import require_fit, rollout, sample_noise, seeded
from bpa.training.signals import deferred_signals
from bpa.training.supervised import batch_accuracy, batch_loss, require_answers
from bpa.training.tasks import build_task

__all__ = ["Diverged", "TrainConfig", "TrainResult", "a2c_loss", "discounted_returns", "train"]

NO_REPLAY = "without it the noise of an episode cannot be drawn again"
MOST_LEFT_OUT = 100  # steps left out in a row, after which a run is given up

log = logging.getLogger("bpa")


Watch: TypeAlias = Callable[[RecurrentPolicy, History], None]  # what looks on as a run is on its way


class TrainResult(NamedTuple):
    """What a training run gives."""

    network: RecurrentPolicy  # that of the config, a `bpa.Network` by default, or a trained copy
    history: History
    config: TrainConfig  # with the settings of an environment and a network that were given


class Outcome(NamedTuple):
    """What one batch of episodes gave."""

    loss: Tensor
    score: float  # mean reward per episode, or share of right answers
    hidden: Any  # the state after the last step


@dataclasses.dataclass
class Run:
    """A run on its way: what it changes, its one source of noise, and how far it has come."""

    config: TrainConfig
    net: RecurrentPolicy
    task: Environment | SupervisedTask
    generator: torch.Generator
    team: Team
    early_task: Environment | None = None  # of the first iterations, where they are in another maze
    history: History = dataclasses.field(default_factory=list)
    iteration: int = 0  # the last that is done
    scale: float = 1.0  # what divergences have left of the learning rate
    left_out: int = 0  # steps left out one after the other, up to now
    left_out_in_all: int = 0  # steps left out since the run began
    seconds_before: float = 0.0  # of this run, in earlier processes

    def __post_init__(self) -> None:
        config = self.config
        self.optimizers = build_optimizers(self.net, config.optimizer, config.learning_rate, config.adam_eps)
        self.record = runs.record_kind(config)
        self.folder = Path(config.out or "")
        self.writes = config.out is not None and self.team.rank == 0
        self.started = time.perf_counter()

    def seconds(self) -> float:
        """Since the run began, stops not counted."""
        return self.seconds_before + time.perf_counter() - self.started

    def checkpoint(self) -> Checkpoint:
        """All that the run needs to go on."""
        tensors = {f"network.{name}": tensor for name, tensor in self.net.state_dict().items()}
        state = optimizer_state(self.net, self.optimizers)
        tensors |= {f"optimizer.{name}": value for name, value in state.items()}
        tensors["generator"] = self.generator.get_state()
        left_out = self.left_out, self.left_out_in_all
        return Checkpoint(self.config, self.iteration, self.seconds(), tensors, self.scale, *left_out)

    def keep(self) -> None:
        """Write the run as it stands."""
        if self.writes:
            runs.save_checkpoint(self.folder, self.checkpoint())
            runs.save_weights(self.folder / "weights.safetensors", self.net, self.config)


def reinforce(run: Run) -> Outcome:
    """A batch of new episodes in which an agent acts; the loss is that of the actor-critic."""
    config, team = run.config, run.team
    env = cast(Environment, run.task)
    if run.early_task is not None and run.iteration < config.early_iterations:
        env = run.early_task
    noise = sample_noise(env, run.generator)
    if team.size > 1:
        env, noise = shard_of(env, cast(Noise, noise), team.shard(config.batch_size))
    seen = rollout(run.net, env, noise, config.engine)
    values, baseline, weight = seen.values, config.baseline, 1.0
    falling = scheduled(config.concentration_schedule, run.iteration + 1, config.iterations)
    if team.size > 1:  # shards need not have equally many steps
        steps = float(values.numel() if seen.mask is None else seen.mask.sum())
        weight = steps * team.size / summed(team, [steps], like=values)[0]
    if team.size > 1 and baseline == "first":  # of the whole batch, not of this shard
        padded = torch.nn.functional.pad(values, (0, 0, 0, env.episode_length - len(values)))
        values, baseline = values_of_the_first(team, padded)[: len(values)], "own"
    loss = a2c_loss(
        seen.logits,
        values,
        seen.actions,
        seen.rewards,
        config.gamma,
        config.value_coef,
        config.concentration_coef * falling,
        baseline,
        config.gae_lambda,
        seen.mask,
        seen.bootstrap,
    )
    return Outcome(loss * weight, seen.rewards.sum(0).mean().item(), seen.hidden)


def shard_of(env: Environment, noise: Noise, part: slice) -> tuple[Environment, Noise]:
    """The environment for some of its episodes, and their noise."""
    smaller = copy.copy(env)
    smaller.batch_size = part.stop - part.start
    return smaller, noise.shard(part)


def supervise(run: Run) -> Outcome:
    """A batch of a supervised task; the loss is what the answers lack."""
    net, task = cast(SequencePolicy, run.net), cast(SupervisedTask, run.task)  # as `train` has made sure
    batch = task.sample()
    weight = 1.0
    if run.team.size > 1:
        counting = batch.mask.sum()
        batch = batch.shard(run.team.shard(run.config.batch_size))
        weight = (batch.mask.sum() * run.team.size / counting).item()  # shards need not ask equally much
    out = net.unroll(batch.inputs, engine=run.config.engine)
    accuracy = batch_accuracy(out.logits.detach(), batch)
    return Outcome(batch_loss(out.logits, batch) * weight, accuracy * weight, out.hidden)


def restore(path: Path, checkpoint: Checkpoint, run: Run) -> None:
    """Put the run back to where the checkpoint at `path` was taken; ValueError names what does not fit."""
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "generator": {}}
    for name, tensor in checkpoint.tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    load_state(path, run.net, parts["network"])
    load_optimizer_state(f"{path}: optimizer", run.net, run.optimizers, parts["optimizer"])
    if "" not in parts["generator"]:
        raise ValueError(f"{path} lacks the tensor 'generator'")
    try:
        run.generator.set_state(parts["generator"][""])
    except (RuntimeError, TypeError):
        raise ValueError(f"{path}: the tensor 'generator' is not the state of a generator") from None
    run.iteration, run.seconds_before = checkpoint.iteration, checkpoint.seconds
    run.scale = checkpoint.learning_rate_scale
    run.left_out, run.left_out_in_all = checkpoint.left_out, checkpoint.left_out_in_all


def begin(run: Run, stack: contextlib.ExitStack) -> None:
    """Make the run folder, or go on in it from its last checkpoint.

    The first process keeps all others out of the folder until `stack` is closed.
    """
    config, folder, first = run.config, run.folder, run.team.rank == 0
    if config.out is None:
        return
    if not config.resume:
        if first:
            runs.create_folder(config.out, run.checkpoint())
            stack.enter_context(runs.written_alone(folder))
        return
    if first and os.path.exists(folder / runs.CHECKPOINT):
        stack.enter_context(runs.written_alone(folder))
    checkpoint = runs.load_checkpoint(folder)
    runs.refuse_other_settings(checkpoint.config, config)
    if checkpoint.iteration > config.iterations:
        raise ValueError(
            f"{folder / runs.CHECKPOINT} is of iteration {checkpoint.iteration}, after the last one, "
            f"{config.iterations}"
        )
    restore(folder / runs.CHECKPOINT, checkpoint, run)
    run.history = runs.read_history(folder / "history.csv", up_to=checkpoint.iteration)
    if first:
        runs.rewrite(folder, config, run.history, run.net)


def advance(run: Run, stops: list[int]) -> bool:
    """One iteration: a batch of episodes and a step of the optimisers. Whether the run is to be stopped.

    Raises:
        Diverged: the step may not be taken, nor left out. The run is kept as it was before it.
    """
    config, team, noise_before = run.config, run.team, run.generator.get_state()
    run.net.zero_grad()
    outcome = (reinforce if run.record is Record else supervise)(run)
    outcome.loss.backward()
    average_gradients(team, run.net)
    mine = [outcome.loss.item() / team.size, outcome.score / team.size]
    mine += [bad_numbers(outcome.hidden), len(stops)]
    loss, score, bad_traces, stopped = summed(team, mine, like=outcome.loss)
    norm, iteration = gradient_norm(run.net), run.iteration + 1
    reason = fault(loss, norm, config.gradient_norm_limit, bad_traces)
    if reason is None:
        run.left_out = 0
        if iteration > config.warmup_iterations:
            clip_gradient(run.net, norm, config.max_gradient_norm)
            factor = scheduled(config.learning_rate_schedule, iteration, config.iterations) * run.scale
            for optimizer in run.optimizers:
                optimizer.param_groups[0]["lr"] = config.learning_rate * factor
                optimizer.step()
    elif config.on_divergence == "stop" or run.left_out == MOST_LEFT_OUT:
        run.generator.set_state(noise_before)
        run.keep()
        raise Diverged(
            f"iteration {iteration}: {reason}; the weights of iteration {run.iteration} are kept; "
            "a smaller learning rate may help"
        )
    else:
        run.left_out += 1
        run.left_out_in_all += 1
        run.scale /= 2 if config.on_divergence == "halve-lr" else 1
        left = "iteration %d: %s; its step is left out, the learning rate is %g times the one set"
        log.warning(left, iteration, reason, run.scale)
    run.iteration = iteration
    run.history.append(run.record(iteration, score, loss, norm, run.seconds()))
    return bool(len(stops) if team.size == 1 else stopped)  # a team must stop as one, an iteration later


def stopped_after(run: Run) -> str:
    """What is said of a run that was stopped."""
    kept, out = "nothing is kept", run.config.out
    if run.writes and run.iteration == run.config.iterations:
        kept = f"it was the last one, and {out} is complete"
    elif run.writes and OWN in (run.config.task, run.config.cell):
        kept = f"go on with: train(config.replace(resume=True), ...), which needs {out}"
        if run.config.task == OWN and not hasattr(run.task, "sample_noise"):
            kept = f"{out} keeps the weights, and cannot be resumed: {NO_REPLAY}"
    elif run.writes:
        kept = f"go on with: bpa train --resume --out {shlex.quote(out or '')}"
    return f"stopped after iteration {run.iteration}; {kept}"


def with_given(config: TrainConfig, env: Environment | None, network: RecurrentPolicy | None) -> TrainConfig:
    """The config with the settings of an environment and a network that were given.

    Raises:
        ValueError: one of them lacks something.
    """
    if env is None and config.task == OWN:
        raise ValueError(f"task {OWN!r} needs env, the environment of your own")
    if network is None and config.cell == OWN:
        raise ValueError(f"cell {OWN!r} needs network, the network of your own")
    if env is not None:
        require_environment(env)
        config = config.replace(task=OWN, batch_size=env.batch_size, episode_length=env.episode_length)
    if network is not None:
        require_policy(network)
    return config if network is None else config.replace(**given_cell(network))


def require_replay(env: Environment, config: TrainConfig, team: Team) -> None:
    """Raise ValueError if a run must draw the noise of episodes again and `env` cannot."""
    if hasattr(env, "sample_noise") or not (config.resume or team.size > 1):
        return
    asked = "resume needs" if config.resume else "several processes need"
    raise ValueError(f"{asked} an env with sample_noise, which {type(env).__name__} lacks: {NO_REPLAY}")


def train(
    config: TrainConfig,
    watch: Watch | None = None,
    env: Environment | None = None,
    network: RecurrentPolicy | None = None,
) -> TrainResult:
    """Train a network as `config` says; write its folder if `config.out` names one.

    The same config gives the same weights. No global random state is touched. Ctrl-C and SIGTERM wait for
    the end of the iteration and keep it; a second one does not wait. Under torchrun each process takes an
    equal shard of the batch, and the first one writes.

    Args:
        config: the settings.
        watch: called after every iteration with the network and the history so far, which it must not
            change. A notebook can draw a learning curve with it, or keep copies of the weights. Where it
            raises KeyboardInterrupt the run is stopped and kept.
        env: an environment of your own in place of the one that the config describes, see `bpa.envs.base`.
            Its sizes hold over the config's. One without `sample_noise` draws from PyTorch's global
            generator, which is seeded within and put back, and its runs cannot be resumed.
        network: a recurrent policy to go on with. It is copied, and its settings hold over the config's.

    Raises:
        ValueError: `config.out` exists and is not resumed, or cannot be resumed; or the environment or the
            network lacks something, or they do not fit.
        Diverged: a loss, gradient or trace is beyond all bounds, and `config.on_divergence` does not pass it
            over. The folder keeps the weights from before that iteration.
        KeyboardInterrupt: the run was stopped; the folder keeps what it has learned, and can be resumed.

    Example:
        >>> import bpa
        >>> config = bpa.TrainConfig(iterations=2, size=5, episode_length=20, hidden_size=10, quiet=True)
        >>> result = bpa.train(config)
        >>> result.network.hidden_size, [record.iteration for record in result.history]
        (10, [1, 2])
    """
    config = with_given(config, env, network)
    device = own_device(config.torch_device() if env is None else torch.device(getattr(env, "device", "cpu")))
    team = join_team(device)
    team.shard(config.batch_size)
    if config.tensorboard:
        summary_writer()  # refuses, as all that may refuse does, before anything is made
    with contextlib.ExitStack() as stack:
        made_by = entry(config.task) if env is None else None
        draws = made_by.load() if made_by is not None and made_by.rewarded else env
        generator = stack.enter_context(seeded(draws, config.seed))
        if network is None:
            shape = None if env is None else (env.observation_size, config.hidden_size, env.num_actions)
            net: RecurrentPolicy = runs.build_network(config, generator, shape).to(device)
        else:
            net = copy.deepcopy(network).to(device)
            vars(net).pop("published_program", None)  # its weights will be ours
        task: Environment | SupervisedTask = (
            build_task(config, generator=generator, device=device) if env is None else env
        )
        early = (
            build_task(config.early(), generator=generator, device=device)
            if config.early_iterations
            else None
        )
        run = Run(config, net, task, generator, team, early)
        acts_in = cast(Environment, task) if run.record is Record else None
        if acts_in is not None:
            require_fit(net, acts_in)
            require_replay(acts_in, config, team)
        elif network is not None:
            require_answers(cast(SequencePolicy, net), cast(SupervisedTask, task))
        stack.enter_context(room_for_loops(config.engine, net, acts_in))
        stops = stack.enter_context(deferred_signals())
        begin(run, stack)
        show = stack.enter_context(contextlib.closing(Display(run)))
        while run.iteration < config.iterations:
            stopped = advance(run, stops)
            if run.writes:
                runs.append_history(run.folder, run.history[-1])
            if run.iteration % config.checkpoint_every == 0 or run.iteration == config.iterations or stopped:
                run.keep()
            show.update()
            try:
                if watch is not None:
                    watch(net, run.history)
            except KeyboardInterrupt:
                if len(stops) < 2:  # it is not the second signal, which does not wait
                    run.keep()
                    raise KeyboardInterrupt(stopped_after(run)) from None
                raise
            if stopped:
                raise KeyboardInterrupt(stopped_after(run))
        if stops:  # after the last iteration
            raise KeyboardInterrupt(stopped_after(run))
    return TrainResult(net, run.history, config)


class Display:
    """What a run shows on its way: a line or a bar, and event files for TensorBoard."""

    def __init__(self, run: Run):
        config, first = run.config, run.team.rank == 0
        score, quiet = run.record._fields[1], config.quiet or not first
        self.history = run.history
        self.progress = Progress(run.iteration, config.iterations, score, config.batch_size, quiet)
        self.events = EventFiles(run.folder, run.iteration) if config.tensorboard and first else None

    def update(self) -> None:
        """Show the newest record."""
        if self.events is not None:
            self.events.write(self.history[-1])
        self.progress.update(self.history)

    def close(self) -> None:
        """Write what is left."""
        self.progress.close()
        if self.events is not None:
            self.events.close()

"""A policy meets an environment: what happened is a trajectory."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bpa import engines
from bpa.arguments import plain, require_flag, require_shape, require_uniform
from bpa.cells.base import RecurrentPolicy, require_policy
from bpa.engines.context import has_numbers
from bpa.engines.walking import Walk
from bpa.envs.base import Environment, Noise, require_environment
from bpa.noise import fresh_generator, uniform

SMALLEST = 2.0**-126  # the smallest normal number of float32; below it engines round differently


class Trajectory(NamedTuple):
    """What happened in a batch of episodes."""

    observations: Tensor  # [T, B, I]
    actions: Tensor  # int64 [T, B]
    rewards: Tensor  # [T, B]
    logits: Tensor  # [T, B, A]
    values: Tensor  # [T, B]
    modulation: Tensor | None  # [T, B], None without a modulator
    h: Tensor  # [T, B, H]
    hidden: Any  # the state after the last step, of the network's own kind
    mask: Tensor | None = None  # bool [T, B], the steps before each episode's end; None: all of them
    bootstrap: Tensor | None = None  # [T, B], the value where a time limit cut an episode off, 0 elsewhere


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample an action [B] from each policy softmax(logits) [B, A] by its uniform number [B].

    It is the first action at which the summed probabilities exceed the number, or the last that has one
    where rounding leaves their sum below it. An action of probability 0 is never taken, and what is too small
    for a normal number of float32 counts as 0. Without a policy, where a logit is NaN, it is action 0.
    """
    policy = torch.nn.functional.threshold(torch.softmax(logits, dim=-1), SMALLEST, 0.0)
    passed = (uniform[:, None] >= policy.cumsum(dim=-1)[:, :-1]).sum(dim=-1)
    places = torch.arange(policy.shape[-1], dtype=torch.int64, device=policy.device)
    return torch.minimum(passed, (places * (policy > 0)).amax(dim=-1))


def require_fit(net: RecurrentPolicy[Any], env: Environment) -> None:
    """Raise ValueError unless `env` is an environment and the network has its inputs and actions."""
    require_policy(net)
    require_environment(env)
    if (net.input_size, net.num_actions) != (env.observation_size, env.num_actions):
        raise ValueError(
            f"net must have {env.observation_size} inputs and {env.num_actions} actions for "
            f"{type(env).__name__}, got {net.input_size} and {net.num_actions}"
        )


def sample_noise(env: Environment, generator: torch.Generator | None = None) -> Noise | Tensor:
    """The noise of one batch of episodes in `env`, or of an environment that samples none, of the actions.

    Args:
        generator: of the numbers [T, B] for the actions, where the environment samples no noise.
    """
    if callable(draw := getattr(env, "sample_noise", None)):
        noise: Noise = draw()
        return noise
    numbers = uniform(env.episode_length, env.batch_size, generator=generator or fresh_generator())
    return numbers.to(getattr(env, "device", "cpu"))


@contextlib.contextmanager
def seeded(env: Any, seed: int) -> Iterator[torch.Generator]:
    """Within, the one source of noise of a run, seeded: the environment's own generator if it has one.

    `env` is the environment, or what will make it, or None.

    An environment that samples no noise may draw from PyTorch's global generator, which is seeded too. Both
    are put back.
    """
    generator = getattr(env, "generator", None)
    if not isinstance(generator, torch.Generator):
        generator = torch.Generator(device="cpu")
    before = generator.get_state()
    with contextlib.ExitStack() as stack:
        if env is not None and not hasattr(env, "sample_noise"):
            device = getattr(env, "device", None)
            on_card = isinstance(device, torch.device) and device.type == "cuda"
            stack.enter_context(torch.random.fork_rng([device] if on_card else []))
            torch.manual_seed(seed)
        generator.manual_seed(seed)
        try:
            yield generator
        finally:
            generator.set_state(before)


def rollout(
    net: RecurrentPolicy[Any],
    env: Environment,
    noise: Noise | Tensor | None = None,
    engine: str = "auto",
    greedy: bool = False,
) -> Trajectory:
    """Let `net` act in `env` for one batch of whole episodes, from the initial state.

    Gradients reach `net` through logits and values, unless grad mode is off. Actions are sampled.

    Args:
        net: a `Network`, or another recurrent policy, for the environment's inputs and actions.
        env: B episodes of T steps. It is reset first and left at its end.
        noise: see `sample_noise`, which is asked if None.
        engine: one of `bpa.engines.ENGINES`. A fast engine runs the environment inside its loop if it knows
            the rules, or else calls it after every step.
        greedy: take the likeliest action in place of a sampled one.

    Raises:
        ValueError: the network or the noise does not fit the environment, a number is out of range, what the
            environment gives is of another shape, the network has no numbers of its own, or the engine was
            asked for by name and cannot run this.
    """
    require_fit(net, env)
    noise = sample_noise(env) if noise is None else noise
    greedy = require_flag("greedy", greedy)
    T, B = env.episode_length, env.batch_size
    numbers = noise if isinstance(noise, Tensor) else getattr(noise, "action", None)
    if not isinstance(numbers, Tensor) or (isinstance(noise, Tensor) and hasattr(env, "sample_noise")):
        raise ValueError(
            f"noise must be drawn for {type(env).__name__}, as sample_noise does, got {type(noise).__name__}"
        )
    require_uniform("noise.action", numbers, (T, B), torch.device(getattr(env, "device", "cpu")))
    if not has_numbers(net.parameters()):
        raise ValueError("net must hold numbers that an environment can go by, got batched or fake tensors")
    chosen = engines.choose(engine, net, env)
    outside = engines.reason_outside(chosen, env, greedy)
    observation = env.reset() if isinstance(noise, Tensor) else env.reset(noise)  # type: ignore[call-arg]
    if outside is None:
        return Trajectory(*(chosen.act(net, env, noise, True) if greedy else chosen.act(net, env, noise)))
    if chosen is not engines.eager:
        engines.log_once(logging.INFO, f"the environment is called between the steps: {outside}")
    walk = engines.walk(chosen, net, T, B)
    return act(env, walk, observation, numbers, greedy, next(net.parameters()).dtype)


def require_sensed(env: Environment, observation: Tensor) -> None:
    """Raise ValueError unless an observation is [B, I] and finite."""
    require_shape("observation", observation, (env.batch_size, env.observation_size))
    if not torch.isfinite(observation).all():
        bad = int((~torch.isfinite(observation)).sum())
        raise ValueError(f"observation must be finite, got {bad} of {observation.numel()} that are not")


def taken(env: Environment, step: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What `env.step` gave: observation [B, I], reward [B], and done as bool [] or [B].

    Raises:
        ValueError: it is something else.
    """
    B = env.batch_size
    if not isinstance(step, tuple) or len(step) != 3:
        got = f"{len(step)} things" if isinstance(step, tuple) else type(step).__name__
        raise ValueError(f"env.step must return observation, reward and done, got {got}")
    observation, reward, done = step
    require_shape("observation", observation, (B, env.observation_size))
    require_shape("reward", reward, (B,))
    if not reward.is_floating_point():
        raise ValueError(f"reward must be torch.float32, got {reward.dtype}")
    try:
        over = done if isinstance(done, Tensor) else torch.from_numpy(np.asarray(plain(done)))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"done must be a bool or bool [{B}], got {type(done).__name__}") from None
    if over.dtype != torch.bool or tuple(over.shape) not in ((), (B,)):
        raise ValueError(f"done must be a bool or bool [{B}], got {over.dtype} {list(over.shape)}")
    return observation, reward, over


def act(
    env: Environment,
    walk: Walk,
    observation: Tensor,
    numbers: Tensor,
    greedy: bool,
    precision: torch.dtype,
) -> Trajectory:
    """`rollout` step by step, in an environment just reset and with a walk of this precision just begun."""
    B = env.batch_size
    time_limit = getattr(env, "time_limit", None)
    require_sensed(env, observation)
    running = torch.ones(B, dtype=torch.bool, device=observation.device)
    observation = observation.clone()  # an environment may write into its own once more
    seen: list[tuple[Tensor, ...]] = []  # observation, action, reward, mask, bootstrap
    for t in range(env.episode_length):
        logits, value = walk.step(observation.to(precision))
        require_shape("logits", logits, (B, env.num_actions))
        require_shape("value", value, (B,))
        action = logits.detach().argmax(-1) if greedy else sample(logits.detach(), numbers[t])
        ahead, reward, over = taken(env, env.step(action))
        cut = torch.zeros_like(reward, dtype=torch.float32)
        if time_limit is not None and (limit := time_limit()) is not None:
            cut = walk.value_of(limit[1].to(precision)) * limit[0]
        earned = torch.where(running, reward.to(torch.float32), 0)
        if not torch.isfinite(earned).all():
            raise ValueError(f"reward must be finite, got {earned[~torch.isfinite(earned)][0]:g}")
        seen.append((observation, action, earned, running, cut * running))
        running = running & ~over.to(running.device)
        if not running.any():
            break
        # Of an episode that is over the network goes on seeing the last: what comes then may be anything.
        observation = torch.where(running[:, None], ahead, observation)
        require_sensed(env, observation)
    observations, actions, rewards, mask, bootstrap = map(torch.stack, zip(*seen, strict=True))
    logits, values, modulation, h, hidden = walk.finish(observations.to(precision))
    return Trajectory(
        observations,
        actions,
        rewards,
        logits,
        values,
        modulation,
        h,
        hidden,
        None if mask.all() else mask,
        None if time_limit is None or not bootstrap.any() else bootstrap,
    )

"""Advantage actor-critic: the returns and the loss. [2019, sec. 4.2]"""

from __future__ import annotations

import torch
from torch import Tensor

from bpa.arguments import real_numbers, require_choice, require_classes, require_number, require_shape

BASELINES = ("own", "first")


def discounted_returns(rewards: Tensor, gamma: float) -> Tensor:
    """R_t = r_t + gamma R_{t+1}, with R_T = 0: rewards [T, ...] -> returns [T, ...].

    Rewards that are whole numbers give float32.

    Raises:
        ValueError: rewards are no tensor of real numbers with at least one step.
    """
    if not isinstance(rewards, Tensor) or rewards.dim() == 0 or len(rewards) == 0:
        got = list(rewards.shape) if isinstance(rewards, Tensor) else type(rewards).__name__
        raise ValueError(f"rewards must be a tensor [T, ...] with T at least 1, got {got}")
    rewards = real_numbers("rewards", rewards)
    returns, reach = rewards.clone(), 1  # each is a sum of `reach` rewards so far, and that doubles
    while reach < len(rewards):
        returns[:-reach] += gamma**reach * returns[reach:]
        reach *= 2
    return returns


def lambda_returns(rewards: Tensor, values: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """G_t = r_t + gamma ( (1 - lambda) V_{t+1} + lambda G_{t+1} ), with V_T = G_T = 0.

    G - V is the generalised advantage. With lambda = 1 G is the plain return, with 0 it looks one step ahead.

    Args:
        rewards, values: [T, ...], of the same shape. gamma, gae_lambda: 0 to 1.

    Raises:
        ValueError: the shapes differ, or there is no step.
    """
    require_shape("values", values, tuple(rewards.shape))
    ahead = torch.cat([values[1:], torch.zeros_like(values[:1])])
    return values + discounted_returns(rewards + gamma * ahead - values, gamma * gae_lambda)


def a2c_loss(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    rewards: Tensor,
    gamma: float = 0.9,
    value_coef: float = 0.1,
    concentration_coef: float = 0.03,
    baseline: str = "own",
    gae_lambda: float = 1.0,
    mask: Tensor | None = None,
    bootstrap: Tensor | None = None,
) -> Tensor:
    """The advantage actor-critic loss, a scalar; with the defaults as published.

    [ sum_t mean_b( -log pi(a) (R - V).detach() ) + value_coef sum_t mean_b (R - V)^2
      + concentration_coef sum_t mean_b sum_a pi(a)^2 ] / T

    The last term is the Simpson index of the policy: it grows as the policy concentrates on one action.

    Args:
        logits: [T, B, A]. values: [T, B]. actions: int64 [T, B], each below A. rewards: [T, B], also whole
            numbers. T, B and A are at least 1.
        gamma: discount a step, 0 to 1.
        value_coef, concentration_coef: at least 0.
        baseline: "own", V is each episode's own value; "first", V is the value of the batch's first episode
            for all of them, the slip of the published code.
        gae_lambda: 1 takes the return R, as published; below 1 `lambda_returns` take its place in both terms.
        mask: bool [T, B], the steps before the end of each episode, where they end at different times; the
            loss is then the mean over these steps. None: all of them.
        bootstrap: [T, B], what is taken for the return after a step at which a time limit cut an episode off,
            0 elsewhere. None: nothing is, R_T = 0.

    Raises:
        ValueError: a shape or a number does not fit.
    """
    require_shape("logits", logits, ("T", "B", "A"))
    T, B, num_actions = logits.shape
    require_shape("values", values, (T, B))
    require_shape("rewards", rewards, (T, B))
    require_classes("actions", actions, (T, B), num_actions, like=logits)
    logits, values = real_numbers("logits", logits), real_numbers("values", values)
    rewards = real_numbers("rewards", rewards)
    gamma = require_number("gamma", gamma, low=0, high=1)
    value_coef = require_number("value_coef", value_coef, low=0)
    concentration_coef = require_number("concentration_coef", concentration_coef, low=0)
    baseline = require_choice("baseline", baseline, BASELINES)
    gae_lambda = require_number("gae_lambda", gae_lambda, low=0, high=1)

    if bootstrap is not None:
        require_shape("bootstrap", bootstrap, (T, B))
        rewards = rewards + gamma * bootstrap
    if baseline == "first":
        values = values[:, :1].expand(T, B)
    if mask is not None:
        require_shape("mask", mask, (T, B))
        values, rewards = values * mask, rewards * mask
    # [A, T, B]: PyTorch takes vectors over the first dimension, and none over a last one as short as A.
    log_policy = torch.log_softmax(logits.movedim(-1, 0).contiguous(), dim=0)
    log_taken = log_policy.gather(0, actions[None])[0]
    if gae_lambda == 1:
        returns = discounted_returns(rewards, gamma)
    else:
        returns = lambda_returns(rewards, values.detach(), gamma, gae_lambda)
    advantage = returns - values
    policy_loss = -log_taken * advantage.detach()
    value_loss = advantage.square()
    concentration = log_policy.exp().square().sum(0)
    each = policy_loss + value_coef * value_loss + concentration_coef * concentration
    return each.mean() if mask is None else (each * mask).sum() / mask.sum()

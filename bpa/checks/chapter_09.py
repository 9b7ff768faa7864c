"""Checks of the exercises in chapter 9, "Advantage actor-critic from nothing"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def swept_back(steps: Tensor, factor: float, beyond: Tensor) -> Tensor:
    """S_t = steps_t + factor S_{t+1}, with S_T = beyond: [T, B] and [B] -> [T, B]."""
    sums = []
    for step in steps.flip(0):
        beyond = step + factor * beyond
        sums.append(beyond)
    return torch.stack(sums[::-1])


def returns_beyond(rewards: Tensor, last_value: Tensor, gamma: float) -> Tensor:
    """R_t = r_t + gamma R_{t+1}, with R_T = last_value: [T, B] and [B] -> [T, B]."""
    return swept_back(rewards, gamma, last_value)


def errors(rewards: Tensor, values: Tensor, gamma: float) -> Tensor:
    """delta_t = r_t + gamma V_{t+1} - V_t, with V_T = 0: [T, B]."""
    following = torch.cat([values[1:], torch.zeros_like(values[:1])])
    return rewards + gamma * following - values


def discounted_errors(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """sum_k (gamma lam)^k delta_{t+k}: [T, B]."""
    return swept_back(errors(rewards, values, gamma), gamma * lam, torch.zeros_like(rewards[0]))


def squared_scores(policy: Tensor) -> Tensor:
    """|grad log pi(a)|^2 with respect to the logits, for each action: [A] -> [A]."""
    return (torch.eye(len(policy)) - policy).square().sum(1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of values [A] with these weights [A], a scalar."""
    return (weights * values).sum() / weights.sum()


def quietest_baseline(policy: Tensor, rewards: Tensor) -> Tensor:
    """The constant baseline with the least variance: the mean of r with weights pi |grad log pi|^2."""
    return weighted_mean(rewards, policy * squared_scores(policy))


def others(returns: Tensor) -> Tensor:
    """At each step, for each episode, the mean return of all the other episodes: [T, B] -> [T, B]."""
    total = returns.sum(1, keepdim=True)
    return (total - returns) / (returns.shape[1] - 1)


@worth(1)
@exercise
def bootstrapped_returns(answer: Callable[..., Any]) -> None:
    """Check `bootstrapped_returns(rewards, last_value, gamma)` -> returns of a piece of an episode, [T, B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, gamma in ((5, 3, 0.9), (12, 2, 0.95), (8, 4, 0.5)):
        rewards = torch.randn(length, batch, generator=generator)
        cases.append((rewards, 2 + torch.rand(batch, generator=generator), gamma))

    def forwards(rewards: Tensor, last_value: Tensor, gamma: float) -> Tensor:
        return swept_back(rewards.flip(0), gamma, last_value).flip(0)

    slips = [
        Slip(
            "The value is not used: these are the returns of an episode that ends here.",
            lambda rewards, last_value, gamma: returns_beyond(rewards, torch.zeros_like(last_value), gamma),
        ),
        Slip(
            "The value comes a step after the last reward, so it is discounted once more.",
            lambda rewards, last_value, gamma: returns_beyond(rewards, last_value / gamma, gamma),
        ),
        Slip(
            "Every step counts the value with the same weight. It is further away from an earlier step.",
            lambda rewards, last_value, gamma: (
                returns_beyond(rewards, torch.zeros_like(last_value), gamma) + gamma * last_value
            ),
        ),
        Slip(
            "The value takes the place of the last reward. It comes after it.",
            lambda rewards, last_value, gamma: returns_beyond(
                torch.cat([rewards[:-1], last_value[None]]), torch.zeros_like(last_value), gamma
            ),
        ),
        Slip(
            "Nothing is discounted.",
            lambda rewards, last_value, gamma: returns_beyond(rewards, last_value, 1.0),
        ),
        Slip("You sum up the past. A return is what is still to come.", forwards),
    ]
    check_answer("bootstrapped_returns", answer, returns_beyond, cases, slips)


@worth(2)
@exercise
def generalised_advantage(answer: Callable[..., Any]) -> None:
    """Check `generalised_advantage(rewards, values, gamma, lam)` -> advantages, [T, B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, gamma, lam in ((6, 3, 0.9, 0.8), (10, 2, 0.95, 0.5), (7, 4, 0.8, 0.9)):
        rewards, values = torch.randn(2, length, batch, generator=generator)
        cases.append((rewards, values + 3, gamma, lam))

    def with_errors(
        change: Callable[[Tensor, Tensor, float], Tensor],
    ) -> Callable[[Tensor, Tensor, float, float], Tensor]:
        def advantage(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
            deltas = change(rewards, values, gamma)
            return swept_back(deltas, gamma * lam, torch.zeros_like(rewards[0]))

        return advantage

    def after(values: Tensor, last: Tensor) -> Tensor:
        return torch.cat([values[1:], last[None]])

    def swept_forwards(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
        deltas = errors(rewards, values, gamma)
        return swept_back(deltas.flip(0), gamma * lam, torch.zeros_like(rewards[0])).flip(0)

    slips = [
        Slip(
            "lam is not used: this is R - V, the case of lam = 1.",
            lambda rewards, values, gamma, lam: discounted_errors(rewards, values, gamma, 1.0),
        ),
        Slip(
            "An error k steps on counts (gamma lam)^k; you leave gamma out.",
            lambda rewards, values, gamma, lam: discounted_errors(rewards, values, gamma, lam / gamma),
        ),
        Slip(
            "These are the errors delta themselves. Add those of the later steps.",
            lambda rewards, values, gamma, lam: errors(rewards, values, gamma),
        ),
        Slip(
            "The value of the present step is not taken away.",
            with_errors(lambda rewards, values, gamma: errors(rewards, values, gamma) + values),
        ),
        Slip(
            "The next value is not discounted.",
            with_errors(lambda rewards, values, gamma: errors(rewards, values, 1.0)),
        ),
        Slip(
            "After the last step nothing follows: V_T is 0, not the last value.",
            with_errors(
                lambda rewards, values, gamma: rewards + gamma * after(values, values[-1]) - values,
            ),
        ),
        Slip(
            "The two values are swapped: the next one is discounted and added, the present one taken away.",
            with_errors(
                lambda rewards, values, gamma: (
                    rewards + gamma * values - after(values, torch.zeros_like(values[0]))
                )
            ),
        ),
        Slip("You sum up the past. An advantage adds the errors that are still to come.", swept_forwards),
        Slip(
            "The sign is turned round: positive means better than expected.",
            lambda rewards, values, gamma, lam: -discounted_errors(rewards, values, gamma, lam),
        ),
    ]
    check_answer("generalised_advantage", answer, discounted_errors, cases, slips)


@worth(2)
@exercise
def best_baseline(answer: Callable[..., Any]) -> None:
    """Check `best_baseline(policy, rewards)` -> the constant baseline with the least variance, a number.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for actions in (3, 4, 6):
        policy = torch.softmax(1.5 * torch.randn(actions, generator=generator), 0)
        cases.append((policy, 10 * torch.rand(actions, generator=generator)))
    slips = [
        Slip(
            "This is the mean reward. An action with a long gradient counts more.",
            lambda policy, rewards: (policy * rewards).sum(),
        ),
        Slip(
            "Weigh each action by its probability too.",
            lambda policy, rewards: weighted_mean(rewards, squared_scores(policy)),
        ),
        Slip(
            "Square the length of the gradient: the variance is about squares.",
            lambda policy, rewards: weighted_mean(rewards, policy * squared_scores(policy).sqrt()),
        ),
        Slip(
            "The sum is not divided by the sum of its weights.",
            lambda policy, rewards: (policy * squared_scores(policy) * rewards).sum(),
        ),
        Slip(
            "The gradient of log pi(a) has an entry for every logit, not for that of a alone.",
            lambda policy, rewards: weighted_mean(rewards, policy * (1 - policy) ** 2),
        ),
        Slip("This is the plain mean of the rewards.", lambda policy, rewards: rewards.mean()),
    ]
    check_answer("best_baseline", answer, quietest_baseline, cases, slips)


@worth(3)
@exercise
def leave_one_out(answer: Callable[..., Any]) -> None:
    """Check `leave_one_out(returns)` -> the mean return of the other episodes at each step, [T, B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (5 * torch.rand(length, batch, generator=generator),) for length, batch in ((6, 4), (9, 3), (5, 8))
    ]
    slips = [
        Slip(
            "The episode's own return is among them. Then the baseline depends on the action.",
            lambda returns: returns.mean(1, keepdim=True).expand_as(returns),
        ),
        Slip(
            "Own returns are taken out of the sum, but you still divide by B.",
            lambda returns: others(returns) * (returns.shape[1] - 1) / returns.shape[1],
        ),
        Slip(
            "This is the advantage. Wanted is the baseline.",
            lambda returns: returns - others(returns),
        ),
        Slip(
            "This is the mean over the other steps. Time is the first axis, episodes the second.",
            lambda returns: others(returns.mT).mT,
        ),
        Slip(
            "This is the sum over the others. Divide it by their number.",
            lambda returns: returns.sum(1, keepdim=True) - returns,
        ),
        Slip(
            "You take one neighbour. Take the mean of all the others.",
            lambda returns: returns.roll(1, 1),
        ),
    ]
    check_answer("leave_one_out", answer, others, cases, slips)

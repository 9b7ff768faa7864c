"""Chapter 9: right answers, each written another way, and typical wrong ones with the hint they get."""

import torch

from bpa.checks import chapter_09


def powers(gamma, length):
    """The matrix [T, T] whose entry (t, s) is gamma^(s - t) for s from t on, and 0 before."""
    lag = torch.arange(length) - torch.arange(length)[:, None]
    return torch.where(lag >= 0, torch.tensor(gamma, dtype=torch.float64) ** lag.clamp(min=0), 0.0).float()


def bootstrapped(rewards, last_value, gamma):
    left = torch.arange(len(rewards), 0, -1)
    return powers(gamma, len(rewards)) @ rewards + (gamma**left)[:, None] * last_value


def bootstrapped_loop(rewards, last_value, gamma):
    returns = torch.empty_like(rewards)
    for t in reversed(range(len(rewards))):
        last_value = returns[t] = rewards[t] + gamma * last_value
    return returns


def deltas(rewards, values, gamma):
    return rewards + gamma * torch.cat([values[1:], 0 * values[:1]]) - values


def gae(rewards, values, gamma, lam):
    return powers(gamma * lam, len(rewards)) @ deltas(rewards, values, gamma)


def gae_loop(rewards, values, gamma, lam):
    advantages = torch.zeros_like(rewards)
    following, value_after = 0.0, 0.0
    for t in range(len(rewards) - 1, -1, -1):
        following = rewards[t] + gamma * value_after - values[t] + gamma * lam * following
        value_after, advantages[t] = values[t], following
    return advantages


def score_of(policy):
    """Row a is the gradient of log softmax at action a, by autograd."""
    logits = policy.log()
    return torch.autograd.functional.jacobian(lambda z: torch.log_softmax(z, 0), logits)


def variance_of(policy, rewards, b):
    """Variance of the policy gradient with baseline b, summed over the logits, in float64."""
    policy, rewards = policy.double(), rewards.double()
    samples = score_of(policy) * (rewards - b)[:, None]
    mean = policy @ samples
    return (policy @ (samples - mean).square()).sum()


def by_parabola(policy, rewards):
    """The minimum of a parabola through three points of the variance itself."""
    low, middle, high = (variance_of(policy, rewards, b).item() for b in (-1.0, 0.0, 1.0))
    return torch.tensor((low - high) / (2 * (low + high - 2 * middle)))


def by_weights(policy, rewards):
    weights = policy * (1 - 2 * policy + policy.square().sum())
    return (weights @ rewards) / weights.sum()


def without_own(returns):
    B = returns.shape[1]
    return torch.stack([returns[:, [c for c in range(B) if c != b]].mean(1) for b in range(B)], dim=1)


def by_matrix(returns):
    B = returns.shape[1]
    return returns @ (1 - torch.eye(B)) / (B - 1)


def gae_numpy(rewards, values, gamma, lam):
    """In float64, and a list of rows."""
    rewards, values = rewards.double().numpy(), values.double().numpy()
    rows, following, after = [], 0.0, 0.0
    for reward, value in zip(rewards[::-1], values[::-1], strict=True):
        following = reward + gamma * after - value + gamma * lam * following
        after = value
        rows.insert(0, following)
    return rows


RIGHT = [
    (chapter_09.bootstrapped_returns, lambda r, v, g: bootstrapped(r, v, g).tolist()),
    (chapter_09.generalised_advantage, gae_numpy),
    (chapter_09.best_baseline, lambda p, r: by_weights(p, r).item()),
    (chapter_09.leave_one_out, lambda R: by_matrix(R).numpy()),
    (chapter_09.bootstrapped_returns, bootstrapped),
    (chapter_09.bootstrapped_returns, bootstrapped_loop),
    (chapter_09.generalised_advantage, gae),
    (chapter_09.generalised_advantage, gae_loop),
    (chapter_09.best_baseline, by_parabola),
    (chapter_09.best_baseline, by_weights),
    (chapter_09.leave_one_out, without_own),
    (chapter_09.leave_one_out, by_matrix),
]


WRONG = [
    (chapter_09.bootstrapped_returns, lambda r, v, g: bootstrapped(r, 0 * v, g), "The value is not used"),
    (
        chapter_09.bootstrapped_returns,
        lambda r, v, g: bootstrapped(r, 0 * v, g) + (g ** torch.arange(len(r) - 1, -1, -1))[:, None] * v,
        "discounted once more",
    ),
    (
        chapter_09.bootstrapped_returns,
        lambda r, v, g: powers(g, len(r)) @ r + g * v,
        "with the same weight",
    ),
    (
        chapter_09.bootstrapped_returns,
        lambda r, v, g: powers(g, len(r)) @ torch.cat([r[:-1], v[None]]),
        "takes the place of the last reward",
    ),
    (chapter_09.bootstrapped_returns, lambda r, v, g: bootstrapped_loop(r, v, 1), "Nothing is discounted"),
    (
        chapter_09.bootstrapped_returns,
        lambda r, v, g: bootstrapped_loop(r.flip(0), v, g).flip(0),
        "sum up the past",
    ),
    (chapter_09.bootstrapped_returns, lambda r, v, g: bootstrapped(r, v, g)[1:], "first entry is missing"),
    (chapter_09.bootstrapped_returns, lambda r, v, g: bootstrapped(r, v, g).flip(0), "wrong way round"),
    (chapter_09.bootstrapped_returns, lambda r, v, g: r + g * v, "largest difference"),
    (chapter_09.generalised_advantage, lambda r, v, g, lam: powers(g, len(r)) @ r - v, "lam is not used"),
    (
        chapter_09.generalised_advantage,
        lambda r, v, g, lam: powers(lam, len(r)) @ deltas(r, v, g),
        "leave gamma out",
    ),
    (chapter_09.generalised_advantage, lambda r, v, g, lam: deltas(r, v, g), "errors delta themselves"),
    (
        chapter_09.generalised_advantage,
        lambda r, v, g, lam: powers(g * lam, len(r)) @ (deltas(r, v, g) + v),
        "not taken away",
    ),
    (
        chapter_09.generalised_advantage,
        lambda r, v, g, lam: powers(g * lam, len(r)) @ deltas(r, v, 1.0),
        "next value is not discounted",
    ),
    (
        chapter_09.generalised_advantage,
        lambda r, v, g, lam: powers(g * lam, len(r)) @ (r + g * torch.cat([v[1:], v[-1:]]) - v),
        "V_T is 0",
    ),
    (
        chapter_09.generalised_advantage,
        lambda r, v, g, lam: (
            powers(g * lam, len(r)) @ (r + g * v - torch.cat([v[1:], torch.zeros(1, v.shape[1])]))
        ),
        "two values are swapped",
    ),
    (
        chapter_09.generalised_advantage,
        lambda r, v, g, lam: powers(g * lam, len(r)).T @ deltas(r, v, g),
        "sum up the past",
    ),
    (chapter_09.generalised_advantage, lambda r, v, g, lam: -gae(r, v, g, lam), "sign is turned round"),
    (chapter_09.generalised_advantage, lambda r, v, g, lam: r - v, "largest difference"),
    (chapter_09.best_baseline, lambda p, r: p @ r, "mean reward"),
    (
        chapter_09.best_baseline,
        lambda p, r: (score_of(p).square().sum(1) @ r) / score_of(p).square().sum(),
        "by its probability",
    ),
    (
        chapter_09.best_baseline,
        lambda p, r: (p * score_of(p).norm(dim=1)) @ r / (p @ score_of(p).norm(dim=1)),
        "Square the length",
    ),
    (
        chapter_09.best_baseline,
        lambda p, r: (p * score_of(p).square().sum(1)) @ r,
        "not divided",
    ),
    (
        chapter_09.best_baseline,
        lambda p, r: (p * (1 - p).square()) @ r / (p @ (1 - p).square()),
        "an entry for every logit",
    ),
    (chapter_09.best_baseline, lambda p, r: r.mean(), "plain mean"),
    (chapter_09.best_baseline, lambda p, r: -by_weights(p, r), "largest difference"),
    (chapter_09.leave_one_out, lambda R: R.mean(1, keepdim=True).repeat(1, R.shape[1]), "own return"),
    (chapter_09.leave_one_out, lambda R: R @ (1 - torch.eye(R.shape[1])) / R.shape[1], "divide by B"),
    (chapter_09.leave_one_out, lambda R: R - by_matrix(R), "This is the advantage"),
    (chapter_09.leave_one_out, lambda R: by_matrix(R.mT).mT, "mean over the other steps"),
    (chapter_09.leave_one_out, lambda R: R @ (1 - torch.eye(R.shape[1])), "Divide it by their number"),
    (chapter_09.leave_one_out, lambda R: torch.cat([R[:, -1:], R[:, :-1]], 1), "one neighbour"),
    (chapter_09.leave_one_out, lambda R: R.mean(1), "Its shape is"),
    (chapter_09.leave_one_out, lambda R: R.mean().expand_as(R), "largest difference"),
]

"""Chapter 10: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_10


def waits(rewards):
    out, count = [], 0
    for reward in rewards.tolist():
        count += 1
        if reward > 0:
            out.append(count)
            count = 0
    return torch.tensor(out)


def waits_by_differences(rewards):
    hits = (rewards > 0).nonzero()[:, 0] + 1
    return torch.diff(hits, prepend=torch.zeros(1, dtype=hits.dtype))


def around(values, rewards, before, after):
    windows = [
        values[t - before : t + after + 1, b]
        for b in range(values.shape[1])
        for t in range(before, len(values) - after)
        if rewards[t, b] > 0
    ]
    return sum(windows) / len(windows)


def around_index(values, rewards, before, after, shift=0, wrap=False):
    """The same by whole indices, wrong if shifted or wrapped around the edges."""
    total, count = torch.zeros(before + after + 1), 0
    for t in range(len(values)):
        inside = t >= before and t + after < len(values)
        for b in range(values.shape[1]):
            if rewards[t, b] > 0 and (inside or wrap):
                total += torch.stack(
                    [values[(t + shift + lag) % len(values), b] for lag in range(-before, after + 1)]
                )
                count += 1
    return total / count


def around_each_lag(values, rewards, before, after):
    means = []
    for lag in range(-before, after + 1):
        found = [
            values[t + lag, b]
            for t in range(len(values))
            for b in range(values.shape[1])
            if rewards[t, b] > 0 and 0 <= t + lag < len(values)
        ]
        means.append(sum(found) / len(found))
    return torch.stack(means)


def clipped(gradients, bound):
    norm = sum(float((gradient**2).sum()) for gradient in gradients) ** 0.5
    factor = bound / norm if norm > bound else 1.0
    return tuple(factor * gradient for gradient in gradients)


def torch_clipped(gradients, bound):
    parameters = [torch.nn.Parameter(gradient.clone()) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, bound)
    return [parameter.grad for parameter in parameters]


def frozen(net, maze, noise, freeze, late=0, change=lambda old, new: new._replace(hebb=old.hebb)):
    observation, hidden, actions = maze.reset(noise.goal), None, []
    with torch.no_grad():
        for t in range(len(noise.action)):
            hidden = hidden or net.initial_state(maze.batch_size)
            logits, _, new = net(observation, hidden)
            hidden = new if t < freeze + late else change(hidden, new)
            reached = logits.softmax(-1).cumsum(-1)
            action = (noise.action[t][:, None] >= reached[:, :3]).sum(-1)
            actions.append(action)
            observation, _, _ = maze.step(action, noise.teleport[t])
    return torch.stack(actions)


RIGHT = [
    (chapter_10.times_between, waits),
    (chapter_10.times_between, waits_by_differences),
    (chapter_10.times_between, lambda r: waits(r).tolist()),
    (chapter_10.times_between, lambda r: np.diff(np.flatnonzero(r.numpy() > 0) + 1, prepend=0)),
    (chapter_10.around_rewards, around),
    (chapter_10.around_rewards, around_index),
    (chapter_10.around_rewards, lambda v, r, a, b: around(v.double(), r, a, b).tolist()),
    (chapter_10.clip_gradients, clipped),
    (chapter_10.clip_gradients, torch_clipped),
    (chapter_10.clip_gradients, lambda g, bound: [x.numpy() for x in clipped(g, bound)]),
    (chapter_10.play_frozen, frozen),
]


WRONG = [
    (chapter_10.times_between, lambda r: torch.tensor([t for t in range(len(r)) if r[t] > 0]), "not right"),
    (chapter_10.times_between, lambda r: waits(r).cumsum(0), "times of the rewards"),
    (chapter_10.times_between, lambda r: waits(r)[1:], "first reward is missing"),
    (chapter_10.times_between, lambda r: waits(r) - 1, "without the step that was rewarded"),
    (chapter_10.times_between, lambda r: waits(r) - (torch.arange(len(waits(r))) == 0).long(), "one short"),
    (chapter_10.times_between, lambda r: waits(r.abs()), "negative reward"),
    (chapter_10.times_between, lambda r: waits(r)[:1], "inside the loop"),
    (
        chapter_10.times_between,
        lambda r: torch.cat([waits(r), torch.tensor([len(r) - int(waits(r).sum())])]),
        "leave it out",
    ),
    (
        chapter_10.around_rewards,
        lambda v, r, a, b: around_index(v, r, a, b, wrap=True),
        "counts from the end",
    ),
    (chapter_10.around_rewards, around_each_lag, "same rewards at every lag"),
    (chapter_10.around_rewards, lambda v, r, a, b: around(v, r, a, b)[:-1], "last lag is missing"),
    (chapter_10.around_rewards, lambda v, r, a, b: around_index(v, r, a, b, shift=1), "shifted"),
    (chapter_10.around_rewards, lambda v, r, a, b: around(v, r, a, b).flip(0), "wrong way round"),
    (
        chapter_10.around_rewards,
        lambda v, r, a, b: around(v, r, a, b) * (r[a : len(v) - b] > 0).sum(),
        "These are sums",
    ),
    (chapter_10.around_rewards, lambda v, r, a, b: v[r > 0].mean().expand(a + b + 1), "not right yet"),
    (chapter_10.clip_gradients, lambda g, bound: [clipped([x], bound)[0] for x in g], "its own norm"),
    (chapter_10.clip_gradients, lambda g, bound: [x.clamp(-bound, bound) for x in g], "single numbers"),
    (
        chapter_10.clip_gradients,
        lambda g, bound: [x * bound / torch.cat([y.flatten() for y in g]).norm() for x in g],
        "scaled up",
    ),
    (
        chapter_10.clip_gradients,
        lambda g, bound: [x / max(1.0, float(sum((y**2).sum() for y in g)) / bound) for x in g],
        "root is missing",
    ),
    (chapter_10.clip_gradients, lambda g, bound: g, "nothing is clipped"),
    (chapter_10.clip_gradients, lambda g, bound: [-x for x in clipped(g, bound)], "sign is turned round"),
    (chapter_10.clip_gradients, lambda g, bound: [2 * x for x in g], "not right yet"),
    (chapter_10.clip_gradients, 3, "must be a function"),
    (chapter_10.play_frozen, lambda n, m, c, f: frozen(n, m, c, 10**6), "never stops changing"),
    (chapter_10.play_frozen, lambda n, m, c, f: frozen(n, m, c, 0), "never changes at all"),
    (chapter_10.play_frozen, lambda n, m, c, f: frozen(n, m, c, f, late=1), "a step late"),
    (chapter_10.play_frozen, lambda n, m, c, f: frozen(n, m, c, f, late=-1), "a step early"),
    (
        chapter_10.play_frozen,
        lambda n, m, c, f: frozen(n, m, c, f, change=lambda old, new: new._replace(hebb=new.hebb.mul(0))),
        "emptied",
    ),
    (
        chapter_10.play_frozen,
        lambda n, m, c, f: frozen(n, m, c, f, change=lambda old, new: old),
        "activity is frozen",
    ),
]

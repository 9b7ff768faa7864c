"""Chapter 12: right answers, each written another way, and typical wrong ones with the hint they get."""

import copy

import torch
from sklearn.linear_model import Ridge

from bpa import Network
from bpa.checks import chapter_12


def clamped(net, sign):
    other = copy.deepcopy(net)
    low, high = (0, None) if sign > 0 else (None, 0)
    other.alpha = torch.nn.Parameter(net.alpha.detach().clamp(low, high))
    return other


def rebuilt(net, sign):
    other = Network(net.input_size, net.hidden_size, net.num_actions)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    state["alpha"][state["alpha"].sign() != sign] = 0
    other.load_state_dict(state)
    return other


def edited(change):
    def answer(net, sign):
        other = copy.deepcopy(net)
        with torch.no_grad():
            change(other, sign)
        return other

    return answer


def in_place(net, sign):
    with torch.no_grad():
        net.alpha[net.alpha.sign() != sign] = 0
    return net


def shallow(net, sign):
    other = copy.copy(net)
    other.alpha = torch.nn.Parameter(net.alpha.detach() * (net.alpha.sign() == sign))
    return other


def triggered(values, rewards, lag, shift=0, next_one=1, wrap=False, control=True, hit=lambda r: r > 0):
    differences = []
    T, B = values.shape
    for b in range(B):
        for t in range(T):
            if hit(rewards[t, b]) and (wrap or t + lag + shift < T):
                then = (t + lag + shift) % T
                other = values[then, (b + next_one) % B] if control else 0
                differences.append(values[then, b] - other)
    return sum(differences) / len(differences)


def triggered_at_once(values, rewards, lag):
    hit = rewards[: len(rewards) - lag] > 0
    return (values - values.roll(-1, 1))[lag:][hit].mean()


def clamped_to_the_end(values, rewards, lag):
    padded = torch.cat([values, values[-1:].expand(lag, -1)])
    silent = torch.cat([rewards, torch.zeros(lag, rewards.shape[1])])
    return triggered(padded, silent, lag)


def scored(features, targets, fit, test, price, guess=None):
    """By scikit-learn; `fit` and `test` are pairs of (steps, episodes)."""

    def table(values, chosen):
        steps, episodes = chosen
        return values[steps][:, episodes].reshape(-1, values.shape[-1]).numpy()

    read = Ridge(alpha=price).fit(table(features, fit), table(targets, fit)).predict(table(features, test))
    truth = table(targets, test)
    mean = table(targets, fit if guess is None else guess).mean(0)
    return 1 - ((read.reshape(truth.shape) - truth) ** 2).sum() / ((mean - truth) ** 2).sum()


def by_ridge(features, targets, train, price, own_centre=False):
    """As the hint has it, with what scikit-learn predicts as it comes."""
    x, test = (features[:, chosen].flatten(0, 1).numpy() for chosen in (train, ~train))
    y, truth = (targets[:, chosen].flatten(0, 1).numpy() for chosen in (train, ~train))
    if own_centre:
        x, test = x - x.mean(0), test - test.mean(0)
    read = Ridge(alpha=price).fit(x, y).predict(test)
    return 1 - ((read - truth) ** 2).sum() / ((y.mean(0) - truth) ** 2).sum()


ALL = slice(None)


def held_out(features, targets, train, price):
    return scored(features, targets, (ALL, train), (ALL, ~train), price)


def by_augmented_rows(features, targets, train, price):
    """Ridge as ordinary least squares with one more row for each feature."""
    x, y = features[:, train].flatten(0, 1), targets[:, train].flatten(0, 1)
    D, K = x.shape[1], y.shape[1]
    rows = torch.cat([x - x.mean(0), price**0.5 * torch.eye(D, dtype=x.dtype)])
    weights = torch.linalg.lstsq(rows, torch.cat([y - y.mean(0), torch.zeros(D, K, dtype=x.dtype)])).solution
    wrong, guessed = 0.0, 0.0
    for b in (~train).nonzero()[:, 0]:
        for t in range(len(features)):
            truth = targets[t, b] - y.mean(0)
            wrong += ((features[t, b] - x.mean(0)) @ weights - truth).square().sum()
            guessed += truth.square().sum()
    return 1 - wrong / guessed


def exchanged(net, maze, noise, step, donor, when=lambda t, step: t == step, parts=("hebb",)):
    observation, hidden, actions = maze.reset(noise.goal), net.initial_state(maze.batch_size), []
    with torch.no_grad():
        for t in range(len(noise.action)):
            if when(t - 1, step):
                hidden = hidden._replace(
                    **{part: torch.stack([getattr(hidden, part)[d] for d in donor]) for part in parts}
                )
            logits, _, hidden = net(observation, hidden)
            reached = logits.softmax(-1).cumsum(-1)
            action = (noise.action[t][:, None] >= reached[:, :3]).sum(-1)
            actions.append(action)
            observation, _, _ = maze.step(action, noise.teleport[t])
    return torch.stack(actions)


RIGHT = [
    (chapter_12.keep_sign, clamped),
    (chapter_12.keep_sign, rebuilt),
    (chapter_12.triggered, triggered),
    (chapter_12.triggered, triggered_at_once),
    (chapter_12.triggered, lambda *case: float(triggered(*case))),
    (chapter_12.held_out_score, held_out),
    (chapter_12.held_out_score, by_augmented_rows),
    (chapter_12.held_out_score, by_ridge),
    (chapter_12.held_out_score, lambda *case: by_ridge(*case).item()),
    (chapter_12.transplanted, exchanged),
]


WRONG = [
    (chapter_12.keep_sign, in_place, "changes the network"),
    (chapter_12.keep_sign, shallow, "changes the network"),
    (chapter_12.keep_sign, lambda net, sign: clamped(net, -sign), "other sign"),
    (
        chapter_12.keep_sign,
        edited(lambda net, sign: net.alpha.copy_(sign * net.alpha.abs())),
        "turned round",
    ),
    (
        chapter_12.keep_sign,
        edited(lambda net, sign: [p.mul_((p.sign() == sign).float()) for p in (net.alpha, net.w)]),
        "w is cut too",
    ),
    (chapter_12.keep_sign, lambda net, sign: copy.deepcopy(net), "unchanged copy"),
    (
        chapter_12.keep_sign,
        edited(lambda net, sign: net.alpha.copy_(sign * (net.alpha.sign() == sign))),
        "lost its size",
    ),
    (chapter_12.keep_sign, lambda net, sign: clamped(net, sign).alpha, "1 result where"),
    (chapter_12.keep_sign, lambda net, sign: None, "returns nothing"),
    (chapter_12.keep_sign, lambda net, sign: net.beta, "stopped with AttributeError"),
    (chapter_12.triggered, lambda v, r, n: triggered(v, r, n, wrap=True), "wrap round"),
    (chapter_12.triggered, clamped_to_the_end, "too close to the end"),
    (chapter_12.triggered, lambda v, r, n: triggered(v, r, n, shift=1), "off by one"),
    (chapter_12.triggered, lambda v, r, n: triggered(v, r, n, control=False), "control is missing"),
    (
        chapter_12.triggered,
        lambda v, r, n: triggered(v, r, n, control=False) - v.mean(),
        "mean of everything",
    ),
    (chapter_12.triggered, lambda v, r, n: triggered(v, r, n, next_one=-1), "episode before"),
    (chapter_12.triggered, lambda v, r, n: triggered(v, r, n, hit=lambda x: x != 0), "negative reward"),
    (chapter_12.triggered, lambda v, r, n: triggered(v.flip(0), r.flip(0), n), "before the reward"),
    (chapter_12.triggered, lambda v, r, n: -triggered(v, r, n), "sign is turned"),
    (chapter_12.triggered, lambda v, r, n: v[r > 0].mean(), "not right yet"),
    (
        chapter_12.held_out_score,
        lambda x, y, train, price: scored(x, y, (ALL, train), (ALL, train), price),
        "learned by heart",
    ),
    (
        chapter_12.held_out_score,
        lambda x, y, train, price: scored(x, y, (ALL, ALL), (ALL, ~train), price),
        "fitted on all episodes",
    ),
    (
        chapter_12.held_out_score,
        lambda x, y, train, price: scored(
            x, y, (slice(0, len(x) // 2), ALL), (slice(len(x) // 2, None), ALL), price
        ),
        "split over the steps",
    ),
    (
        chapter_12.held_out_score,
        lambda x, y, train, price: held_out(x, y, ~train, price),
        "changed places",
    ),
    (
        chapter_12.held_out_score,
        lambda x, y, train, price: scored(x, y, (ALL, train), (ALL, ~train), price, guess=(ALL, ~train)),
        "may not know the test",
    ),
    (chapter_12.held_out_score, lambda *case: by_ridge(*case, own_centre=True), "lost their own means"),
    (chapter_12.held_out_score, lambda x, y, train, price: held_out(x, y, train, 0), "price"),
    (chapter_12.held_out_score, lambda *case: 1 - held_out(*case), "not.*explained"),
    (chapter_12.held_out_score, lambda *case: 0.5, "not right yet"),
    (
        chapter_12.transplanted,
        lambda *case: exchanged(*case, when=lambda t, s: False),
        "Nothing is exchanged",
    ),
    (chapter_12.transplanted, lambda *case: exchanged(*case, parts=("h", "hebb")), "activity goes along"),
    (chapter_12.transplanted, lambda *case: exchanged(*case, parts=("h",)), "Only the activity"),
    (chapter_12.transplanted, lambda *case: exchanged(*case, when=lambda t, s: t >= s), "Once is enough"),
    (
        chapter_12.transplanted,
        lambda *case: exchanged(*case, when=lambda t, s: 0 <= t <= s),
        "from the very start",
    ),
    (chapter_12.transplanted, lambda *case: exchanged(*case, when=lambda t, s: t == s - 1), "step early"),
    (chapter_12.transplanted, lambda *case: exchanged(*case, when=lambda t, s: t == s + 1), "step late"),
    (
        chapter_12.transplanted,
        lambda net, maze, noise, step, donor: exchanged(net, maze, noise, step, donor.argsort()),
        "give and to get",
    ),
    (chapter_12.transplanted, 3, "must be a function"),
]

"""Checks of the exercises in chapter 12, "Inside the agent"."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import NotYet, Slip, check_answer, exercise, worth
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze, MazeNoise, draw_noise
from bpa.network import Hidden, Network
from bpa.noise import fresh_generator
from bpa.training.rollout import sample


def with_alpha(net: Network, alpha: Tensor) -> Network:
    """A copy of `net` with other plasticity coefficients."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.get_parameter("alpha").copy_(alpha)
    return other


def one_sign(net: Network, sign: int) -> Network:
    """A copy of `net` whose alpha is zero wherever it has not this sign."""
    alpha = net.get_parameter("alpha")
    return with_alpha(net, torch.where(alpha * sign > 0, alpha, 0.0))


def after_rewards(values: Tensor, rewards: Tensor, lag: int) -> Tensor:
    """Mean of values [T, B] `lag` steps after rewards, less that of the next episode at the same steps."""
    steps, episodes = (rewards > 0).nonzero().T
    inside = steps + lag < len(values)
    steps, episodes = steps[inside] + lag, episodes[inside]
    return (values - values.roll(-1, dims=1))[steps, episodes].mean()


def score(fitted: tuple[Tensor, Tensor], tested: tuple[Tensor, Tensor], price: float) -> Tensor:
    """R squared of a ridge regression: features [N, D] and targets [N, K] to fit on, others to test on."""
    (x, y), (test_x, test_y) = fitted, tested
    mean_x, mean_y = x.mean(0), y.mean(0)
    square = (x - mean_x).T @ (x - mean_x) + price * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(square, (x - mean_x).T @ (y - mean_y))
    wrong = test_y - mean_y - (test_x - mean_x) @ weights
    return 1 - wrong.square().sum() / (test_y - mean_y).square().sum()


def moments(features: Tensor, targets: Tensor, episodes: Tensor) -> tuple[Tensor, Tensor]:
    """All moments of some episodes: [T, B, D] and [T, B, K] -> [N, D] and [N, K]."""
    return features[:, episodes].flatten(0, 1), targets[:, episodes].flatten(0, 1)


def score_on_others(features: Tensor, targets: Tensor, train: Tensor, price: float) -> Tensor:
    """R squared on the episodes that were not fitted."""
    return score(moments(features, targets, train), moments(features, targets, ~train), price)


Exchange = Callable[[int, Hidden], Hidden]


def acted(net: Network, maze: GridMaze, noise: MazeNoise, exchange: Exchange) -> Tensor:
    """Actions [T, B] of episodes whose state goes through `exchange(t, after)` after each step."""
    observation, hidden = maze.reset(noise.goal), net.initial_state(maze.batch_size)
    actions = []
    with torch.no_grad():
        for t in range(maze.episode_length):
            logits, _, hidden = net(observation, hidden)
            hidden = exchange(t, hidden)
            actions.append(sample(logits, noise.action[t]))
            observation, _, _ = maze.step(actions[-1], noise.teleport[t])
    return torch.stack(actions)


def given(hidden: Hidden, donor: Tensor) -> Hidden:
    """The traces of the donors, the own activity."""
    return hidden._replace(hebb=hidden.hebb[donor])  # type: ignore[index]


def acted_after_exchange(net: Network, maze: GridMaze, noise: MazeNoise, step: int, donor: Tensor) -> Tensor:
    """Actions [T, B] of episodes whose traces are exchanged once, after step `step`."""
    return acted(net, maze, noise, lambda t, hidden: given(hidden, donor) if t == step else hidden)


def random_network(hidden_size: int, generator: torch.Generator) -> Network:
    """A network whose traces matter, and whose policy follows from them."""
    net = Network(OBSERVATION_SIZE, hidden_size, NUM_ACTIONS, generator=generator)
    with torch.no_grad():
        for name, spread in (("w", 0.8), ("alpha", 1.5), ("h2o.weight", 6.0)):
            net.get_parameter(name).normal_(0, spread / hidden_size**0.5, generator=generator)
    return net


@worth(1)
@exercise
def keep_sign(answer: Callable[..., Any]) -> None:
    """Check `keep_sign(net, sign)` -> a new network whose alpha has one sign.

    Raises:
        NotYet: the answer changes its argument, or differs from the definition.
    """
    generator = fresh_generator()
    cases = [(random_network(size, generator), sign) for size, sign in ((6, 1), (9, -1), (12, 1), (5, -1))]
    if callable(answer):
        for net, sign in cases:
            before = copy.deepcopy(net.state_dict())
            try:
                answer(net, sign)
            except Exception as error:
                raise NotYet(f"keep_sign stopped with {type(error).__name__}: {error}") from error
            if any(not torch.equal(before[name], now) for name, now in net.state_dict().items()):
                raise NotYet(
                    "keep_sign changes the network that it was given. Work on a copy: whoever called you "
                    "still needs the whole one."
                )

    def parameters(function: Callable[..., Any]) -> Callable[..., Any]:
        def flat(net: Network, sign: int) -> Any:
            got = function(net, sign)
            return list(got.state_dict().values()) if isinstance(got, Network) else got

        return flat

    def cut_too(net: Network, sign: int) -> Network:
        other = one_sign(net, sign)
        with torch.no_grad():
            other.w.copy_(torch.where(other.w * sign > 0, other.w, 0.0))
        return other

    slips = [
        Slip("It keeps the other sign.", lambda net, sign: one_sign(net, -sign)),
        Slip(
            "The others are turned round. They should be zero.",
            lambda net, sign: with_alpha(net, sign * net.get_parameter("alpha").abs()),
        ),
        Slip("w is cut too. Only alpha loses a sign.", cut_too),
        Slip("It is an unchanged copy.", lambda net, sign: net),
        Slip(
            "All that is kept has lost its size. Keep alpha as it is where the sign is right.",
            lambda net, sign: with_alpha(net, sign * (net.get_parameter("alpha") * sign > 0).float()),
        ),
    ]
    check_answer(
        "keep_sign",
        parameters(answer) if callable(answer) else answer,
        parameters(one_sign),
        cases,
        [Slip(slip.hint, parameters(slip.function)) for slip in slips],
    )


@worth(2)
@exercise
def triggered(answer: Callable[..., Any]) -> None:
    """Check `triggered(values, rewards, lag)` -> mean after rewards, less that of the next episode.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, lag in ((30, 4, 3), (50, 6, 1), (25, 5, 5), (40, 3, 0)):
        rewards = 10.0 * (torch.rand(length, batch, generator=generator) < 0.15)
        rewards[length // 2, 0] = rewards[-1, 1] = rewards[-2, 2] = 10.0
        rewards[rewards == 0] = -0.1 * (torch.rand(int((rewards == 0).sum()), generator=generator) < 0.3)
        drift = torch.linspace(0, 3, length)[:, None]  # values that grow over an episode, as traces do
        cases.append((drift + torch.randn(length, batch, generator=generator), rewards, lag))

    def wrapped(values: Tensor, rewards: Tensor, lag: int) -> Tensor:
        steps, episodes = (rewards > 0).nonzero().T
        return (values - values.roll(-1, dims=1))[(steps + lag) % len(values), episodes].mean()

    def stopped(values: Tensor, rewards: Tensor, lag: int) -> Tensor:
        steps, episodes = (rewards > 0).nonzero().T
        return (values - values.roll(-1, dims=1))[(steps + lag).clamp(max=len(values) - 1), episodes].mean()

    def alone(values: Tensor, rewards: Tensor, lag: int, less: float = 0.0) -> Tensor:
        steps, episodes = (rewards > 0).nonzero().T
        inside = steps + lag < len(values)
        return values[steps[inside] + lag, episodes[inside]].mean() - less

    slips = [
        Slip("Some windows wrap round: what is beyond the end of an episode is not its start.", wrapped),
        Slip("Leave out rewards too close to the end. Do not take the last step instead.", stopped),
        Slip("It is off by one step: lag 0 is the rewarded step itself.", shifted_by(1)),
        Slip(
            "It looks `lag` steps before the reward. Wanted is after it.",
            lambda values, rewards, lag: after_rewards(values.flip(0), rewards.flip(0), lag),
        ),
        Slip("The control is missing: take the next episode's values off.", alone),
        Slip(
            "The control is the mean of everything. Take the same steps of the next episode.",
            lambda values, rewards, lag: alone(values, rewards, lag, values.mean().item()),
        ),
        Slip(
            "The control is the episode before. The next one is wanted.",
            lambda values, rewards, lag: after_rewards(values.flip(1), rewards.flip(1), lag),
        ),
        Slip(
            "A negative reward, for a bump into a wall, is no hit.",
            lambda values, rewards, lag: after_rewards(values, rewards.abs(), lag),
        ),
        Slip("The sign is turned round.", lambda *case: -after_rewards(*case)),
    ]
    check_answer("triggered", answer, after_rewards, cases, slips)


def shifted_by(steps: int) -> Callable[[Tensor, Tensor, int], Tensor]:
    """`after_rewards` that looks so many steps further."""
    return lambda values, rewards, lag: after_rewards(values, rewards, lag + steps)


@worth(2)
@exercise
def held_out_score(answer: Callable[..., Any]) -> None:
    """Check `held_out_score(features, targets, train, price)` -> R squared on episodes not fitted.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    # Two targets at least: for one, scikit-learn's Ridge predicts [N] and not [N, 1].
    for T, B, D, K, price in ((6, 12, 4, 2, 0.5), (10, 9, 3, 3, 5.0), (8, 14, 6, 2, 20.0)):
        hidden = torch.randn(1, B, K, generator=generator, dtype=torch.float64)  # one for each episode
        mix = torch.randn(K, D, generator=generator, dtype=torch.float64)
        spread = torch.randn(T, B, D, generator=generator, dtype=torch.float64)
        train = torch.zeros(B, dtype=torch.bool)
        train[torch.randperm(B, generator=generator)[: B // 2]] = True
        cases.append((1 + hidden @ mix + spread, 2 + hidden.expand(T, -1, -1).clone(), train, price))

    def by_steps(features: Tensor, targets: Tensor, train: Tensor, price: float) -> Tensor:
        half = len(features) // 2
        parts = [(features[part].flatten(0, 1), targets[part].flatten(0, 1)) for part in halves(half)]
        return score(parts[0], parts[1], price)

    def own_mean(features: Tensor, targets: Tensor, train: Tensor, price: float) -> Tensor:
        test = targets[:, ~train].flatten(0, 1)
        guess = targets[:, train].flatten(0, 1).mean(0)
        wrong = (1 - score_on_others(features, targets, train, price)) * (test - guess).square().sum()
        return 1 - wrong / (test - test.mean(0)).square().sum()

    def own_centre(features: Tensor, targets: Tensor, train: Tensor, price: float) -> Tensor:
        (x, y), (test_x, test_y) = moments(features, targets, train), moments(features, targets, ~train)
        return score((x, y), (test_x - test_x.mean(0) + x.mean(0), test_y), price)

    def everything(train: Tensor) -> Tensor:
        return torch.ones_like(train)

    slips = [
        Slip(
            "It is tested on the episodes that it was fitted on: that measures how well it learned by heart.",
            lambda x, y, train, price: score(moments(x, y, train), moments(x, y, train), price),
        ),
        Slip(
            "It was fitted on all episodes, those of the test too.",
            lambda x, y, train, price: score(moments(x, y, everything(train)), moments(x, y, ~train), price),
        ),
        Slip(
            "It is split over the steps. All steps of one episode share its goal: split over the episodes.",
            by_steps,
        ),
        Slip(
            "Fitted and tested episodes have changed places.",
            lambda x, y, train, price: score_on_others(x, y, ~train, price),
        ),
        Slip(
            "The test moments lost their own means. Take the means of the fitted ones off them.",
            own_centre,
        ),
        Slip("The guess may not know the test episodes: it is the mean of the fitted ones.", own_mean),
        Slip(
            "The price of large weights is missing.",
            lambda x, y, train, price: score_on_others(x, y, train, 0.0),
        ),
        Slip(
            "That is the share that is *not* explained. The score is one minus it.",
            lambda *case: 1 - score_on_others(*case),
        ),
    ]
    check_answer("held_out_score", answer, score_on_others, cases, slips)


def halves(half: int) -> tuple[slice, slice]:
    """The steps before and from `half` on."""
    return slice(0, half), slice(half, None)


@worth(3)
@exercise
def transplanted(answer: Callable[..., Any]) -> None:
    """Check `transplanted(net, maze, noise, step, donor)` -> actions [T, B], traces exchanged once.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for hidden_size, length, batch, step in ((12, 40, 5, 8), (16, 30, 4, 5)):
        noise = draw_noise(length, batch, generator)
        place = torch.randperm(batch, generator=generator)
        donor = torch.empty_like(place)
        donor[place] = place.roll(1)  # one ring, so that to give and to get are not the same
        net = random_network(hidden_size, generator)
        cases.append((net, GridMaze(7, batch, length), noise, step, donor))
    slips = [
        Slip(
            "Nothing is exchanged.",
            lambda net, maze, noise, step, donor: acted(net, maze, noise, lambda t, hidden: hidden),
        ),
        Slip(
            "The activity goes along. Only the traces change their owner.",
            lambda net, maze, noise, step, donor: acted(
                net,
                maze,
                noise,
                lambda t, hidden: given(hidden, donor)._replace(h=hidden.h[donor]) if t == step else hidden,
            ),
        ),
        Slip(
            "Only the activity changes its owner. It should be the traces.",
            lambda net, maze, noise, step, donor: acted(
                net,
                maze,
                noise,
                lambda t, hidden: hidden._replace(h=hidden.h[donor]) if t == step else hidden,
            ),
        ),
        Slip(
            "The traces are exchanged again at every later step. Once is enough.",
            lambda net, maze, noise, step, donor: acted(
                net, maze, noise, lambda t, hidden: given(hidden, donor) if t >= step else hidden
            ),
        ),
        Slip(
            "They are exchanged from the very start. Wanted is once, after step `step`.",
            lambda net, maze, noise, step, donor: acted(
                net, maze, noise, lambda t, hidden: given(hidden, donor) if t <= step else hidden
            ),
        ),
        Slip(
            "The exchange comes a step early: step `step`, counted from 0, still has the agent's own traces.",
            lambda net, maze, noise, step, donor: acted_after_exchange(net, maze, noise, step - 1, donor),
        ),
        Slip(
            "The exchange comes a step late: step `step` is counted from 0.",
            lambda net, maze, noise, step, donor: acted_after_exchange(net, maze, noise, step + 1, donor),
        ),
        Slip(
            "To give and to get are mixed up: agent b gets the traces of agent donor[b].",
            lambda net, maze, noise, step, donor: acted_after_exchange(
                net, maze, noise, step, donor.argsort()
            ),
        ),
    ]
    check_answer("transplanted", answer, acted_after_exchange, cases, slips)

"""The environments that the loops know: the rules of the maze and of the cues, and the choice of an action.

They are those of bpa.maze, bpa.envs.cue_reward and bpa.training.rollout, with the same arithmetic.
"""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import math
from typing import Generic, NamedTuple

import numpy as np

from bpa.engines.numba.compiling import compiled
from bpa.engines.numba.vectors import Array, dot, float32
from bpa.engines.view import MAZE

SMALLEST = float32(2.0**-126)  # as in bpa.training.rollout


class Environment(NamedTuple):
    """What the loops read of a `bpa.engines.view.KernelView`; an array of other rules is empty."""

    rules: int
    reward: np.float32
    penalty: np.float32  # for a wall, or a wrong answer
    first_action: int  # what is sensed as the action before the first step; -1 for none
    answer_delay: int  # CUES: steps from Go to the answer that is judged
    # MAZE
    walls: np.ndarray  # [n, n]
    moves: np.ndarray  # [A, 2]
    free_cells: np.ndarray  # [F, 2]
    goal_index: np.ndarray  # [B]
    teleport: np.ndarray  # [T, B], uniform numbers
    agent: np.ndarray  # [B, 2]
    # CUES
    shown: np.ndarray  # [T, B, K]
    answers: np.ndarray  # [T, B]


class Layers(NamedTuple):
    """The linear layers of a network that acts; C is P, or 4 P for gates.

    The loops compute N heads, of which the first A choose the action; one more may be the value.
    """

    input_weight: np.ndarray  # [I, C]
    input_bias: np.ndarray  # [C]
    head_weight: np.ndarray  # [N, P]
    head_bias: np.ndarray  # [N]


class Choice(NamedTuple):
    """How actions are chosen."""

    actions: int  # how many there are
    greedy: bool  # the likeliest, in place of a sampled one


class Episodes(NamedTuple, Generic[Array]):
    """What happens in B episodes: filled, but for the noise."""

    noise: Array  # [T, B], the uniform numbers that choose the actions
    observations: Array  # [T, B, I]
    actions: Array  # [T, B]
    rewards: Array  # [T, B]
    heads: Array  # [T, B, N], the logits, and the value if it is a matter of the loops


@compiled
def pick_except(uniform, count, taken):
    """As in bpa.maze: an index below `count` other than `taken`."""
    index = min(int(uniform * float32(count - 1)), count - 2)
    return index + 1 if index >= taken else index


@compiled
def sense(env, first, last, t, episodes):
    """As in bpa.maze and bpa.envs.cue_reward: observations[t] of agents first to last - 1."""
    observations, rewards, actions = episodes.observations, episodes.rewards, episodes.actions
    walls, agent, shown, answers = env.walls, env.agent, env.shown, env.answers
    steps, bits = len(actions), shown.shape[2]
    for b in range(first, last):
        for k in range(observations.shape[2]):
            observations[t, b, k] = 0
        if env.rules == MAZE:
            row, column = agent[b, 0], agent[b, 1]
            for k in range(9):
                observations[t, b, k] = walls[row + k // 3 - 1, column + k % 3 - 1]
            sensed = 10
        else:
            for k in range(bits):
                observations[t, b, k] = shown[t, b, k]
            judged = t + env.answer_delay
            observations[t, b, bits] = judged < steps and answers[judged, b] >= 0
            sensed = bits + 1
        observations[t, b, sensed] = 1
        observations[t, b, sensed + 1] = t / steps
        if t > 0:
            observations[t, b, sensed + 2] = rewards[t - 1, b]
            observations[t, b, sensed + 3 + actions[t - 1, b]] = 1
        elif env.first_action >= 0:
            observations[t, b, sensed + 3 + env.first_action] = 1


@compiled
def sample(heads, at, uniform, room):
    """As in bpa.training.rollout, by the first logits heads[at], as many as `room` [A] has places.

    The first action at which the summed probabilities exceed the number. Never one of probability 0, whatever
    rounding does to the sum; action 0 where a logit is NaN.
    """
    highest, everything = float32(-np.inf), float32(0)
    for a in range(len(room)):
        highest = max(highest, heads[(*at, a)])
    for a in range(len(room)):
        room[a] = math.exp(heads[(*at, a)] - highest)
        everything += room[a]
    reached, action, last = float32(0), 0, 0
    for a in range(len(room)):
        probability = room[a] / everything
        if probability > SMALLEST:
            reached += probability
            last = a
        action += uniform >= reached
    return min(action, last)


@compiled
def likeliest(heads, at, count):
    """The first action with the highest of `count` logits heads[at]; as for PyTorch, NaN is higher still."""
    action = 0
    for a in range(1, count):
        best, logit = heads[(*at, action)], heads[(*at, a)]
        if logit > best or (logit != logit and best == best):
            action = a
    return action


@compiled
def act(env, first, last, t, h, layers, choice, room, episodes):
    """Agents first to last - 1 choose by their activities h [G, P], and the environment answers.

    `room` [A] is for the probabilities of a choice. Each thing is done for all agents before the next, so
    that none waits for its own result.
    """
    actions, rewards, heads = episodes.actions, episodes.rewards, episodes.heads
    for b in range(first, last):
        for n in range(heads.shape[2]):
            heads[t, b, n] = dot(h, (b - first,), layers.head_weight, (n,)) + layers.head_bias[n]
    for b in range(first, last):
        if choice.greedy:
            actions[t, b] = likeliest(heads, (t, b), choice.actions)
        else:
            actions[t, b] = sample(heads, (t, b), episodes.noise[t, b], room)
    if env.rules == MAZE:
        move(env, first, last, t, actions, rewards)
        return
    for b in range(first, last):
        rewards[t, b], answer = 0, env.answers[t, b]
        if answer >= 0:
            rewards[t, b] = env.reward if actions[t, b] == answer else -env.penalty


@compiled
def move(env, first, last, t, actions, rewards):
    """As in bpa.maze: a step, or none before a wall; from the goal to a random cell."""
    cells, agent = env.free_cells, env.agent
    for b in range(first, last):
        action, goal = actions[t, b], env.goal_index[b]
        row, column = agent[b, 0], agent[b, 1]
        down, right = env.moves[action, 0], env.moves[action, 1]
        blocked = env.walls[row + down, column + right]
        row, column = row + down * (1 - blocked), column + right * (1 - blocked)  # no branch to be guessed
        reward = float32(0) - env.penalty * blocked  # which is no -0 before a wall that costs nothing
        if row == cells[goal, 0] and column == cells[goal, 1]:
            elsewhere = pick_except(env.teleport[t, b], len(cells), goal)
            row, column = cells[elsewhere, 0], cells[elsewhere, 1]
            reward += env.reward
        agent[b, 0], agent[b, 1], rewards[t, b] = row, column, reward

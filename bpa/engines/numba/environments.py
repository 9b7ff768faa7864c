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
    """The linear layers of a network that acts; C is P, or 4 P for gates."""

    input_weight: np.ndarray  # [I, C]
    input_bias: np.ndarray  # [C]
    policy_weight: np.ndarray  # [A, P]
    policy_bias: np.ndarray  # [A]


class Episodes(NamedTuple, Generic[Array]):
    """What happens in B episodes: filled, but for the noise."""

    noise: Array  # [T, B], the uniform numbers that choose the actions
    observations: Array  # [T, B, I]
    actions: Array  # [T, B]
    rewards: Array  # [T, B]


@compiled
def pick_except(uniform, count, taken):
    """As in bpa.maze: an index below `count` other than `taken`."""
    index = min(int(uniform * float32(count - 1)), count - 2)
    return index + 1 if index >= taken else index


@compiled
def observe(env, b, t, steps, reward, action, observations):
    """As in bpa.maze and bpa.envs.cue_reward: observations[t, b], what agent b senses at time t."""
    for k in range(observations.shape[2]):
        observations[t, b, k] = 0
    if env.rules == MAZE:
        row, column = env.agent[b, 0], env.agent[b, 1]
        for k in range(9):
            observations[t, b, k] = env.walls[row + k // 3 - 1, column + k % 3 - 1]
        sensed = 10
    else:
        bits = env.shown.shape[2]
        for k in range(bits):
            observations[t, b, k] = env.shown[t, b, k]
        judged = t + env.answer_delay
        observations[t, b, bits] = judged < steps and env.answers[judged, b] >= 0
        sensed = bits + 1
    observations[t, b, sensed] = 1
    observations[t, b, sensed + 1] = t / steps
    observations[t, b, sensed + 2] = reward
    if action >= 0:
        observations[t, b, sensed + 3 + action] = 1


@compiled
def sample(logits, uniform):
    """As in bpa.training.rollout: the first action at which the summed probabilities exceed the number.

    Never one of probability 0, whatever rounding does to the sum; action 0 where a logit is NaN.
    """
    highest, everything = float32(-np.inf), float32(0)
    for a in range(len(logits)):
        highest = max(highest, logits[a])
    for a in range(len(logits)):
        logits[a] = math.exp(logits[a] - highest)
        everything += logits[a]
    reached, action, last = float32(0), 0, 0
    for a in range(len(logits)):
        probability = logits[a] / everything
        if probability > SMALLEST:
            reached += probability
            last = a
        action += uniform >= reached
    return min(action, last)


@compiled
def move(env, b, uniform, action):
    """As in bpa.maze: agent b takes a step, or stays before a wall; returns its reward."""
    agent, cells, goal_index, reward = env.agent, env.free_cells, env.goal_index[b], float32(0)
    row, column = agent[b, 0] + env.moves[action, 0], agent[b, 1] + env.moves[action, 1]
    if env.walls[row, column]:
        reward -= env.penalty
    else:
        agent[b, 0], agent[b, 1] = row, column
    if agent[b, 0] == cells[goal_index, 0] and agent[b, 1] == cells[goal_index, 1]:
        reward += env.reward
        elsewhere = pick_except(uniform, len(cells), goal_index)
        agent[b, 0], agent[b, 1] = cells[elsewhere, 0], cells[elsewhere, 1]
    return reward


@compiled
def answer(env, b, t, action):
    """As in bpa.envs.cue_reward: the reward of agent b for its action at time t."""
    right = env.answers[t, b]
    if right < 0:
        return float32(0)
    return env.reward if action == right else float32(0) - env.penalty


@compiled
def sense(env, b, t, episodes):
    """Fill what agent b senses at time t, after its last reward and action."""
    rewards, actions = episodes.rewards, episodes.actions
    reward, action = (rewards[t - 1, b], actions[t - 1, b]) if t > 0 else (float32(0), env.first_action)
    observe(env, b, t, len(actions), reward, action, episodes.observations)


@compiled
def act(env, b, t, h, at, layers, logits, episodes):
    """Agent b chooses by its activity h[at], the environment answers; `logits` [A] is room for its choice."""
    for a in range(len(logits)):
        logits[a] = dot(h, at, layers.policy_weight, (a,)) + layers.policy_bias[a]
    action = sample(logits, episodes.noise[t, b])
    episodes.actions[t, b] = action
    if env.rules == MAZE:
        episodes.rewards[t, b] = move(env, b, env.teleport[t, b], action)
    else:
        episodes.rewards[t, b] = answer(env, b, t, action)

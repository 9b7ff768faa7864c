"""A compact eager loop for the one case that `bpa bench` is about: a ratio to it says what an engine gains.

The definition knows every variant, and a ratio to it alone would flatter. Here is a network with simple
neuromodulation and fan-out, from its initial state, in the maze. On the traces it does four things a step:
alpha Hebb, its product with the activity, Hebb + x(t-1) (eta x(t)) as one product with a sum, and the clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bpa.maze import GridMaze, MazeNoise
from bpa.network import Network
from bpa.training.rollout import sample


def compact_rollout(net: Network, maze: GridMaze, noise: MazeNoise) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch of whole episodes: logits [T, B, A], values [T, B], actions int64 [T, B] and rewards [T, B].

    As `bpa.training.rollout.rollout` gives them, for the network described above.

    Raises:
        ValueError: the network is of another kind.
    """
    alpha = net.alpha
    of_this_kind = net.plasticity == "simple" and net.fanout and net.clipping == "hard"
    if not of_this_kind or net.rule != "hebb" or net.modulator != "tanh" or alpha is None:
        raise ValueError(f"net must have simple neuromodulation, fan-out, tanh and a hard clip, got {net}")
    B, H = maze.batch_size, net.hidden_size
    h, hebb = net.w.new_zeros(B, H), net.w.new_zeros(B, H, H)
    observation = maze.reset(noise)
    activities, actions, rewards = [], [], []
    for t in range(maze.episode_length):
        pre = h
        plastic = torch.bmm(pre[:, None], alpha * hebb)[:, 0]
        h = torch.tanh(net.i2h(observation) + torch.addmm(plastic, pre, net.w))
        gained = net.modfanout(torch.tanh(net.h2mod(h))) * h  # eta_j(t) x_j(t)
        hebb = torch.baddbmm(hebb, pre[:, :, None], gained[:, None]).clamp(-net.clip, net.clip)
        with torch.no_grad():
            action = sample(net.h2o(h), noise.action[t])
        observation, reward, _ = maze.step(action)
        activities.append(h)
        actions.append(action)
        rewards.append(reward)
    logits, values = net.heads(torch.stack(activities))
    return logits, values, torch.stack(actions), torch.stack(rewards)

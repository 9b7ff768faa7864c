"""Several networks in one launch of the Triton engine, each with its own numbers.

So ten seeds, or ten settings, train at the price of a larger batch, which a GPU hardly feels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bpa import engines
from bpa.arguments import require_uniform
from bpa.engines.cell import LoopNetwork
from bpa.engines.eager import Unrolled
from bpa.engines.offers import accepted
from bpa.engines.triton import MazeNoise, act_all, shape_of, unroll_all
from bpa.engines.view import Viewed, view_of


def require_known(nets: Sequence[LoopNetwork], tensors: Sequence[Tensor | None]) -> None:
    """Raise ValueError if there is no network, one that cannot be run, or two that differ in shape."""
    if not nets:
        raise ValueError("nets must hold at least one network, got none")
    for net in nets:
        engines.choose("triton", net, tensors=tensors)
    shape_of([accepted(net.kernel_cell()) for net in nets], batch_size=1)


def unroll_together(
    nets: Sequence[LoopNetwork], sequences: Sequence[Tensor], hiddens: Sequence[Any]
) -> list[Unrolled]:
    """As `bpa.engines.triton.unroll`, for several networks of the same shape in the same launch.

    Args:
        nets: S networks that are alike in plasticity, modulator and sizes; parameters and clip may differ.
        sequences: xs [T, B, I] for each.
        hiddens: an initial state of B episodes for each.

    Returns:
        What `unroll` returns, for each. Gradients reach each network's own parameters alone.

    Raises:
        ValueError: there is no network, the engine cannot run one, or they or the sequences are not alike.
    """
    require_known(nets, [*sequences, *[part for hidden in hiddens for part in hidden]])
    if len(sequences) != len(nets) or any(xs.shape != sequences[0].shape for xs in sequences):
        raise ValueError(
            f"sequences must be {len(nets)} tensors of one shape, got {[list(xs.shape) for xs in sequences]}"
        )
    return unroll_all(nets, sequences, hiddens)


def act_together(
    nets: Sequence[LoopNetwork], mazes: Sequence[Viewed], noises: Sequence[MazeNoise]
) -> list[tuple[Any, ...]]:
    """As `bpa.engines.triton.act`, for several networks of the same shape, each with its own maze and noise.

    Args:
        nets: S networks that are alike in plasticity, modulator and sizes; parameters and clip may differ.
        mazes: one for each, just reset, alike in size, batch and length; rewards may differ.
        noises: for each the noise of its episodes.

    Returns:
        What `act` returns, for each. Gradients reach each network's own parameters alone.

    Raises:
        ValueError: the networks or the mazes are not alike, or their numbers differ.
    """
    if not len(nets) == len(mazes) == len(noises):
        raise ValueError(
            "nets, mazes and noises must be as many as each other, "
            f"got {len(nets)}, {len(mazes)} and {len(noises)}"
        )
    views = []
    for maze in mazes:
        offer = view_of(maze)
        if isinstance(offer, str):
            raise ValueError(f"engine 'triton' cannot run this: {offer}")
        views.append(offer)
    kinds = {(len(view.walls), view.batch_size, view.episode_length, view.walls.device) for view in views}
    if len(kinds) > 1:
        raise ValueError(
            "mazes must be alike in size, batch_size, episode_length and device, got "
            + " and ".join(map(str, sorted(kinds, key=str)))
        )
    if any(not torch.equal(view.walls, views[0].walls) for view in views):
        raise ValueError("mazes must have the same walls")
    require_known(nets, [])
    for n, (net, maze, view, noise) in enumerate(zip(nets, mazes, views, noises, strict=True)):
        outside = engines.reason_outside(engines.choose("triton", net, maze), maze)
        if outside is not None:
            raise ValueError(f"engine 'triton' cannot run this: {outside}")
        cell = accepted(net.kernel_cell())
        if (cell.i2h.in_features, cell.h2o.out_features) != (view.observation_size, view.num_actions):
            raise ValueError(
                f"nets[{n}] must have {view.observation_size} inputs and {view.num_actions} actions, "
                f"got {cell.i2h.in_features} and {cell.h2o.out_features}"
            )
        for name in ("action", "teleport"):
            shape = (view.episode_length, view.batch_size)
            require_uniform(f"noises[{n}].{name}", getattr(noise, name), shape, view.walls.device)
    return act_all(nets, mazes, noises)

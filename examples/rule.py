"""A rule of your own: a function, trained in a network, saved, and loaded again.

python examples/rule.py --iterations 300

The rule squeezes the trace where Hebb's own clips it. The task is to remember pairs of key and value.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import tyro
from torch import Tensor

import bpa
from bpa.network import outer


def squeezed(rate: Tensor, pre: Tensor, post: Tensor, hebb: Tensor) -> Tensor:
    """Hebb(t+1) = tanh( Hebb + rate x_i(t-1) x_j(t) ), [B, H, H].

    rate [1], [B, 1, 1] or [B, 1, H] multiplies an increment; pre and post [B, H] are the activity before and
    after the step.
    """
    return torch.tanh(hebb + rate * outer(pre, post))


def main(iterations: int = 300, seed: int = 0) -> float:
    """Train it by examples, keep it in a file, and return the share of right answers at the end."""
    config = bpa.TrainConfig(
        task="recall", iterations=iterations, seed=seed, learning_rate=3e-3, quiet=True
    ).updated({"recall": {"num_pairs": 3, "num_keys": 6, "num_values": 4}})
    net = bpa.Network(
        input_size=11,  # a key, a value, and whether a key is asked for
        hidden_size=40,
        num_actions=4,
        plasticity="simple",
        rule=squeezed,
        generator=torch.Generator().manual_seed(seed),
    )
    result = bpa.train(config, network=net)  # a copy is trained, net stays as it is

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mine.safetensors"
        bpa.save(file, result.network)  # the rule is kept by its name
        again = bpa.load(file, rule=squeezed)
    xs = torch.eye(11)[:, None]
    assert torch.equal(again.unroll(xs).logits, result.network.unroll(xs).logits)

    last = result.history[-20:]
    accuracy = sum(record.accuracy for record in last) / len(last)
    print(f"{accuracy:.0%} of the answers are right in the last {len(last)} batches; guessing gets 25%")
    return accuracy


if __name__ == "__main__":
    tyro.cli(main)

"""Checks of the exercises in chapter 3, "Learning to learn"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.cells.sizes import count_parameters
from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.network import Hidden, Network
from bpa.noise import fresh_generator
from bpa.training.supervised import masked_squared_error


def alpha_gradient_of(pre: Tensor, hebb: Tensor, post: Tensor, upstream: Tensor) -> Tensor:
    """dL/dalpha_ij of one step, by autograd: the trace's part of the connection, scaled by alpha [H, H].

    pre, post, upstream = dL/dx(t) are [B, H], hebb is [B, H, H]. Only alpha is a leaf here, and it enters by
    a change of zero: post is atanh-ed back to what went into the tanh.
    """
    change = torch.zeros(hebb.shape[1:], dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        inside = torch.atanh(post.double()) + torch.einsum("bi,bij->bj", pre.double(), change * hebb.double())
        (gradient,) = torch.autograd.grad((torch.tanh(inside) * upstream.double()).sum(), change)
    return gradient


def parameters_of(alpha: str, inputs: int, hidden: int, outputs: int) -> int:
    """How many parameters the `bpa.Network` of these sizes has; alpha "none" stands for no plasticity."""
    generator = fresh_generator()  # PyTorch's global one is the reader's
    if alpha == "none":
        net = Network(inputs, hidden, outputs, plasticity="none", generator=generator)
    else:
        net = Network(inputs, hidden, outputs, plasticity="plastic", alpha=alpha, generator=generator)
    return count_parameters(net)


Mix = Callable[[Hidden], Hidden]


def asked_with(net: Network, inputs: Tensor, cue_steps: int, mix: Mix) -> Tensor:
    """Outputs of the last step [B, A] when the state goes through `mix` just before the cue."""
    with torch.no_grad():
        hidden = net.initial_state(inputs.shape[1])
        logits = inputs.new_zeros(inputs.shape[1], net.num_actions)
        for t, x in enumerate(inputs):
            if t == len(inputs) - cue_steps:
                hidden = mix(hidden)
            logits, _, hidden = net(x, hidden)
    return logits


def next_trace(hidden: Hidden) -> Hidden:
    """Episode b keeps its activity and gets the trace of episode b + 1, the last one that of the first."""
    assert hidden.hebb is not None
    return hidden._replace(hebb=torch.cat([hidden.hebb[1:], hidden.hebb[:1]]))


def asked_with_the_next_trace(net: Network, inputs: Tensor, cue_steps: int) -> Tensor:
    """Outputs of the last step [B, A] when each episode is asked with the trace of the next one."""
    return asked_with(net, inputs, cue_steps, next_trace)


@worth(1)
@exercise
def masked_error(answer: Callable[..., Any]) -> None:
    """Check `masked_error(outputs, targets, mask)`, all [T, B, A] -> the mean squared error, a scalar.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for steps, batch, size in ((4, 1, 6), (7, 3, 5), (3, 4, 4)):
        outputs, targets = torch.randn(2, steps, batch, size, generator=generator)
        mask = torch.zeros(steps, batch, size, dtype=torch.bool)
        mask[-1] = torch.rand(batch, size, generator=generator) < 0.5
        mask[-1, 0, 0], mask[-1, -1, -1] = True, False
        cases.append((outputs, targets, mask))
    slips = [
        Slip(
            "You take the mean over everything. Errors count only where the mask is True, so divide "
            "by the number of those places.",
            lambda outputs, targets, mask: (outputs - targets).square().mean(),
        ),
        Slip(
            "What does not count adds nothing, but you still divide by it. Divide by the number of True.",
            lambda outputs, targets, mask: ((outputs - targets).square() * mask).mean(),
        ),
        Slip(
            "You take all of the last step. The shown bits do not count: use the mask.",
            lambda outputs, targets, mask: (outputs[-1] - targets[-1]).square().mean(),
        ),
        Slip(
            "This is the sum. Divide by how many places count.",
            lambda outputs, targets, mask: (outputs - targets)[mask].square().sum(),
        ),
        Slip(
            "You take the error itself, so that errors of both signs cancel. Square it.",
            lambda outputs, targets, mask: (outputs - targets)[mask].mean(),
        ),
        Slip(
            "You square the mean error. Square first, then take the mean.",
            lambda outputs, targets, mask: (outputs - targets)[mask].mean().square(),
        ),
        Slip(
            "You take the absolute error. Square it.",
            lambda outputs, targets, mask: (outputs - targets)[mask].abs().mean(),
        ),
        Slip(
            "This is the root of it: leave the root out.",
            lambda outputs, targets, mask: (outputs - targets)[mask].square().mean().sqrt(),
        ),
        Slip(
            "The mask is the wrong way round: True is where the target counts.",
            lambda outputs, targets, mask: (outputs - targets)[~mask].square().mean(),
        ),
    ]
    check_answer("masked_error", answer, masked_squared_error, cases, slips)


@worth(2)
@exercise
def alpha_gradient(answer: Callable[..., Any]) -> None:
    """Check `alpha_gradient(pre, hebb, post, upstream)` -> dL/dalpha of one step, [H, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, size in ((1, 3), (4, 5), (3, 3)):
        pre, post, upstream = torch.randn(3, batch, size, generator=generator)
        hebb = torch.randn(batch, size, size, generator=generator)
        cases.append((pre.tanh(), hebb, 0.9 * post.tanh(), upstream))

    def gradient(
        pre: Tensor, hebb: Tensor, post: Tensor, upstream: Tensor, letters: str = "bi,bij,bj->ij"
    ) -> Tensor:
        return torch.einsum(letters, pre, hebb, upstream * (1 - post.square()))

    slips = [
        Slip(
            "The slope of the tanh is missing: multiply upstream by 1 - x_j(t)^2.",
            lambda pre, hebb, post, upstream: torch.einsum("bi,bij,bj->ij", pre, hebb, upstream),
        ),
        Slip(
            "The slope of the tanh is 1 - x_j(t)^2: the square is missing.",
            lambda pre, hebb, post, upstream: torch.einsum("bi,bij,bj->ij", pre, hebb, upstream * (1 - post)),
        ),
        Slip(
            "Hebb is missing. This is the gradient of w; that of alpha has Hebb as one more factor.",
            lambda pre, hebb, post, upstream: gradient(pre, torch.ones_like(hebb), post, upstream),
        ),
        Slip(
            "Rows and columns are swapped: x_i(t-1) belongs to the row, upstream to the column.",
            lambda pre, hebb, post, upstream: gradient(pre, hebb, post, upstream, "bj,bij,bi->ij"),
        ),
        Slip(
            "You take the mean over the batch. One alpha serves all episodes, so their gradients add up.",
            lambda pre, hebb, post, upstream: gradient(pre, hebb, post, upstream) / len(pre),
        ),
        Slip(
            "You use the new activity, x_i(t). What came through the connection is the old one, x_i(t-1).",
            lambda pre, hebb, post, upstream: gradient(post, hebb, post, upstream),
        ),
        Slip(
            "The slope of the tanh belongs to the new activity: 1 - x_j(t)^2, not 1 - x_j(t-1)^2.",
            lambda pre, hebb, post, upstream: torch.einsum(
                "bi,bij,bj->ij", pre, hebb, upstream * (1 - pre.square())
            ),
        ),
        Slip(
            "The old activity is missing: a connection whose sender was silent has no gradient.",
            lambda pre, hebb, post, upstream: gradient(torch.ones_like(pre), hebb, post, upstream),
        ),
        Slip(
            "There is one alpha for all episodes: sum over the batch.",
            lambda pre, hebb, post, upstream: gradient(pre, hebb, post, upstream, "bi,bij,bj->bij"),
        ),
    ]
    check_answer("alpha_gradient", answer, alpha_gradient_of, cases, slips)


@worth(1)
@exercise
def parameter_count(answer: Callable[..., Any]) -> None:
    """Check `parameter_count(alpha, inputs, hidden, outputs)` -> how many parameters the network has.

    Raises:
        NotYet: the answer differs from what the networks of `bpa` have.
    """
    generator = fresh_generator()
    cases = []
    for alpha in ("none", "synapse", "neuron", "network"):
        inputs, hidden, outputs = (int(torch.randint(2, 40, (), generator=generator)) for _ in range(3))
        cases.append((alpha, inputs, hidden + 40, outputs + 80))  # no two sizes alike

    def without(part: Callable[[str, int, int, int], int]) -> Callable[..., int]:
        return lambda *sizes: parameters_of(*sizes) - part(*sizes)

    alphas = {
        "none": lambda H: 0,
        "synapse": lambda H: H * H,
        "neuron": lambda H: H,
        "network": lambda H: 1,
    }
    slips = [
        Slip(
            "The biases are missing: i2h, h2o and h2v have one for each of their outputs.",
            without(lambda alpha, inputs, hidden, outputs: hidden + outputs + 1),
        ),
        Slip(
            "The value head h2v is missing. It takes no part in this task, but it is there.",
            without(lambda alpha, inputs, hidden, outputs: hidden + 1),
        ),
        Slip("Eta is missing.", without(lambda alpha, inputs, hidden, outputs: int(alpha != "none"))),
        Slip(
            "A network without plasticity has no eta.",
            without(lambda alpha, inputs, hidden, outputs: -int(alpha == "none")),
        ),
        Slip("w is missing.", without(lambda alpha, inputs, hidden, outputs: hidden * hidden)),
        Slip("Alpha is missing.", without(lambda alpha, inputs, hidden, outputs: alphas[alpha](hidden))),
        Slip(
            "You count an alpha for each connection in every network.",
            without(
                lambda alpha, inputs, hidden, outputs: alphas[alpha](hidden) - (alpha != "none") * hidden**2
            ),
        ),
        Slip(
            "You count the trace, [H, H]. It is not a parameter: training does not change it.",
            without(lambda alpha, inputs, hidden, outputs: -int(alpha != "none") * hidden * hidden),
        ),
    ]
    check_answer("parameter_count", answer, parameters_of, cases, slips, tolerance=0)


@worth(3)
@exercise
def swapped_traces(answer: Callable[..., Any]) -> None:
    """Check `swapped_traces(net, inputs, cue_steps)` -> outputs of the last step [B, A], traces swapped.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size, batch, steps, cue_steps in ((6, 4, 9, 3), (8, 5, 7, 2), (5, 3, 6, 1)):
        net = Network(size, 2 * size, size, plasticity="plastic", clip=1.0, generator=generator)
        with torch.no_grad():  # traces that matter
            for name in ("w", "alpha"):
                net.get_parameter(name).normal_(0, size**-0.5, generator=generator)
            net.get_parameter("eta").fill_(0.5)
        net.requires_grad_(False)
        cases.append((net, torch.randn(steps, batch, size, generator=generator), cue_steps))

    def other(mix: Mix) -> Callable[[Network, Tensor, int], Tensor]:
        return lambda net, inputs, cue_steps: asked_with(net, inputs, cue_steps, mix)

    slips = [
        Slip("Nothing is swapped: every episode is asked with its own trace.", other(lambda hidden: hidden)),
        Slip(
            "You swap the wrong way round: episode b gets the trace of episode b + 1.",
            other(lambda hidden: hidden._replace(hebb=hidden.hebb.roll(1, 0))),  # type: ignore[union-attr]
        ),
        Slip(
            "You swap the activity too. Each episode keeps its own.",
            other(lambda hidden: next_trace(hidden)._replace(h=hidden.h.roll(-1, 0))),
        ),
        Slip(
            "You swap the activity in place of the trace.",
            other(lambda hidden: hidden._replace(h=hidden.h.roll(-1, 0))),
        ),
        Slip(
            "You reverse the batch. Episode b gets the trace of episode b + 1, the last that of the first.",
            other(lambda hidden: hidden._replace(hebb=hidden.hebb.flip(0))),  # type: ignore[union-attr]
        ),
        Slip(
            "The last episode keeps its own trace. It gets that of the first.",
            other(lambda hidden: hidden._replace(hebb=torch.cat([hidden.hebb[1:], hidden.hebb[-1:]]))),  # type: ignore[index]
        ),
        Slip(
            "The activity is wiped. Swap the traces and leave the activity as it is.",
            other(lambda hidden: next_trace(hidden)._replace(h=torch.zeros_like(hidden.h))),
        ),
        Slip(
            "You swap one step too early: the last step before the cue still belongs to the old trace.",
            lambda net, inputs, cue_steps: asked_with(net, inputs, cue_steps + 1, next_trace),
        ),
    ]
    check_answer("swapped_traces", answer, asked_with_the_next_trace, cases, slips)

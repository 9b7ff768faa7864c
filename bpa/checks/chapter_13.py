"""Checks of the exercises in chapter 13, "Plastic LSTMs"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise
from bpa.noise import fresh_generator


def confusion(losses: Tensor, mask: Tensor) -> Tensor:
    """exp of the mean loss over what counts, a scalar."""
    return (losses * mask).sum().div(mask.sum()).exp()


def followers(symbols: Tensor, count: int) -> Tensor:
    """How often each symbol (row) was followed by each (column), float64 [A, A]."""
    counts = torch.zeros(count, count, dtype=torch.float64)
    for now, after in zip(symbols[:-1].tolist(), symbols[1:].tolist(), strict=True):
        counts[now, after] += 1
    return counts


def expected(counts: Tensor, concentration: float) -> Tensor:
    """Mean of a Dirichlet row after these counts, [A]."""
    return (counts + concentration) / (counts + concentration).sum()


def bayes_next(symbols: Tensor, count: int, concentration: float) -> Tensor:
    """p(next symbol | all so far) by the exact Bayesian of order 1, [A]."""
    return expected(followers(symbols, count)[symbols[-1]], concentration)


def lstm_step(
    drive: Tensor,
    pre: Tensor,
    cell: Tensor,
    hebb: Tensor,
    w: Tensor,
    alpha: Tensor,
    eta: float,
    clip: float,
    order: str = "ifog",
    post: str = "candidate",
    everywhere: bool = False,
    by_columns: bool = False,
    bare_cell: bool = False,
    written: str = "old by new",
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of a plastic LSTM: h, cell [B, H] and Hebb [B, H, H]; what comes after clip makes slips."""
    parts = dict(zip(order, (drive + pre @ w).chunk(4, dim=1), strict=True))
    read = torch.einsum("bj,bij->bi" if by_columns else "bi,bij->bj", pre, alpha * hebb)
    for gate in "ifog" if everywhere else "g":
        parts[gate] = parts[gate] + read
    g = torch.tanh(parts["g"])
    cell = torch.sigmoid(parts["f"]) * cell + torch.sigmoid(parts["i"]) * g
    h = torch.sigmoid(parts["o"]) * (cell if bare_cell else torch.tanh(cell))
    active = {"candidate": g, "output": h, "cell": cell, "before": parts["g"]}[post]
    rows, columns = {"old by new": (pre, active), "turned": (active, pre), "new by new": (h, active)}[written]
    return h, cell, (hebb + eta * rows[:, :, None] * columns[:, None, :]).clamp(-clip, clip)


def mixture(losses: Tensor) -> Tensor:
    """-log of the mean prediction of K predictors, each weighed by how well it did before: [K, T] -> [T]."""
    weights = torch.full((len(losses),), 1 / len(losses), dtype=losses.dtype)
    mixed = []
    for loss in losses.T:
        joint = weights * torch.exp(-loss)
        mixed.append(-joint.sum().log())
        weights = joint / joint.sum()
    return torch.stack(mixed)


@exercise
def perplexity(answer: Callable[..., Any]) -> None:
    """Check `perplexity(losses, mask)` -> exp of the mean loss over what counts, a scalar.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for shape in ((7, 3), (5, 4), (9, 2)):
        losses = 0.1 + 2 * torch.rand(shape, generator=generator)
        mask = torch.rand(shape, generator=generator) < 0.6
        mask[0, 0], mask[-1, -1] = False, True
        cases.append((losses, mask))
    slips = [
        Slip(
            "You took the mean of the exponentials. It is the exponential of the mean.",
            lambda losses, mask: losses[mask].exp().mean(),
        ),
        Slip("Only what the mask marks counts.", lambda losses, mask: losses.mean().exp()),
        Slip(
            "You divide by all steps. Divide by those that count.",
            lambda losses, mask: (losses * mask).mean().exp(),
        ),
        Slip("This is the mean loss. Its exponential is wanted.", lambda losses, mask: losses[mask].mean()),
        Slip(
            "The losses are in nats, so the base is e, not 2.", lambda losses, mask: 2 ** losses[mask].mean()
        ),
        Slip(
            "A loss is -log p already: do not turn its sign.",
            lambda losses, mask: (-losses[mask].mean()).exp(),
        ),
    ]
    check_answer("perplexity", answer, confusion, cases, slips)


@exercise
def predict_next(answer: Callable[..., Any]) -> None:
    """Check `predict_next(symbols, count, concentration)` -> probabilities of the next symbol, [A].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, count in ((12, 3), (20, 4), (15, 2)):
        symbols = torch.randint(count, (length,), generator=generator)
        # So that no slip is right by chance. Between equal ends as many steps lead to a symbol as from it.
        symbols[[0, 1, 2, 3, -2, -1]] = torch.tensor([1, 0, 0, 1, 1, 0])
        cases.append((symbols, count, 0.2 + torch.rand((), generator=generator).item()))

    def asked(symbols: Tensor, count: int) -> Tensor:
        return followers(symbols, count)[symbols[-1]]

    slips = [
        Slip(
            "These are the bare frequencies. Add the concentration to every count.",
            lambda s, A, c: expected(asked(s, A), 0),
        ),
        Slip(
            "You add the concentration once below the line. It was added to A counts above it.",
            lambda s, A, c: (asked(s, A) + c) / (asked(s, A).sum() + c),
        ),
        Slip(
            "The probabilities do not add up to 1: the concentration is missing below the line.",
            lambda s, A, c: (asked(s, A) + c) / asked(s, A).sum(),
        ),
        Slip(
            "You count all symbols. Only those that came right after the present one tell of its row.",
            lambda s, A, c: expected(torch.bincount(s, minlength=A), c),
        ),
        Slip(
            "You count what came before the present symbol. Count what came after it.",
            lambda s, A, c: expected(followers(s.flip(0), A)[s[-1]], c),
        ),
        Slip(
            "You add 1 to every count. Add the concentration: it says how the languages are drawn.",
            lambda s, A, c: expected(asked(s, A), 1),
        ),
        Slip(
            "This was the prediction one symbol ago. The last symbol says which row is asked.",
            lambda s, A, c: bayes_next(s[:-1], A, c),
        ),
    ]
    check_answer("predict_next", answer, bayes_next, cases, slips)


@exercise
def plastic_step(answer: Callable[..., Any]) -> None:
    """Check `plastic_step(drive, pre, cell, hebb, w, alpha, eta, clip)` -> h, cell, hebb.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, size in ((3, 4), (2, 5), (4, 3)):
        drive = torch.randn(batch, 4 * size, generator=generator)
        pre, cell = torch.randn(2, batch, size, generator=generator)
        hebb = 1.2 * torch.rand(batch, size, size, generator=generator) - 0.6
        w = torch.randn(size, 4 * size, generator=generator)
        alpha = torch.randn(size, size, generator=generator)
        eta = 0.5 + torch.rand((), generator=generator).item()
        cases.append((drive, pre.tanh(), cell, hebb, w, alpha, eta, 0.6))

    def without(position: int, value: Callable[[Any], Any]) -> Callable[..., Any]:
        def slip(*arguments: Any) -> Any:
            changed = list(arguments)
            changed[position] = value(changed[position])
            return lstm_step(*changed)

        return slip

    def read_late(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The trace is written with a candidate that has not read it, and read afterwards."""
        changed = list(arguments)
        changed[3] = without(5, torch.zeros_like)(*arguments)[2]
        h, cell, _ = lstm_step(*changed)
        return h, cell, changed[3]

    slips = [
        Slip(
            "The post-synaptic activity is the candidate g, not the output h.",
            partial(lstm_step, post="output"),
        ),
        Slip(
            "The post-synaptic activity is the candidate g, not the cell.",
            partial(lstm_step, post="cell"),
        ),
        Slip(
            "The trace takes the candidate after its tanh.",
            partial(lstm_step, post="before"),
        ),
        Slip(
            "The plastic term is in all four parts. It belongs to the candidate g alone.",
            partial(lstm_step, everywhere=True),
        ),
        Slip("Alpha is missing in the plastic term.", without(5, torch.ones_like)),
        Slip("The plastic term is missing.", without(5, torch.zeros_like)),
        Slip("The clip is missing.", without(7, lambda clip: float("inf"))),
        Slip("Eta is missing in the new trace.", without(6, lambda eta: 1.0)),
        Slip(
            "The columns of w and of the drive come in the order i, f, o, g. You take i, f, g, o.",
            partial(lstm_step, order="ifgo"),
        ),
        Slip(
            "The input gate and the forget gate are swapped.",
            partial(lstm_step, order="fiog"),
        ),
        Slip(
            "The plastic term is read by columns: the row i is pre-synaptic.",
            partial(lstm_step, by_columns=True),
        ),
        Slip("You write first and then read. A step reads the trace that it found.", read_late),
        Slip(
            "The trace is written with its indices swapped: the row i is pre-synaptic.",
            partial(lstm_step, written="turned"),
        ),
        Slip(
            "Pre-synaptic is the output before this step, h(t-1). You take the new one.",
            partial(lstm_step, written="new by new"),
        ),
        Slip("The tanh of the cell is missing in h.", partial(lstm_step, bare_cell=True)),
    ]
    check_answer("plastic_step", answer, lstm_step, cases, slips)


@exercise
def mixed_losses(answer: Callable[..., Any]) -> None:
    """Check `mixed_losses(losses)` -> losses of the Bayesian mixture of K predictors, [T].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [(0.1 + 2 * torch.rand(shape, generator=generator),) for shape in ((2, 9), (3, 12), (4, 6))]

    def earlier(losses: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(losses[:, :1]), losses.cumsum(1)[:, :-1]], dim=1)

    def leader(losses: Tensor) -> Tensor:
        best = earlier(losses).argmin(0)
        return losses.gather(0, best[None])[0]

    slips = [
        Slip(
            "You let a predictor's present loss into its weight. A weight may know the past only.",
            lambda losses: -(torch.softmax(-losses.cumsum(1), 0) * (-losses).exp()).sum(0).log(),
        ),
        Slip(
            "The weights never change. Who has predicted well so far should count more.",
            lambda losses: -(-losses).exp().mean(0).log(),
        ),
        Slip(
            "You mix the losses. Mix the probabilities, and take the logarithm of the mean.",
            lambda losses: (torch.softmax(-earlier(losses), 0) * losses).sum(0),
        ),
        Slip("You follow the best one so far. All of them speak, by their weights.", leader),
        Slip(
            "The weights do not add up to 1.",
            lambda losses: -((-earlier(losses)).exp() * (-losses).exp()).sum(0).log(),
        ),
        Slip(
            "The weights look at the last step alone. All steps so far count.",
            lambda losses: (
                -(
                    torch.softmax(-torch.cat([torch.zeros_like(losses[:, :1]), losses[:, :-1]], 1), 0)
                    * (-losses).exp()
                )
                .sum(0)
                .log()
            ),
        ),
        Slip(
            "Your weights are turned round: a large loss makes a small weight.",
            lambda losses: -(torch.softmax(earlier(losses), 0) * (-losses).exp()).sum(0).log(),
        ),
    ]
    check_answer("mixed_losses", answer, mixture, cases, slips)

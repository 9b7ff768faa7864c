"""Checks of the exercises in chapter 13, "Plastic LSTMs"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def confusion(losses: Tensor, mask: Tensor) -> Tensor:
    """exp of the mean loss over what counts, a scalar."""
    return (losses * mask).sum().div(mask.sum()).exp()


def by_episode(losses: Tensor, mask: Tensor) -> Tensor:
    """Mean loss of what counts in each episode, [B]."""
    return (losses * mask).sum(0) / mask.sum(0)


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


@worth(1)
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
        mask[0, 0], mask[-1] = False, True  # so that something counts in every episode
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
        Slip(
            "The mask is turned round: it is True at what counts.",
            lambda losses, mask: losses[~mask].mean().exp(),
        ),
        Slip(
            "You take the sum of the losses. Their mean goes into the exponential.",
            lambda losses, mask: losses[mask].sum().exp(),
        ),
        Slip(
            "You take a logarithm. A loss is one already; the exponential undoes it.",
            lambda losses, mask: losses[mask].mean().log(),
        ),
        Slip(
            "You take a perplexity of each episode and then their mean. Take one mean of all that counts.",
            lambda losses, mask: by_episode(losses, mask).exp().mean(),
        ),
        Slip(
            "You take the mean of each episode first. Every step that counts weighs the same.",
            lambda losses, mask: by_episode(losses, mask).mean().exp(),
        ),
    ]
    check_answer("perplexity", answer, confusion, cases, slips)


@worth(1)
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
        # So that no slip is right by chance. With three symbols or more the first pair and the last belong to
        # the row that is asked. With two they cannot: between equal ends as many steps lead to a symbol as
        # from it.
        ends = [1, 0, 0, 1, 1, 0] if count == 2 else [0, 1, 2, 0, 0, 0]
        symbols[[0, 1, 2, 3, -2, -1]] = torch.tensor(ends)
        cases.append((symbols, count, 0.2 + torch.rand((), generator=generator).item()))

    def asked(symbols: Tensor, count: int) -> Tensor:
        return followers(symbols, count)[symbols[-1]]

    def seen_first(symbols: Tensor, count: int) -> Tensor:
        """The counts after the first pair that has the present symbol in front."""
        after = symbols[1:][symbols[:-1] == symbols[-1]]
        return torch.nn.functional.one_hot(after[0], count).double()

    slips = [
        Slip(
            "The first pair is missing: symbols[0] and symbols[1] are one too.",
            lambda s, A, c: bayes_next(s[1:], A, c),
        ),
        Slip(
            "The last pair is missing: symbols[-2] and symbols[-1] are one too.",
            lambda s, A, c: expected(followers(s[:-1], A)[s[-1]], c),
        ),
        Slip(
            "You go round the end: what follows the last symbol is not known yet, and not the first one.",
            lambda s, A, c: expected(followers(torch.cat([s, s[:1]]), A)[s[-1]], c),
        ),
        Slip(
            "The return is inside the loop: you stop after the first pair that fits.",
            lambda s, A, c: expected(seen_first(s, A), c),
        ),
        Slip(
            "These are counts. Divide them by their sum.",
            lambda s, A, c: asked(s, A) + c,
        ),
        Slip(
            "You divide by all counts of the table. Each row adds up to 1 by itself.",
            lambda s, A, c: (asked(s, A) + c) / (followers(s, A) + c).sum(),
        ),
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


@worth(2)
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

    def other_candidate(candidate: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
        """A step whose candidate is another function of g without the plastic term, and of that term."""

        def slip(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
            drive, pre, cell, hebb, w, alpha, eta, clip = arguments
            i, f, o, sums = (drive + pre @ w).chunk(4, dim=1)
            g = candidate(sums, torch.einsum("bi,bij->bj", pre, alpha * hebb))
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * g
            after = hebb + eta * pre[:, :, None] * g[:, None, :]
            return torch.sigmoid(o) * torch.tanh(cell), cell, after.clamp(-clip, clip)

        return slip

    def other_trace(trace: Callable[..., Tensor]) -> Callable[..., Any]:
        """A step whose new trace is another function of the old one, of what is added, of eta and clip."""

        def slip(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
            h, cell, _ = lstm_step(*arguments)
            added = without(7, lambda clip: float("inf"))(*arguments)[2] - arguments[3]
            return h, cell, trace(arguments[3], added, *arguments[5:])

        return slip

    def forget_turned(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        drive, pre, old, _, w = arguments[:5]
        _, cell, hebb = lstm_step(*arguments)
        _, f, o, _ = (drive + pre @ w).chunk(4, dim=1)
        cell = cell + (1 - 2 * torch.sigmoid(f)) * old
        return torch.sigmoid(o) * torch.tanh(cell), cell, hebb

    def all_shown(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        _, cell, hebb = lstm_step(*arguments)
        return torch.tanh(cell), cell, hebb

    def cell_first(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        h, cell, hebb = lstm_step(*arguments)
        return cell, h, hebb

    slips = [
        Slip(
            "The plastic term stands outside the tanh of the candidate. It belongs inside.",
            other_candidate(lambda sums, read: torch.tanh(sums) + read),
        ),
        Slip(
            "The tanh of the candidate is missing.",
            other_candidate(lambda sums, read: sums + read),
        ),
        Slip(
            "The candidate is no gate: it goes through tanh, not through the sigmoid.",
            other_candidate(lambda sums, read: torch.sigmoid(sums + read)),
        ),
        Slip(
            "Your trace fades. Here eta stands before the new product alone.",
            other_trace(lambda hebb, added, alpha, eta, clip: ((1 - eta) * hebb + added).clamp(-clip, clip)),
        ),
        Slip(
            "You clip what is added. Clip the new trace.",
            other_trace(lambda hebb, added, alpha, eta, clip: hebb + added.clamp(-clip, clip)),
        ),
        Slip(
            "You clip on one side only. The trace stays between -clip and clip.",
            other_trace(lambda hebb, added, alpha, eta, clip: (hebb + added).clamp(max=clip)),
        ),
        Slip(
            "Alpha is in what is written. It weighs what is read.",
            other_trace(lambda hebb, added, alpha, eta, clip: (hebb + alpha * added).clamp(-clip, clip)),
        ),
        Slip(
            "You return the trace that you found. The new one is wanted.",
            other_trace(lambda hebb, added, alpha, eta, clip: hebb),
        ),
        Slip("The part pre @ w is missing.", without(4, torch.zeros_like)),
        Slip("The forget gate is turned round: at 1 it keeps the old cell.", forget_turned),
        Slip("The output gate is missing in h.", all_shown),
        Slip("The results come in the order h, cell, hebb. You return the cell first.", cell_first),
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


@worth(3)
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

    def by_weights(totals: Tensor, losses: Tensor, dim: int = 0) -> Tensor:
        """Losses of a mixture whose weights fall with `totals`."""
        return -(torch.softmax(-totals, dim) * torch.exp(-losses)).sum(0).log()

    slips = [
        Slip(
            "This is the probability. Its -log is wanted.",
            lambda losses: torch.exp(-mixture(losses)),
        ),
        Slip(
            "This is the loss of all steps so far together. Divide the weights by their sum at each step.",
            lambda losses: mixture(losses).cumsum(0),
        ),
        Slip(
            "At each step the weights add up to 1 over the predictors, dim=0. Yours do so over time.",
            lambda losses: by_weights(earlier(losses), losses, dim=1),
        ),
        Slip(
            "Your weights are the same at every step and know all losses. A weight may know the past only.",
            lambda losses: by_weights(losses.sum(1, keepdim=True), losses),
        ),
        Slip(
            "You take the one that is best in the end. Nobody knows it before.",
            lambda losses: losses[losses.sum(1).argmin()],
        ),
        Slip(
            "You take the best one of each step. Nobody knows it before.",
            lambda losses: losses.min(0).values,
        ),
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

"""Checks of the exercises in chapter 16, "Reading the published code"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import NotYet, Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator

GAMMA = 0.9
VALUE_COEF = 0.1


def faded_trace(
    pre: Tensor, post: Tensor, eta: float, fade_new: bool = False, pairs: bool = True, swap: bool = False
) -> Tensor:
    """(1 - eta) Hebb + eta x_i x_j after all steps, [H, H].

    Each option is a slip: the new pair fades at once, neurons meet themselves alone, eta and 1 - eta have
    changed places.
    """
    hebb = pre.new_zeros(pre.shape[1], post.shape[1])
    kept, written = (eta, 1 - eta) if swap else (1 - eta, eta)
    for x, y in zip(pre, post, strict=True):
        pair = written * (x[:, None] * y[None, :] if pairs else x * y)
        hebb = kept * hebb + ((1 - eta) * pair if fade_new else pair)
    return hebb


def actor_critic_loss(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    rewards: Tensor,
    *,
    axis: int = -1,
    detach: bool = True,
    last: bool = True,
    total: int = 0,
    sign: float = -1.0,
    learn_value: bool = True,
) -> Tensor:
    """The policy and value terms of the advantage actor-critic, a mean over steps and episodes.

    Each option is a divergence: the softmax over another axis, an advantage that the gradient flows
    through, a last reward that is lost, a sum over steps (1) or over episodes too (2), a sign turned round,
    a value that learns nothing.
    """
    following = torch.zeros_like(rewards[0])
    returns = []
    for t in reversed(range(len(rewards))):
        following = (rewards[t] if last or t < len(rewards) - 1 else 0 * rewards[t]) + GAMMA * following
        returns.append(following)
    advantage = torch.stack(returns[::-1]) - values
    log_taken = torch.log_softmax(logits, dim=axis).gather(-1, actions[..., None])[..., 0]
    weight = advantage.detach() if detach else advantage
    error = advantage if learn_value else advantage.detach()
    loss = (sign * log_taken * weight + VALUE_COEF * error.square()).mean()
    return loss * (1.0, len(rewards), rewards.numel())[total]


def with_gradients(loss: Callable[..., Any]) -> Callable[..., Any]:
    """(logits, values, actions, rewards) -> the loss, and its gradients with respect to logits and values.

    Raises:
        NotYet: it is no single number, or no gradient flows through it.
    """

    def measured(logits: Tensor, values: Tensor, actions: Tensor, rewards: Tensor) -> Any:
        logits, values = logits.clone().requires_grad_(), values.clone().requires_grad_()
        result = loss(logits, values, actions, rewards)
        if result is None:
            return None
        if not isinstance(result, Tensor) or not result.requires_grad:
            raise NotYet(
                "mended_loss returns something through which no gradient flows, so that nothing can learn. "
                "Return the tensor itself, without item(), numpy() or a detach() of the whole."
            )
        if result.numel() != 1:
            raise NotYet(
                f"mended_loss returns {list(result.shape)} numbers. A loss is one: the mean over steps and "
                "episodes."
            )
        gradients = torch.autograd.grad(result.sum(), (logits, values), allow_unused=True)
        filled = [torch.zeros(()) if gradient is None else gradient for gradient in gradients]
        return [result.detach().reshape(()), *filled]

    return measured


def parting(one: Tensor, other: Tensor) -> Tensor:
    """First step at which each episode differs, int64 [B]; T where it never does."""
    steps = torch.full((one.shape[1],), len(one))
    for t in reversed(range(len(one))):
        steps[one[t] != other[t]] = t
    return steps


def stacked(loss: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """The losses of all episodes, each of them alone, [B]."""
    return torch.stack([loss(*(part[:, b : b + 1] for part in parts)) for b in range(parts[-1].shape[1])])


def gap_to_each(loss: Callable[..., Tensor], *parts: Tensor) -> float:
    """How far `loss` of a batch is from the mean of its values for each episode alone."""
    episodes = range(parts[-1].shape[1])
    alone = [float(loss(*(part[:, b : b + 1] for part in parts))) for b in episodes]
    return abs(float(loss(*parts)) - sum(alone) / len(alone))


def mean_of_each(loss: Callable[..., Tensor], *parts: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether `loss` of a batch is the mean of its values for each episode alone, to `tolerance`."""
    return gap_to_each(loss, *parts) < tolerance


def blind_to_order(loss: Callable[..., Tensor], *parts: Tensor) -> bool:
    """Whether `loss` stays the same as the episodes are put in another order."""
    return abs(float(loss(*parts)) - float(loss(*(part.roll(1, 1) for part in parts)))) < 1e-4


def first_alone(loss: Callable[..., Tensor], *parts: Tensor) -> bool:
    """Whether the first episode alone gives the loss of a batch of copies of it."""
    copies = [part[:, :1].repeat(1, 3, *[1] * (part.dim() - 2)) for part in parts]
    return mean_of_each(loss, *copies)


@worth(1)
@exercise
def mended_trace(answer: Callable[..., Any]) -> None:
    """Check `mended_trace(pre, post, eta)` -> the decaying trace after all steps, [H, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, size, eta in ((6, 4, 0.3), (9, 5, 0.1), (4, 3, 0.6)):
        pre, post = torch.randn(2, length, size, generator=generator).tanh()
        cases.append((pre, post, eta))
    slips = [
        Slip(
            "The index is right now. The other divergence is left: the new pair fades in its own step.",
            lambda pre, post, eta: faded_trace(pre, post, eta, fade_new=True),
        ),
        Slip(
            "The new pair no longer fades. The other divergence is left: row i is pre-synaptic.",
            lambda pre, post, eta: faded_trace(post, pre, eta),
        ),
        Slip(
            "This is the planted function still.",
            lambda pre, post, eta: faded_trace(post, pre, eta, fade_new=True),
        ),
        Slip(
            "Nothing fades any more. The old trace is multiplied by 1 - eta.",
            lambda pre, post, eta: eta * torch.einsum("ti,tj->ij", pre, post),
        ),
        Slip(
            "Eta is missing before the new pair.",
            lambda pre, post, eta: faded_trace(pre, post, eta) / eta,
        ),
        Slip(
            "Eta and 1 - eta have changed places: the old trace keeps 1 - eta, the new pair gets eta.",
            lambda pre, post, eta: faded_trace(pre, post, eta, swap=True),
        ),
        Slip(
            "x * y multiplies each neuron with itself. Each pair is wanted, x_i x_j: `torch.outer`.",
            lambda pre, post, eta: faded_trace(pre, post, eta, pairs=False),
        ),
        Slip(
            "Only the activity before the step is in it. The pair is pre-synaptic times post-synaptic.",
            lambda pre, post, eta: faded_trace(pre, pre, eta),
        ),
        Slip(
            "The trace stays zero. Is the new one given to it?",
            lambda pre, post, eta: 0 * pre[0] * post[0, :, None],
        ),
        Slip(
            "Only the first step counts: the return stands inside the loop.",
            lambda pre, post, eta: faded_trace(pre[:1], post[:1], eta),
        ),
        Slip(
            "Only the last step counts: the trace begins anew in each round of the loop.",
            lambda pre, post, eta: faded_trace(pre[-1:], post[-1:], eta),
        ),
    ]
    check_answer("mended_trace", answer, faded_trace, cases, slips)


@worth(2)
@exercise
def mended_loss(answer: Callable[..., Any]) -> None:
    """Check `mended_loss(logits, values, actions, rewards)` -> the loss, by its value and its gradients.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, actions in ((6, 4, 4), (9, 3, 3), (5, 5, 4)):
        cases.append(
            (
                torch.randn(length, batch, actions, generator=generator),
                torch.randn(length, batch, generator=generator),
                torch.randint(min(actions, batch), (length, batch), generator=generator),
                1 + torch.rand(length, batch, generator=generator),
            )
        )

    def slip(hint: str, **options: Any) -> Slip:
        return Slip(hint, with_gradients(lambda *case: actor_critic_loss(*case, **options)))

    one_left = "Two are found, one is left: "
    slips = [
        slip(
            one_left
            + "a gradient flows through the advantage of the policy's term. The loss itself is right.",
            detach=False,
        ),
        slip(one_left + "the last reward is lost.", last=False),
        slip(one_left + "the softmax runs over the episodes, not over the actions.", axis=1),
        slip("One is found, two are left: look at the axis and at the last reward.", axis=1, last=False),
        slip("One is found, two are left: look at the axis and at the gradient.", axis=1, detach=False),
        slip(
            "One is found, two are left: look at the last reward and at the gradient.",
            last=False,
            detach=False,
        ),
        slip("This is the planted function still.", axis=1, last=False, detach=False),
        slip("You sum over the steps. It is a mean over steps and episodes.", total=1),
        slip("You sum over steps and episodes. Take the mean over both.", total=2),
        slip("The minus before the policy's term is missing: the loss falls as log pi rises.", sign=1.0),
        slip(
            "The value learns nothing: its own term is detached too. The loss itself is right.",
            learn_value=False,
        ),
    ]
    check_answer(
        "mended_loss",
        with_gradients(answer) if callable(answer) else answer,
        with_gradients(actor_critic_loss),
        cases,
        slips,
        names=("the loss", "its gradient with respect to logits", "its gradient with respect to values"),
    )


@worth(2)
@exercise
def first_parting(answer: Callable[..., Any]) -> None:
    """Check `first_parting(one, other)` -> first step at which each episode differs, [B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch in ((9, 5), (14, 6), (6, 6), (3, 4)):  # the last one is small enough to be shown
        one = torch.randint(4, (length, batch), generator=generator)
        change = torch.rand(length, batch, generator=generator) < 0.2
        change[:, 0] = False  # never
        change[1, 1] = change[-1, 2] = change[0, 3] = True  # and once each late and at once
        change[:-1, 2] = change[0, 1] = False
        cases.append((one, (one + change * torch.randint(1, 4, one.shape, generator=generator)) % 4))

    slips = [
        Slip(
            "An episode that never differs gets T, the number of steps, not 0.",
            lambda one, other: (one != other).int().argmax(0),
        ),
        Slip(
            "An episode that never differs gets T, the number of steps, not -1.",
            lambda one, other: torch.where((one != other).any(0), parting(one, other), -1),
        ),
        Slip(
            "An episode that never differs gets T, the number of steps. T - 1 is the last step.",
            lambda one, other: parting(one, other).clamp(max=len(one) - 1),
        ),
        Slip(
            "This is the first step at which they are equal. Wanted is the first at which they differ.",
            lambda one, other: parting((one == other).int(), torch.zeros_like(one)),
        ),
        Slip(
            "This counts the steps from the first difference on. Wanted is the number of those before it.",
            lambda one, other: len(one) - parting(one, other),
        ),
        Slip("Count from 0: the first step is step 0.", lambda one, other: parting(one, other) + 1),
        Slip(
            "This is the last difference. Wanted is the first.",
            lambda one, other: torch.where(
                (one != other).any(0), len(one) - 1 - (one != other).flip(0).int().argmax(0), len(one)
            ),
        ),
        Slip(
            "This counts the differences. Wanted is the step of the first one.",
            lambda one, other: (one != other).sum(0),
        ),
        Slip(
            "This counts the equal steps. After the first difference none counts, equal or not.",
            lambda one, other: (one == other).sum(0),
        ),
        Slip(
            "All episodes get the step at which the first of them parts. Each has its own.",
            lambda one, other: parting(one, other).min().expand(one.shape[1]),
        ),
    ]
    check_answer("first_parting", answer, parting, cases, slips)


@worth(3)
@exercise
def treats_alone(answer: Callable[..., Any]) -> None:
    """Check `treats_alone(loss, logits, values, actions, rewards)` -> whether a loss keeps episodes apart.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()

    def first_value(logits: Tensor, values: Tensor, actions: Tensor, rewards: Tensor) -> Tensor:
        return actor_critic_loss(logits, values[:, :1].expand_as(values), actions, rewards)

    def centred(logits: Tensor, values: Tensor, actions: Tensor, rewards: Tensor) -> Tensor:
        return actor_critic_loss(logits, values, actions, rewards - rewards.mean(1, keepdim=True))

    def mixed(logits: Tensor, values: Tensor, actions: Tensor, rewards: Tensor) -> Tensor:
        return actor_critic_loss(logits, values, actions, rewards, axis=1)

    def by_episode(logits: Tensor, values: Tensor, actions: Tensor, rewards: Tensor) -> Tensor:
        parts = (logits, values, actions, rewards)
        each = [actor_critic_loss(*(part[:, b : b + 1] for part in parts)) for b in range(rewards.shape[1])]
        return torch.stack(each).mean()

    def drawn(loss: Callable[..., Tensor], above: bool | None = None) -> tuple[Any, ...]:
        """A case in which the loss clearly mixes the episodes, or does not but for rounding.

        `above`: whether the loss of the batch lies above the mean of its episodes, if that matters.
        """
        while True:
            logits = torch.randn(7, 4, 4, generator=generator)
            values = torch.randn(7, 4, generator=generator)
            actions = torch.randint(4, (7, 4), generator=generator)
            parts = (logits, values, actions, 5 * torch.rand(7, 4, generator=generator))
            gap = float(loss(*parts)) - float(stacked(loss, *parts).mean())
            clear = abs(gap) > 1e-2 or (abs(gap) < 1e-5 and (gap != 0 or loss is by_episode))
            if clear and above in (None, gap > 0):
                return loss, *parts

    cases = [
        drawn(actor_critic_loss),
        drawn(first_value, above=True),
        drawn(first_value, above=False),
        drawn(centred),
        drawn(mixed),
        drawn(by_episode),
    ]
    cases = [cases[k] for k in torch.randperm(len(cases), generator=generator)]  # so that none can be known
    slips = [
        Slip(
            "You ask whether the order matters. A loss can be blind to order and still mix the episodes.",
            blind_to_order,
        ),
        Slip(
            "You try one episode only, and a batch of copies of it: what mixes equals mixes nothing.",
            first_alone,
        ),
        Slip("True and False are swapped.", lambda *case: not mean_of_each(*case)),
        Slip(
            "The difference has a sign, and a large negative one passes. Take its size.",
            lambda loss, *parts: bool(loss(*parts) - stacked(loss, *parts).mean() < 1e-4),
        ),
        Slip(
            "You compare without any tolerance. A difference below 1e-4 may be rounding.",
            lambda loss, *parts: bool(loss(*parts) == stacked(loss, *parts).mean()),
        ),
        Slip("You return the difference. Return whether it is below 1e-4: True or False.", gap_to_each),
        Slip(
            "No loss passes, and two of these treat every episode alone. Do you take the mean over all "
            "episodes, not a sum and not one of them, and allow a difference of 1e-4?",
            lambda *case: False,
        ),
        Slip("Everything passes. Is it the same episode each time?", lambda *case: True),
    ]
    check_answer("treats_alone", answer, mean_of_each, cases, slips)

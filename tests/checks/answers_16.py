"""Chapter 16: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_16
from bpa.training.a2c import a2c_loss


def trace(pre, post, eta):
    """A weighted sum: what was written k steps ago has faded k times."""
    ages = torch.arange(len(pre) - 1, -1, -1)
    return torch.einsum("t,ti,tj->ij", eta * (1 - eta) ** ages, pre, post)


def trace_by_network(pre, post, eta):
    from bpa import Network

    net = Network(1, pre.shape[1], 1, plasticity="plastic", rule="decay").requires_grad_(False)
    net.eta.fill_(eta)
    hebb = torch.zeros(1, pre.shape[1], pre.shape[1])
    for x, y in zip(pre, post, strict=True):
        hebb, _ = net.rewire(x[None], y[None], hebb)
    return hebb[0]


def planted_trace(pre, post, eta, swapped=True, bracket=True):
    hebb = torch.zeros(pre.shape[1], pre.shape[1])
    for x, y in zip(pre, post, strict=True):
        pair = eta * (torch.outer(y, x) if swapped else torch.outer(x, y))
        hebb = (1 - eta) * (hebb + pair) if bracket else (1 - eta) * hebb + pair
    return hebb


def loss(logits, values, actions, rewards, axis=-1, keep=False, drop=False):
    returns = torch.zeros_like(rewards)
    ahead = torch.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        returns[t] = ahead = (0 if drop and t == len(rewards) - 1 else rewards[t]) + 0.9 * ahead
    advantage = returns - values
    log_policy = logits - logits.logsumexp(axis, keepdim=True)
    chosen = torch.nn.functional.one_hot(actions, logits.shape[-1])
    policy_term = -(log_policy * chosen).sum(-1) * (advantage if keep else advantage.detach())
    return policy_term.mean() + 0.1 * (advantage**2).mean()


def policy_term(logits, values, actions, rewards):
    """The part of the loss that is no square."""
    returns, ahead = [], torch.zeros(rewards.shape[1])
    for reward in rewards.flip(0):
        ahead = reward + 0.9 * ahead
        returns.insert(0, ahead)
    chosen = torch.log_softmax(logits, -1).gather(-1, actions[..., None])[..., 0]
    return -(chosen * (torch.stack(returns) - values).detach()).mean()


def loss_by_a2c(logits, values, actions, rewards):
    return a2c_loss(logits, values, actions, rewards, concentration_coef=0)


def parting(one, other):
    return torch.tensor(
        [
            next((t for t in range(len(one)) if one[t, b] != other[t, b]), len(one))
            for b in range(one.shape[1])
        ]
    )


def parting_with_a_guard(one, other):
    guard = torch.ones(1, one.shape[1], dtype=torch.bool)
    return torch.cat([one != other, guard]).int().argmax(0)


def alone(loss, logits, values, actions, rewards):
    parts = (logits, values, actions, rewards)
    each = [loss(*(part[:, b, None] for part in parts)).item() for b in range(rewards.shape[1])]
    return abs(sum(each) / len(each) - loss(*parts).item()) < 1e-4


def alone_two_by_two(loss, logits, values, actions, rewards):
    """Halves of the batch, then halves of these: all means must agree."""
    parts = (logits, values, actions, rewards)
    if rewards.shape[1] == 1:
        return True
    half = rewards.shape[1] // 2
    one, other = (tuple(part[:, where] for part in parts) for where in (slice(half), slice(half, None)))
    mean = (loss(*one) * half + loss(*other) * (rewards.shape[1] - half)) / rewards.shape[1]
    return (
        bool((mean - loss(*parts)).abs() < 1e-4)
        and alone_two_by_two(loss, *one)
        and alone_two_by_two(loss, *other)
    )


def same_in_any_order(loss, *parts):
    return bool((loss(*parts) - loss(*(part.flip(1) for part in parts))).abs() < 1e-4)


def equals_the_first(loss, *parts):
    return bool((loss(*parts) - loss(*(part[:, :1] for part in parts))).abs() < 1e-4)


def copies_of_the_first(loss, *parts):
    copies = [torch.cat([part[:, :1]] * 4, dim=1) for part in parts]
    return bool((loss(*copies) - loss(*(part[:, :1] for part in parts))).abs() < 1e-4)


def own_pairs(pre, post, eta):
    hebb = torch.zeros(pre.shape[1], pre.shape[1])
    for x, y in zip(pre, post, strict=True):
        hebb = (1 - eta) * hebb + eta * x * y
    return hebb


def parting_or(never, one, other):
    steps = parting(one, other)
    return torch.where(steps == len(one), never, steps)


def each_alone(loss, *parts):
    return torch.stack([loss(*(part[:, b, None] for part in parts)) for b in range(parts[-1].shape[1])])


RIGHT = [
    (chapter_16.mended_trace, trace),
    (chapter_16.mended_trace, trace_by_network),
    (chapter_16.mended_loss, loss),
    (chapter_16.mended_loss, loss_by_a2c),
    (chapter_16.first_parting, parting),
    (chapter_16.first_parting, parting_with_a_guard),
    (chapter_16.treats_alone, alone),
    (chapter_16.treats_alone, alone_two_by_two),
    (chapter_16.mended_loss, lambda *a: loss(*a)[None]),
    (chapter_16.mended_trace, lambda *a: trace(*a).double().numpy()),
    (chapter_16.first_parting, lambda a, b: parting(a, b).tolist()),
    (chapter_16.first_parting, lambda a, b: parting(a, b).numpy().astype(float)),
    (chapter_16.treats_alone, lambda *a: np.bool_(alone(*a))),
]


WRONG = [
    (chapter_16.mended_trace, planted_trace, "planted function still"),
    (chapter_16.mended_trace, lambda *a: planted_trace(*a, swapped=False), "index is right now"),
    (chapter_16.mended_trace, lambda *a: planted_trace(*a, bracket=False), "no longer fades"),
    (chapter_16.mended_trace, lambda x, y, eta: eta * x.T @ y, "Nothing fades any more"),
    (chapter_16.mended_trace, lambda x, y, eta: trace(x, y, eta) / eta, "Eta is missing"),
    (chapter_16.mended_trace, lambda x, y, eta: trace(x, x, eta), "before the step is in it"),
    (chapter_16.mended_loss, lambda *a: loss(*a, axis=1, keep=True, drop=True), "planted function still"),
    (chapter_16.mended_loss, lambda *a: loss(*a, keep=True), "a gradient flows"),
    (chapter_16.mended_loss, lambda *a: loss(*a, drop=True), "last reward is lost"),
    (chapter_16.mended_loss, lambda *a: loss(*a, axis=1), "over the episodes"),
    (chapter_16.mended_loss, lambda *a: loss(*a, axis=1, drop=True), "axis and at the last reward"),
    (chapter_16.mended_loss, lambda *a: loss(*a, axis=1, keep=True), "axis and at the gradient"),
    (chapter_16.mended_loss, lambda *a: loss(*a, drop=True, keep=True), "last reward and at the gradient"),
    (chapter_16.mended_loss, lambda *a: len(a[3]) * loss(*a), "sum over the steps"),
    (chapter_16.mended_loss, lambda *a: loss(*a).item(), "no gradient flows"),
    (chapter_16.mended_loss, lambda *a: loss(*a).detach(), "no gradient flows"),
    (chapter_16.mended_loss, lambda *a: loss(*a).repeat(2), r"returns \[2\] numbers"),
    (chapter_16.mended_loss, lambda *a: a[3].numel() * loss(*a), "over steps and episodes. Take the mean"),
    (
        chapter_16.mended_loss,
        lambda *a: loss(*a) + 0.1 * a[0].sum() - (0.1 * a[0].sum()).detach(),
        r"2 \(its gradient with respect to logits\): The.*1 \(the loss\) and 3 .*are right already",
    ),
    (chapter_16.mended_trace, lambda x, y, eta: trace(x, y, 1 - eta), "changed places"),
    (chapter_16.mended_trace, own_pairs, "multiplies each neuron with itself"),
    (chapter_16.mended_trace, lambda x, y, eta: torch.zeros(x.shape[1], x.shape[1]), "stays zero"),
    (chapter_16.first_parting, lambda a, b: parting_or(-1, a, b), "not -1"),
    (chapter_16.first_parting, lambda a, b: parting_or(len(a) - 1, a, b), "T - 1 is the last step"),
    (chapter_16.first_parting, lambda a, b: parting(a == b, torch.zeros_like(a)), "at which they are equal"),
    (chapter_16.first_parting, lambda a, b: len(a) - parting(a, b), "from the first difference on"),
    (chapter_16.treats_alone, lambda f, *p: bool(f(*p) - each_alone(f, *p).mean() < 1e-4), "has a sign"),
    (chapter_16.treats_alone, lambda f, *p: f(*p) == each_alone(f, *p).mean(), "without any tolerance"),
    (
        chapter_16.treats_alone,
        lambda f, *p: (f(*p) - each_alone(f, *p).mean()).abs(),
        "return the difference",
    ),
    (
        chapter_16.treats_alone,
        lambda f, *p: bool((f(*p) - each_alone(f, *p).sum()).abs() < 1e-4),
        "not a sum and not one of them",
    ),
    (chapter_16.mended_loss, lambda *a: -loss(*a), "largest difference"),
    (chapter_16.mended_loss, lambda *a: a2c_loss(*a, baseline="first"), "largest difference"),
    (chapter_16.mended_loss, 3, "must be a function"),
    (chapter_16.mended_loss, lambda *a: loss(*a) - 2 * policy_term(*a), "minus before the policy"),
    (
        chapter_16.mended_loss,
        lambda g, v, a, r: policy_term(g, v, a, r) + (loss(g, v, a, r) - policy_term(g, v, a, r)).detach(),
        "value learns nothing",
    ),
    (chapter_16.mended_trace, lambda x, y, eta: trace(x[:1], y[:1], eta), "return stands inside the loop"),
    (chapter_16.mended_trace, lambda x, y, eta: eta * torch.outer(x[-1], y[-1]), "begins anew"),
    (chapter_16.first_parting, lambda a, b: (a != b).int().argmax(0), "gets T"),
    (chapter_16.first_parting, lambda a, b: parting(a, b) + 1, "Count from 0"),
    (
        chapter_16.first_parting,
        lambda a, b: torch.tensor(
            [max([t for t in range(len(a)) if a[t, k] != b[t, k]], default=len(a)) for k in range(a.shape[1])]
        ),
        "last difference",
    ),
    (chapter_16.first_parting, lambda a, b: (a != b).sum(0), "counts the differences"),
    (chapter_16.first_parting, lambda a, b: len(a) - (a != b).sum(0), "counts the equal steps"),
    (chapter_16.first_parting, lambda a, b: parting(a, b).min().repeat(a.shape[1]), "Each has its own"),
    (chapter_16.first_parting, lambda a, b: parting(a, b)[None], "Its shape is"),
    (chapter_16.treats_alone, same_in_any_order, "blind to order"),
    (chapter_16.treats_alone, copies_of_the_first, "one episode only"),
    (chapter_16.treats_alone, lambda *a: not alone(*a), "swapped"),
    (chapter_16.treats_alone, lambda *a: False, "No loss passes"),
    (chapter_16.treats_alone, equals_the_first, "No loss passes"),
    (chapter_16.treats_alone, lambda *a: True, "Everything passes"),
]

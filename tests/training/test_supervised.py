"""Supervised training: its losses against plain loops, and that plastic networks win where they should."""

import math

import pytest
import torch

from bpa import Network
from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.tasks.base import Batch
from bpa.tasks.patterns import Patterns
from bpa.training.supervised import (
    batch_accuracy,
    batch_loss,
    examine,
    fit,
    masked_cross_entropy,
    masked_squared_error,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_losses_equal_plain_loops_and_what_does_not_count_has_no_gradient():
    outputs = torch.randn(3, 2, 4, dtype=torch.float64, generator=seeded(0)).requires_grad_()
    targets = torch.randn(3, 2, 4, dtype=torch.float64, generator=seeded(1))
    mask = torch.rand(3, 2, 4, generator=seeded(2)) < 0.5
    terms = [
        (outputs[i].item() - targets[i].item()) ** 2
        for i in torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4)).unbind()
        for i in [tuple(i.tolist())]
        if mask[i]
    ]
    loss = masked_squared_error(outputs, targets, mask)
    assert loss.item() == pytest.approx(sum(terms) / len(terms))
    loss.backward()
    assert torch.equal(outputs.grad != 0, mask)

    outputs.grad = None
    classes = torch.randint(4, (3, 2), generator=seeded(3))
    steps = torch.tensor([[True, False], [True, True], [False, False]])
    terms = []
    for t, b in steps.nonzero().tolist():
        logits = outputs[t, b].tolist()
        terms.append(math.log(sum(math.exp(v) for v in logits)) - logits[classes[t, b]])
    loss = masked_cross_entropy(outputs, classes, steps)
    assert loss.item() == pytest.approx(sum(terms) / len(terms))
    loss.backward()
    assert torch.equal((outputs.grad != 0).all(-1), steps)

    outputs = outputs.detach()
    assert batch_loss(outputs, Batch(outputs, classes, steps)).item() == pytest.approx(loss.item())
    right = [outputs[t, b].argmax() == classes[t, b] for t, b in steps.nonzero().tolist()]
    assert batch_accuracy(outputs, Batch(outputs, classes, steps)) == sum(right) / 3
    right = (outputs * targets > 0)[mask]
    assert batch_accuracy(outputs, Batch(outputs, targets, mask)) == pytest.approx(
        right.sum().item() / len(right)
    )


def test_what_does_not_fit_is_refused():
    three = torch.zeros(3, 2, 4)
    with pytest.raises(ValueError, match=r"targets must have shape \[3, 2, 4\]"):
        masked_squared_error(three, three[:2], three.bool())
    with pytest.raises(
        ValueError, match=r"mask must be torch.bool and True somewhere, got torch.bool, 0 true"
    ):
        masked_squared_error(three, three, three.bool())
    with pytest.raises(ValueError, match=r"mask must be torch.bool"):
        masked_squared_error(three, three, three + 1)
    with pytest.raises(ValueError, match=r"targets must have shape \[3, 2\]"):
        masked_cross_entropy(three, three, three[..., 0] > -1)
    task = Patterns(6, 2)
    with pytest.raises(ValueError, match="net must have 6 inputs and 6 outputs for this task, got 5 and 6"):
        fit(task, Network(5, 4, 6), 1)
    for wrong in ({"iterations": 0}, {"learning_rate": 0.0}, {"max_gradient_norm": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fit(task, Network(6, 4, 6), **{"iterations": 1, **wrong})
    net = Network(6, 4, 6)
    with torch.no_grad():
        net.w[0, 0] = math.nan
    with pytest.raises(ArithmeticError, match="iteration 1: the loss is nan"):
        fit(task, net, 1)


def test_the_same_seed_gives_the_same_weights_and_the_loss_is_that_of_the_lesson():
    def trained(seed):
        generator = seeded(seed)
        task = Patterns(8, 2, 5, generator=generator)
        net = Network(8, 7, 8, generator=generator)
        return fit(task, net, 3), net

    (history, net), (again, twin), (_, other) = trained(1), trained(1), trained(2)
    assert history == again
    assert [step.iteration for step in history] == [1, 2, 3]
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert not torch.equal(net.w, other.w)
    generator = seeded(1)
    task = Patterns(8, 2, 5, generator=generator)
    net = Network(8, 7, 8, generator=generator)
    batch = task.sample()
    outputs = net.unroll(batch.inputs, engine="eager").logits
    assert history[0].loss == pytest.approx(batch_loss(outputs, batch).item(), rel=1e-4)


def test_a_plastic_network_completes_patterns_and_an_equally_large_plain_one_does_not():
    def build(plasticity, hidden_size, seed=0):
        return Network(16, hidden_size, 16, plasticity=plasticity, generator=seeded(seed))

    plastic = build("plastic", 30)
    hidden_size = matching_hidden_size(
        lambda hidden_size: Network(16, hidden_size, 16, plasticity="none"), count_parameters(plastic)
    )
    plain = build("none", hidden_size)
    assert abs(count_parameters(plain) / count_parameters(plastic) - 1) < 0.03
    marks = []
    for net in (plastic, plain):
        task = Patterns(16, 2, 30, presentations=1, show_steps=2, generator=seeded(7))
        fit(task, net, 400, learning_rate=3e-3)
        marks.append(examine(task, net))
    (plastic_loss, plastic_right), (plain_loss, plain_right) = marks
    assert plastic_loss < 0.7 < 0.8 < plain_loss, marks
    assert plastic_right > 0.8 > 0.7 > plain_right, marks

"""The backward pass derived in the book's appendix, walked by plain loops, against PyTorch's gradients."""

import pytest
import torch
from reference import network_step, network_step_backward, to_lists
from test_network import inputs, kind_of, lively, lively_state


@pytest.mark.parametrize("fanout", [True, False])
@pytest.mark.parametrize("plasticity", ["plastic", "simple", "retroactive"])
def test_the_derived_lines_give_every_gradient(plasticity, fanout):
    net, generator = lively({"plasticity": plasticity, "fanout": fanout}, hidden_size=4, clip=0.2)
    state = lively_state(net, 1, generator)
    used = [part.requires_grad_() for part in state if part is not None]
    xs = inputs(net, 6, 1, generator)
    weights = torch.randn(6, net.hidden_size, generator=generator, dtype=torch.float64)
    out = net.unroll(xs, state, engine="eager")
    clipped = (out.hidden.hebb.abs() == 0.2).double().mean()
    assert 0 < clipped < 1
    # The loss looks at every activity and at the final traces.
    traces = [part for part in out.hidden[1:] if part is not None]
    loss = (out.h[:, 0] * weights).sum() + sum(trace.sum() for trace in traces)
    loss.backward()

    p, kind = to_lists(net), kind_of(net)
    steps = [(None, *(None if part is None else part[0].tolist() for part in state))]
    for x in xs[:, 0].tolist():
        _, _, *step = network_step(p, kind, x, *steps[-1][1:])
        steps.append(tuple(step))
    grads = {name: torch.zeros_like(value).tolist() for name, value in net.named_parameters()}
    H = range(net.hidden_size)
    dh, dhebb = [0.0] * net.hidden_size, [[1.0] * net.hidden_size for _ in H]
    deligibility = [[1.0] * net.hidden_size for _ in H]
    for t in reversed(range(6)):
        (_, before, hebb, eligibility), (modulation, after, _, _) = steps[t], steps[t + 1]
        dh = [dh[j] + weights[t, j].item() for j in H]
        dh, dhebb, deligibility = network_step_backward(
            p, kind, before, after, modulation, hebb, eligibility, dh, dhebb, deligibility, grads
        )
    for name, parameter in net.named_parameters():
        if not name.startswith(("h2o", "h2v", "i2h.weight")):  # the heads and the input layer are not derived
            torch.testing.assert_close(
                torch.tensor(grads[name], dtype=torch.float64), parameter.grad, rtol=1e-11, atol=1e-12
            )
    derived = [dh, dhebb] + ([] if deligibility is None else [deligibility])
    for got, part in zip(derived, used, strict=True):
        torch.testing.assert_close(
            torch.tensor([got], dtype=torch.float64), part.grad, rtol=1e-11, atol=1e-12
        )

"""The variants of a network that the fast engines run, with weights and states that leave nothing idle."""

from __future__ import annotations

import torch

from bpa import Network

VARIANTS = [
    {"plasticity": "none"},
    *({"plasticity": "plastic", "alpha": alpha} for alpha in ("synapse", "neuron", "network")),
    *(
        {"plasticity": plasticity, "alpha": alpha, "fanout": fanout}
        for plasticity in ("simple", "retroactive")
        for alpha in ("synapse", "neuron", "network")
        for fanout in (True, False)
    ),
]


def name_of(variant):
    return "-".join(str(part) for part in variant.values())


def random_network(seed, hidden_size, input_size=5, num_actions=3, device="cpu", eta=0.3, **variant):
    """A network whose every part matters, and which does not amplify rounding without bound."""
    generator = torch.Generator().manual_seed(seed)
    net = Network(input_size, hidden_size, num_actions, generator=generator, **{"clip": 0.4} | variant)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            scale = 0.6 * hidden_size**-0.5 if name in ("w", "alpha") else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            if name == "eta":
                parameter.fill_(eta)
            if name == "modfanout.bias":
                parameter += 0.5
    return net.to(device)


def random_state(net, seed, batch_size, beyond=1.0):
    """Activity and traces anywhere within their bounds, the traces up to `beyond` times the clip."""
    generator = torch.Generator().manual_seed(seed + 1)
    bound = beyond * min(net.clip, 0.7)
    state = net.initial_state(batch_size)

    def drawn(part, size):
        return (torch.rand(part.shape, generator=generator) * 2 - 1).to(part.device) * size

    sizes = (1.0, bound, bound)
    return type(state)(
        *[None if part is None else drawn(part, size) for part, size in zip(state, sizes, strict=True)]
    )

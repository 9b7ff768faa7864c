"""What PyTorch is doing around a call: a compiled loop sees numbers alone, and not what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

PLAIN = (Tensor, nn.Parameter)


def reason_of_context() -> str | None:
    """Why no compiled loop may run just now, whatever the tensors; None if one may."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "PyTorch is tracing this call, and cannot see into compiled loops"
    if torch._C._are_functorch_transforms_active():
        return "torch.func and vmap cannot see into compiled loops"
    if torch._C._len_torch_dispatch_stack():
        return "a TorchDispatchMode is on, which cannot see into compiled loops"
    return None


def reason_of_tensors(tensors: Iterable[Tensor | None]) -> str | None:
    """Why no compiled loop may run on these; None if one may. Dtype and device are the engine's matter."""
    for tensor in tensors:
        if tensor is None:
            continue
        if type(tensor) not in PLAIN:
            return f"it knows plain tensors alone, not {type(tensor).__name__}"
        if torch._C._functorch.is_legacy_batchedtensor(tensor):
            return "it knows plain tensors alone, not batched ones"
        if tensor.layout != torch.strided:
            return f"it knows strided tensors alone, not {tensor.layout}"
        if unpack_dual(tensor).tangent is not None:
            return "it has no derivatives in forward mode"
    return None


def asks_for_more(gradients: Iterable[Tensor | None]) -> bool:
    """Whether a backward pass is asked for more than numbers: to be differentiated again, batched, traced."""
    if torch.is_grad_enabled() or reason_of_context() is not None:
        return True
    return reason_of_tensors(gradients) is not None


def has_numbers(tensors: Iterable[Tensor]) -> bool:
    """Whether there is one number at each place, by which an environment can go: not under vmap, not fake."""
    return not any(
        torch._C._functorch.is_batchedtensor(tensor) or isinstance(tensor, torch._subclasses.FakeTensor)
        for tensor in tensors
    )

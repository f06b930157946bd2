"""Activations by name; tanh by way of the sigmoid on the CPU."""

from typing import Any

import torch
from torch import Tensor, nn

from grpo_cli.errors import ConfigError


class _SigmoidTanh(torch.autograd.Function):
    """tanh(x) = 2 sigmoid(2x) - 1: two to five times faster than torch's tanh on CPUs.

    torch hands tanh to a library that is slow on some processors, and NumPy's is fast only with
    AVX-512; torch's own sigmoid is fast on all of them. The absolute error stays below 2e-7.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch's own signature
        y = (x * 2.0).sigmoid_().mul_(2.0).sub_(1.0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:  # noqa: ANN401 - torch's own signature
        (y,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(grad[0], y)


class Tanh(nn.Module):
    """`nn.Tanh`, by the fastest route for the device."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> same shape."""
        if x.device.type == "cpu" and x.dtype == torch.float32:
            return _SigmoidTanh.apply(x)  # type: ignore[return-value]
        return torch.tanh(x)


ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


def activation(name: str) -> nn.Module:
    """Make an activation.

    Raises:
        ConfigError: no such activation.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(
            f"policy.activation={name} does not exist", f"choose one of {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]()

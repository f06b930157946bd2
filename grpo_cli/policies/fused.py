"""Fully connected layers as one node of torch's graph.

For networks as small as a control policy, recording every layer costs as much as computing it, and
torch's product for the gradient of a narrow first layer is five times slower than its transpose.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from grpo_cli.policies.activations import Tanh

tanh_backward = torch.ops.aten.tanh_backward.grad_input  # with a place for its result
NARROW = 16  # inputs; below it the transposed product is the faster one


def forward(x: Tensor, layers: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """Layers with tanh between them: outputs [B, P], and what each layer has seen.

    Args:
        x: [B, F], float32, on the CPU.
        layers: see there.
    """
    seen = [x]
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        # tanh(h) = 2 sigmoid(2h) - 1, see activations; the inner factor 2 costs nothing here.
        doubled = torch.addmm(bias, seen[-1], weight.t(), beta=2.0, alpha=2.0)
        seen.append(doubled.sigmoid_().mul_(2.0).sub_(1.0))
    return torch.addmm(layers[-1], seen[-1], layers[-2].t()), seen


def backward(g: Tensor, seen: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of weights and biases, in the order of `layers`.

    Args:
        g: gradient of the outputs, [B, P].
        seen: by each layer.
        weights: of each layer.
    """
    gradients: list[Tensor] = []
    for number in range(len(seen) - 1, -1, -1):
        x = seen[number]
        narrow = x.shape[1] < NARROW
        weight = torch.mm(x.t(), g).t().contiguous() if narrow else torch.mm(g.t(), x)
        gradients += [g.sum(0), weight]
        if number:
            g = torch.mm(g, weights[number])
            tanh_backward(g, x, grad_input=g)  # in place: less to fetch, up to a fifth faster
    return gradients[::-1]


class _Perceptron(torch.autograd.Function):
    """Gradients for weights and biases, none for the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *layers: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        outputs, seen = forward(x, layers)
        ctx.save_for_backward(*seen, *layers[::2])
        return outputs

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (g,) = grad
        saved = ctx.saved_tensors
        half = len(saved) // 2
        return (None, *backward(g, saved[:half], saved[half:]))


def layers(body: nn.Sequential, head: nn.Linear) -> tuple[Tensor, ...]:
    """Return weights and biases in order, or nothing where `perceptron` does not stand for them.

    Args:
        body: linear layers, each followed by an activation.
        head: the last linear layer.
    """
    parts: list[Any] = list(body)
    if not all(type(activation) is Tanh for activation in parts[1::2]):
        return ()
    return tuple(p for layer in (*parts[::2], head) for p in (layer.weight, layer.bias))


def perceptron(x: Tensor, layers: tuple[Tensor, ...]) -> Tensor:
    """Return what the layers make of x, [B, F] -> [B, P], with gradient for the parameters only.

    Args:
        x: float32, on the CPU.
        layers: see there.
    """
    return _Perceptron.apply(x, *layers)  # type: ignore[return-value]

"""The multi-layer perceptron body, and its NumPy twin for acting."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from grpo_cli.errors import ConfigError
from grpo_cli.policies.activations import Tanh, activation
from grpo_cli.policies.flat import Flat
from grpo_cli.policies.normaliser import Normalises
from grpo_cli.rollout import Obs

Array = NDArray[np.float32]


def _relu(x: Array, out: Array) -> Array:
    return np.maximum(x, 0, out=out)


def _tanh_slope(y: Array) -> Array:
    np.square(y, out=y)
    return np.subtract(1, y, out=y)


def _relu_slope(y: Array) -> Array:
    return np.greater(y, 0, out=y)


# Activations in place, and their derivatives from what they returned, in place as well.
_NUMPY: dict[type[nn.Module], tuple[Callable[..., Array], Callable[[Array], Array]]] = {
    Tanh: (np.tanh, _tanh_slope),
    nn.ReLU: (_relu, _relu_slope),
}


class Mlp(nn.Sequential):
    """Fully connected layers with an activation after each; flattens what it is given.

    Args:
        layers: linear layers and activations.
        flat: makes rows of numbers of observations.
    """

    def __init__(self, *layers: nn.Module, flat: Flat) -> None:
        super().__init__(*layers)
        self.flat = flat

    def forward(self, input: Obs) -> Tensor:
        """Observations [B, *O] -> features [B, F]."""
        return super().forward(self.flat(input))


def mlp(
    space: spaces.Space, *, hidden: Sequence[int] = (64, 64), activation: str = "tanh"
) -> nn.Module:
    """Build the body.

    Args:
        space: of the observations, any.
        hidden: width of each layer.
        activation: tanh | relu | silu.

    Raises:
        ConfigError: no layer, a width below 1, or an unknown activation.
    """
    if not hidden or min(hidden) < 1:
        raise ConfigError(
            f"policy.hidden={list(hidden)} is no network",
            "give one width or more, each at least 1: policy.hidden=[64,64]",
        )
    flat = Flat(space)
    return Mlp(*dense(flat.width, hidden, activation), flat=flat)


def dense(width: int, hidden: Sequence[int], name: str) -> list[nn.Module]:
    """Return linear layers from `width` numbers on, an activation after each."""
    layers: list[nn.Module] = []
    for before, after in zip([width, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, after), activation(name)]
    return layers


class NumpyMlp:
    """The same passes as `Mlp` and a linear head, on the same storage, three times faster.

    The arrays are views of the parameters, so an in-place optimizer step is seen at once.

    Args:
        body: the hidden layers.
        head: the last layer.
        normaliser: what observations go through first, or None.
    """

    def __init__(self, body: Mlp, head: nn.Linear, normaliser: Normalises | None) -> None:
        self._normaliser = normaliser
        self._flat = body.flat
        linears = [layer for layer in body if isinstance(layer, nn.Linear)] + [head]
        self._linears = linears
        self._weights = [layer.weight.detach().numpy() for layer in linears]
        self._biases = [layer.bias.detach().numpy() for layer in linears]
        self._place = head.weight.data_ptr()
        self._activate, self._slope = next(_NUMPY[type(a)] for a in body if type(a) in _NUMPY)

    @staticmethod
    def fits(body: nn.Module, head: nn.Linear) -> bool:
        """Say whether this body can be followed: an Mlp on the CPU with a known activation."""
        return (
            isinstance(body, Mlp)
            and head.weight.device.type == "cpu"
            and all(type(layer) in _NUMPY or isinstance(layer, nn.Linear) for layer in body)
        )

    @property
    def is_stale(self) -> bool:
        """The parameters have moved elsewhere, as to another optimizer or device."""
        return self._linears[-1].weight.data_ptr() != self._place

    def __call__(self, obs: Any) -> Array:  # noqa: ANN401 - arrays, or by path
        """Observations [B, *O] -> outputs of the head, [B, P]."""
        return self.traced(obs)[0]

    def traced(self, obs: Any) -> tuple[Array, list[Array]]:  # noqa: ANN401
        """Return the outputs of the head [B, P], and what each layer has seen."""
        x = self._flat.numpy(obs if self._normaliser is None else self._normaliser.numpy(obs))
        seen = [x]
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            x = np.dot(x, weight.T)
            x += bias
            self._activate(x, out=x)
            seen.append(x)
        # Lies by columns: sums over a few outputs are then sums of whole columns.
        outputs = np.dot(x, self._weights[-1].T).T.copy()
        outputs += self._biases[-1][:, None]
        return outputs.T, seen

    def backward(self, g: Array, seen: list[Array]) -> None:
        """Set the gradients of weights and biases.

        Args:
            g: gradient of the outputs, [B, P].
            seen: by each layer; used up.
        """
        ones = np.ones(len(g), dtype=np.float32)  # a product sums rows faster than a sum does
        for number in range(len(seen) - 1, -1, -1):
            x, linear = seen[number], self._linears[number]
            np.dot(g.T, x, out=slope(linear.weight))
            np.dot(ones, g, out=slope(linear.bias))
            if number:
                g = np.dot(g, self._weights[number])
                g *= self._slope(x)


def slope(parameter: Tensor) -> Array:
    """Return where the gradient of a parameter is kept, in its shape; it may hold anything."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad.numpy()

"""The multi-layer perceptron body, and its NumPy twin for acting."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from grpo_cli.errors import ConfigError
from grpo_cli.policies.activations import Tanh, activation
from grpo_cli.policies.flat import Flat
from grpo_cli.policies.normaliser import Normalises
from grpo_cli.rollout import Obs


def _relu(x: NDArray, out: NDArray) -> NDArray:
    return np.maximum(x, 0, out=out)


_NUMPY: dict[type[nn.Module], Callable[..., NDArray]] = {Tanh: np.tanh, nn.ReLU: _relu}


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
    """The same forward pass as `Mlp` and a linear head, on the same storage, three times faster.

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
        self._weights = [layer.weight.detach().numpy().T for layer in linears]
        self._biases = [layer.bias.detach().numpy() for layer in linears]
        self._activate = next(_NUMPY[type(layer)] for layer in body if type(layer) in _NUMPY)

    @staticmethod
    def fits(body: nn.Module, head: nn.Linear) -> bool:
        """Say whether this body can be followed: an Mlp on the CPU with a known activation."""
        return (
            isinstance(body, Mlp)
            and head.weight.device.type == "cpu"
            and all(type(layer) in _NUMPY or isinstance(layer, nn.Linear) for layer in body)
        )

    def __call__(self, obs: Any) -> NDArray[np.float32]:  # noqa: ANN401 - arrays, or by path
        """Observations [B, *O] -> outputs of the head, [B, P]."""
        x = self._flat.numpy(obs if self._normaliser is None else self._normaliser.numpy(obs))
        last = len(self._weights) - 1
        for number, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            x = x @ weight
            x += bias
            if number < last:
                self._activate(x, out=x)
        return x  # type: ignore[return-value]  # NumPy's stubs lose float32 in matmul

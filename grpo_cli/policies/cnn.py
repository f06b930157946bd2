"""Convolutional bodies for images."""

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from grpo_cli.errors import ConfigError
from grpo_cli.policies.activations import activation as make_activation
from grpo_cli.policies.flat import BYTE

ARCHITECTURES = ("auto", "nature", "impala", "small")
SMALLEST = 5  # pixels of an image's side; with fewer it is a table of numbers
NATURE_SIDE = 36  # pixels that the strides of "nature" need
MOST_CHANNELS = 64


def is_image(space: spaces.Space) -> bool:
    """Say whether a space holds images: three or four dimensions, or two of bytes."""
    if not isinstance(space, spaces.Box) or len(space.shape) not in (2, 3, 4):
        return False
    if len(space.shape) == 2 and space.dtype != np.uint8:
        return False
    _, height, width = layout(space.shape)
    return min(height, width) >= SMALLEST


def layout(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return channels, height and width; frames of a stack are channels.

    The channels of a frame are its first or last dimension, whichever is smaller.
    """
    *stack, first, middle, last = shape if len(shape) > 2 else (1, *shape)
    frames = int(np.prod(stack)) if stack else 1
    if first <= last:
        return frames * first, middle, last
    return frames * last, first, middle


class Frames(nn.Module):
    """Images [B, *O] of any layout -> [B, C, H, W]; bytes become numbers in [0, 1].

    Args:
        shape: of one image.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self._last = len(shape) > 2 and shape[-1] < shape[-3]
        self._shape = layout(shape)

    def forward(self, obs: Tensor) -> Tensor:
        """Rearrange."""
        scaled = obs.float() / BYTE if obs.dtype == torch.uint8 else obs.float()
        if self._last:
            scaled = scaled.movedim(-1, -3)
        return scaled.reshape(obs.shape[0], *self._shape)


class _Residual(nn.Module):
    """Two convolutions beside a straight way (Espeholt et al. 2018, figure 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _nature(channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, 32, 8, stride=4), nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
        nn.Conv2d(64, 64, 3), nn.ReLU(),
    ]  # fmt: skip


def _impala(channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in (16, 32, 32):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1),
            _Residual(width), _Residual(width),
        ]  # fmt: skip
        channels = width
    return [*layers, nn.ReLU()]


def _small(channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
    ]  # fmt: skip


def cnn(
    space: spaces.Space,
    *,
    architecture: str = "auto",
    hidden: Sequence[int] = (512,),
    activation: str = "relu",
) -> nn.Module:
    """Build the body.

    Sources: Mnih et al. 2015 (Nature 518), the three convolutions of DQN; Espeholt et al. 2018
    (IMPALA, arXiv:1802.01561), figure 3, the large network without its LSTM.

    Args:
        space: of the observations: images, whatever the order of their dimensions.
        architecture: `nature` | `impala` | `small`, two convolutions that halve a side once |
            `auto`, `nature` from 36 pixels on, else `small`.
        hidden: width of each layer after the convolutions.
        activation: of those layers, tanh | relu | silu.

    Raises:
        ConfigError: observations are no images, or too small for the architecture.
    """
    if not is_image(space):
        raise ConfigError(
            "policy=cnn reads images, and the observations are none",
            "set policy=auto, which chooses by the observations",
        )
    channels, height, width = layout(space.shape or ())
    side = min(height, width)
    if architecture == "auto":
        architecture = "nature" if side >= NATURE_SIDE else "small"
    if architecture == "nature" and side < NATURE_SIDE:
        raise ConfigError(
            f"policy.architecture=nature needs {NATURE_SIDE} pixels a side, images have {side}",
            "set policy.architecture=small or impala",
        )
    make = {"nature": _nature, "impala": _impala, "small": _small}[architecture]
    layers = [Frames(space.shape or ()), *make(channels), nn.Flatten()]
    with torch.inference_mode():
        before = nn.Sequential(*layers)(torch.zeros((1, *(space.shape or ())))).shape[1]
    for after in hidden:
        layers += [nn.Linear(before, after), make_activation(activation)]
        before = after
    return nn.Sequential(*layers)

"""A body for observations of several entries: an encoder for each, then shared layers."""

from collections.abc import Sequence

import torch
from gymnasium import spaces
from torch import Tensor, nn

from grpo_cli.errors import ConfigError
from grpo_cli.observations import entries
from grpo_cli.policies.cnn import cnn, is_image
from grpo_cli.policies.flat import Flat
from grpo_cli.policies.mlp import dense


class MultiInput(nn.Module):
    """Images through convolutions, all else as it is, side by side through shared layers.

    Args:
        space: of the observations.
        architecture: of the convolutions.
        image_features: numbers that each image becomes.
        hidden: widths of the shared layers.
        activation: of the shared layers.
    """

    def __init__(
        self,
        space: spaces.Space,
        architecture: str,
        image_features: int,
        hidden: Sequence[int],
        activation: str,
    ) -> None:
        super().__init__()
        found = entries(space)
        self._images = [path for path, entry in found.items() if is_image(entry)]
        rest = {path: entry for path, entry in found.items() if path not in self._images}
        self._flat = Flat(spaces.Dict(rest)) if rest else None
        # A path has dots, which names of modules cannot have.
        self.images = nn.ModuleList(
            cnn(found[path], architecture=architecture, hidden=[image_features])
            for path in self._images
        )
        width = image_features * len(self._images) + (self._flat.width if self._flat else 0)
        self.shared = nn.Sequential(*dense(width, hidden, activation))

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """Observations by path, [B, *O] each -> features [B, F]."""
        parts = [
            image(obs[path]) for path, image in zip(self._images, self.images, strict=True)
        ] + ([self._flat(obs)] if self._flat is not None else [])
        return self.shared(torch.cat(parts, dim=1))


def multi_input(
    space: spaces.Space,
    *,
    architecture: str = "auto",
    image_features: int = 128,
    hidden: Sequence[int] = (64, 64),
    activation: str = "tanh",
) -> nn.Module:
    """Build the body.

    Args:
        space: of the observations: a Dict or Tuple, nested as deep as one likes.
        architecture: of the convolutions for images, see `cnn`.
        image_features: numbers that each image becomes.
        hidden: width of each shared layer.
        activation: tanh | relu | silu.

    Raises:
        ConfigError: observations have no entries.
    """
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        raise ConfigError(
            f"policy=multi_input reads a Dict or Tuple, the observations are a "
            f"{type(space).__name__}",
            "set policy=auto, which chooses by the observations",
        )
    return MultiInput(space, architecture, image_features, hidden, activation)

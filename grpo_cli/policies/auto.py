"""The body that fits the observations."""

from collections.abc import Sequence

from gymnasium import spaces
from torch import nn

from grpo_cli.observations import entries
from grpo_cli.policies.cnn import cnn, is_image
from grpo_cli.policies.mlp import mlp
from grpo_cli.policies.multi_input import multi_input


def chosen(space: spaces.Space) -> tuple[str, str]:
    """Return the name of the body that `auto` takes for a space without a mask, and why."""
    if is_image(space):
        return "cnn", "observations are images"
    if any(is_image(entry) for entry in entries(space).values()):
        return "multi_input", "some entries of an observation are images"
    return "mlp", "observations are numbers"


def auto(
    space: spaces.Space, *, hidden: Sequence[int] = (64, 64), activation: str = "tanh"
) -> nn.Module:
    """Build the body that fits the observations, images with the defaults of their own bodies.

    Args:
        space: of the observations.
        hidden: width of each layer, except after an image's convolutions.
        activation: tanh | relu | silu.

    Raises:
        ConfigError: no layer, a width below 1, or an unknown activation.
    """
    name, _ = chosen(space)
    if name == "cnn":
        return cnn(space)
    if name == "multi_input":
        return multi_input(space, hidden=hidden, activation=activation)
    return mlp(space, hidden=hidden, activation=activation)

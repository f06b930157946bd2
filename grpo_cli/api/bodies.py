"""MlpPolicy, CnnPolicy and MultiInputPolicy as PPO of Stable-Baselines3 builds them.

`policy_kwargs` mean what they mean there: images go through the convolutions of DQN and a layer of
`features_dim` or `cnn_output_dim` numbers, `net_arch` follows with `activation_fn` after each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import nn

from grpo_cli.errors import ConfigError
from grpo_cli.observations import entries
from grpo_cli.policies import cnn, mlp, multi_input
from grpo_cli.policies.activations import ACTIVATIONS
from grpo_cli.policies.cnn import is_image
from grpo_cli.policies.mlp import dense

# What an image becomes, the keyword that says so, and the layers that follow.
IMAGES = {"CnnPolicy": ("features_dim", 512), "MultiInputPolicy": ("cnn_output_dim", 256)}
LAYERS = {"MlpPolicy": (64, 64), "CnnPolicy": (), "MultiInputPolicy": (64, 64)}
KNOWN = (
    "net_arch", "activation_fn", "log_std_init", "ortho_init", "normalize_images",
    "features_extractor_kwargs",
)  # fmt: skip
# They steer a value network or noise by state; there is neither.
WITHOUT_EFFECT = ("share_features_extractor", "use_expln", "full_std", "squash_output")


@dataclass(frozen=True)
class Body:
    """What `policy_kwargs` say.

    Attributes:
        kind: MlpPolicy, CnnPolicy or MultiInputPolicy.
        image_features: numbers that an image becomes.
        hidden: widths of the layers after that.
        activation: after each of them.
        log_std: start of a Gaussian's log-stds.
        init: initial weights, `orthogonal` or `torch`.
    """

    kind: str
    image_features: int
    hidden: Sequence[int]
    activation: str
    log_std: float
    init: str

    def __call__(self, space: spaces.Space) -> nn.Module:
        """Build the body for a space, one without a mask of the actions.

        Raises:
            ConfigError: no image where CnnPolicy needs one, or no layer.
        """
        return BODIES[self.kind](self, space)


def _mlp(body: Body, space: spaces.Space) -> nn.Module:
    if not body.hidden:
        raise ConfigError("net_arch=[] is no network", "give one width or more: net_arch=[64, 64]")
    return mlp(space, hidden=body.hidden, activation=body.activation)


def _cnn(body: Body, space: spaces.Space) -> nn.Module:
    if not is_image(space):
        raise ConfigError(
            f"CnnPolicy reads images, and observations are a {_said(space)}",
            "choose MlpPolicy, or MultiInputPolicy where they have several entries",
        )
    images = cnn(space, hidden=[body.image_features])
    return nn.Sequential(images, *dense(body.image_features, body.hidden, body.activation))


def _multi_input(body: Body, space: spaces.Space) -> nn.Module:
    if not isinstance(space, spaces.Dict | spaces.Tuple):  # what a mask left of a Dict
        return (_cnn if is_image(space) else _mlp)(body, space)
    return multi_input(
        space, image_features=body.image_features, hidden=body.hidden, activation=body.activation
    )


BODIES: dict[str, Callable[[Body, spaces.Space], nn.Module]] = {
    "MlpPolicy": _mlp,
    "CnnPolicy": _cnn,
    "MultiInputPolicy": _multi_input,
}


def body(kind: str, policy_kwargs: dict[str, Any] | None, space: spaces.Space) -> Body:
    """Read a policy's name and `policy_kwargs`.

    Args:
        kind: the policy's name.
        policy_kwargs: as given to `GRPO`.
        space: of the observations, as the environment declares it.

    Raises:
        ConfigError: no such policy, one that does not fit, or a keyword that means nothing here.
    """
    if kind not in BODIES:
        raise ConfigError(f"no policy {kind}", f"choose one of {', '.join(BODIES)}")
    if kind == "MultiInputPolicy" and not isinstance(space, spaces.Dict | spaces.Tuple):
        raise ConfigError(
            f"MultiInputPolicy reads a Dict or Tuple, and observations are a {_said(space)}",
            f"choose {'CnnPolicy' if is_image(space) else 'MlpPolicy'}",
        )
    given = as_words(policy_kwargs) or {}
    unknown = [name for name in given if name not in (*KNOWN, *WITHOUT_EFFECT)]
    if unknown:
        raise ConfigError(
            f"policy_kwargs={', '.join(unknown)} is not known here", f"{', '.join(KNOWN)} are"
        )
    if not given.get("normalize_images", True) and _has_bytes(space):
        raise ConfigError(
            "normalize_images=False: bytes are always divided by 255",
            "leave it out, or let the environment show floats",
        )
    activation = given.get("activation_fn", "tanh")
    if activation not in ACTIVATIONS:
        raise ConfigError(
            f"activation_fn={activation} is not known here",
            f"choose one of {', '.join(ACTIVATIONS)}, or their classes in torch.nn",
        )
    return Body(
        kind,
        image_features=_image_features(kind, given.get("features_extractor_kwargs") or {}),
        hidden=_layers(kind, given.get("net_arch")),
        activation=activation,
        log_std=given.get("log_std_init", 0.0),
        init="orthogonal" if given.get("ortho_init", True) else "torch",
    )


def as_words(policy_kwargs: dict[str, Any] | None) -> dict[str, Any] | None:
    """Name the activation instead of holding its class."""
    if policy_kwargs is None:
        return None
    named = dict(policy_kwargs)
    if isinstance(kind := named.get("activation_fn"), type):
        named["activation_fn"] = kind.__name__.lower()
    return named


def _said(space: spaces.Space) -> str:
    """Name a space; its bounds would fill the screen."""
    return type(space).__name__ + (f" of shape {space.shape}" if space.shape else "")


def _has_bytes(space: spaces.Space) -> bool:
    return any(
        isinstance(entry, spaces.Box) and entry.dtype == np.uint8
        for entry in entries(space).values()
    )


def _image_features(kind: str, given: dict[str, Any]) -> int:
    name, default = IMAGES.get(kind, ("", 0))
    unknown = [key for key in given if key != name]
    if unknown:
        raise ConfigError(
            f"features_extractor_kwargs={', '.join(unknown)} is not known here",
            f"{kind} takes {name}" if name else f"{kind} takes none",
        )
    return given.get(name, default)


def _layers(kind: str, arch: Any) -> Sequence[int]:
    """Read `net_arch`, a list of widths or a dict with one for the policy, `pi`."""
    if arch is None:
        return LAYERS[kind]
    return list(arch.get("pi", ()) if isinstance(arch, dict) else arch)

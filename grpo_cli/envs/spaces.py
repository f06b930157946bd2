"""Which spaces can be used, and how a flat action becomes the environment's own."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.distributions import Categorical, Family, Gaussian
from grpo_cli.errors import ConfigError


class Codec(Protocol):
    """A space of actions: its distribution, and the way from flat rows to the environment."""

    @property
    def family(self) -> Family:
        """The distribution of flat actions."""
        ...

    def decode(self, action: NDArray) -> NDArray:
        """Turn flat actions [B, A] into what `env.step` takes, one entry per row."""
        ...


@dataclass(frozen=True)
class DiscreteCodec:
    """`Discrete(n, start)`: flat actions count from 0, the environment's from `start`."""

    family: Categorical
    start: int

    def decode(self, action: NDArray) -> NDArray:
        """[B, 1] -> [B]."""
        return action[:, 0] + self.start if self.start else action[:, 0]


class BoxCodec:
    """`Box`: flat numbers in [-1, 1] span the bounds; where there are none they are taken as is.

    Numbers outside are clipped, or squashed by tanh when the family squashes.

    Args:
        space: of the actions.
        squash: respect the bounds by tanh instead of clipping.
    """

    def __init__(self, space: spaces.Box, squash: bool) -> None:
        self.family = Gaussian(int(np.prod(space.shape)), squash)
        self._space = space
        self._low, self._high = space.low.ravel(), space.high.ravel()
        bounded = np.isfinite(self._low) & np.isfinite(self._high)
        low, high = np.where(bounded, self._low, -1.0), np.where(bounded, self._high, 1.0)
        self._middle, self._half = (low + high) / 2, (high - low) / 2

    def decode(self, action: NDArray) -> NDArray:
        """[B, D] -> [B, *shape]."""
        unit = np.tanh(action) if self.family.squash else action
        scaled = np.clip(self._middle + self._half * unit, self._low, self._high)
        return scaled.reshape(len(action), *self._space.shape).astype(self._space.dtype)


def action_codec(env_id: str, space: spaces.Space, bounds: str = "clip") -> Codec:
    """Choose the codec for an action space.

    Args:
        env_id: for messages.
        space: of the actions.
        bounds: how a Box is respected, `clip` or `tanh`.

    Raises:
        ConfigError: the space is not supported, or tanh is asked for where there are no bounds.
    """
    if isinstance(space, spaces.Discrete):
        return DiscreteCodec(Categorical(int(space.n)), int(space.start))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        if bounds == "tanh" and not space.is_bounded():
            raise ConfigError(
                f"{env_id} has actions without bounds, which tanh cannot reach",
                "set policy.bounds=clip",
            )
        return BoxCodec(space, squash=bounds == "tanh")
    raise ConfigError(
        f"{env_id} has actions of kind {type(space).__name__}, which is not supported yet",
        "use an environment with Discrete or Box actions",
    )


def check_observation(env_id: str, space: spaces.Space) -> None:
    """Refuse observations that no policy here can read.

    Raises:
        ConfigError: the space is not a Box of numbers.
    """
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.number):
        return
    raise ConfigError(
        f"{env_id} has observations of kind {type(space).__name__}, which is not supported yet",
        "use an environment with Box observations, or wrap it in "
        "gymnasium.wrappers.FlattenObservation",
    )

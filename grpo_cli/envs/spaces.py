"""Spaces of actions: their distribution, and how a flat action becomes the environment's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.distributions import Categorical, Family, Gaussian
from grpo_cli.errors import ConfigError
from grpo_cli.joint import Bernoulli, Joint


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

    @part("decode")
    def decode(self, action: NDArray) -> NDArray:
        """[B, 1] -> [B]."""
        return action[:, 0] + self.start if self.start else action[:, 0]


class MultiDiscreteCodec:
    """`MultiDiscrete`: one choice for each of its numbers, each counting from 0."""

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        self.family = Joint(tuple(Categorical(int(n)) for n in space.nvec.ravel()))
        self._space = space

    @part("decode")
    def decode(self, action: NDArray) -> NDArray:
        """[B, D] -> [B, *shape]."""
        shaped = action.reshape(len(action), *self._space.shape) + self._space.start
        return shaped.astype(self._space.dtype)


class MultiBinaryCodec:
    """`MultiBinary`: independent bits."""

    def __init__(self, space: spaces.MultiBinary) -> None:
        self.family = Bernoulli(int(np.prod(space.shape)))
        self._space = space

    @part("decode")
    def decode(self, action: NDArray) -> NDArray:
        """[B, D] -> [B, *shape]."""
        return action.reshape(len(action), *self._space.shape).astype(self._space.dtype)


class BoxCodec:
    """`Box`: flat numbers in [-1, 1] span the bounds; where there are none they are taken as is.

    With one bound, 0 is a distance of 1 from it. Numbers outside are clipped, or squashed by tanh
    when the family squashes; a Box of whole numbers gets them rounded.

    Args:
        space: of the actions.
        squash: respect the bounds by tanh instead of clipping.
        by_state: log-stds depend on the observation.
    """

    def __init__(self, space: spaces.Box, squash: bool, by_state: bool = False) -> None:
        self.family = Gaussian(int(np.prod(space.shape)), squash, by_state)
        self._space = space
        self._low, self._high = space.low.ravel(), space.high.ravel()
        below, above = np.isfinite(self._low), np.isfinite(self._high)
        low = np.where(below, self._low, np.where(above, self._high - 2.0, -1.0))
        high = np.where(above, self._high, np.where(below, self._low + 2.0, 1.0))
        self._middle, self._half = (low + high) / 2, (high - low) / 2

    @part("decode")
    def decode(self, action: NDArray) -> NDArray:
        """[B, D] -> [B, *shape]."""
        unit = np.tanh(action) if self.family.squash else action
        scaled = np.clip(self._middle + self._half * unit, self._low, self._high)
        if np.issubdtype(self._space.dtype, np.integer):
            scaled = np.rint(scaled)
        return scaled.reshape(len(action), *self._space.shape).astype(self._space.dtype)


class JointCodec:
    """`Dict` and `Tuple`: the parts' flat actions side by side; nested as deep as one likes.

    Args:
        space: of the actions.
        parts: codecs of its entries, in its order.
    """

    def __init__(self, space: spaces.Dict | spaces.Tuple, parts: Sequence[Codec]) -> None:
        self.family = Joint(tuple(part.family for part in parts))
        self._keys = list(space.spaces) if isinstance(space, spaces.Dict) else None
        self._parts = parts
        widths = [part.family.num_columns for part in parts]
        self._edges = np.cumsum(widths)[:-1]

    @part("decode")
    def decode(self, action: NDArray) -> NDArray:
        """[B, A] -> [B] objects, a dict or a tuple each."""
        columns = [
            part.decode(_whole(part, flat))
            for part, flat in zip(self._parts, np.split(action, self._edges, axis=1), strict=True)
        ]
        rows = zip(*columns, strict=True)
        return as_objects(
            [dict(zip(self._keys, r, strict=True)) if self._keys else r for r in rows]
        )


def _whole(part: Codec, flat: NDArray) -> NDArray:
    """Turn choices back into whole numbers, which other parts' columns made floats of."""
    continuous = isinstance(part.family, Gaussian | Joint)
    return flat if continuous else flat.astype(np.int64)


def as_objects(values: Sequence[Any]) -> NDArray:
    """Put B things in an array, [B], without looking into them."""
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return column


def check_tensors(space: spaces.Space) -> None:
    """Refuse actions that a function of (state, action, next_state) cannot take as one tensor.

    Raises:
        ConfigError: they are dicts or tuples.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        raise ConfigError(
            f"a function of (state, action, next_state) takes tensors, and actions are a "
            f"{type(space).__name__}",
            "let the environment pay the reward, or take flat actions, by a wrapper",
        )


def drawn(space: spaces.Space, count: int) -> NDArray:
    """Draw actions as the environment takes them, one entry per row, from a seeded space."""
    actions = [space.sample() for _ in range(count)]
    nested = isinstance(space, spaces.Dict | spaces.Tuple)
    return as_objects(actions) if nested else np.array(actions)


def action_codec(
    env_id: str, space: spaces.Space, bounds: str = "clip", std: str = "parameter"
) -> Codec:
    """Choose the codec for an action space.

    Args:
        env_id: for messages.
        space: of the actions.
        bounds: how a Box is respected, `clip` or `tanh`.
        std: a Gaussian's log-stds are parameters of their own (`parameter`), or outputs of the
            network (`state`).

    Raises:
        ConfigError: the space is not supported, or tanh is asked for where there are no bounds.
    """
    if isinstance(space, spaces.Discrete):
        return DiscreteCodec(Categorical(int(space.n)), int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiDiscreteCodec(space)
    if isinstance(space, spaces.MultiBinary):
        return MultiBinaryCodec(space)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return JointCodec(space, [action_codec(env_id, part, bounds, std) for part in inner])
    if isinstance(space, spaces.Box):
        if bounds == "tanh" and not space.is_bounded():
            raise ConfigError(
                f"{env_id} has actions without bounds, which tanh cannot reach",
                "set policy.bounds=clip",
            )
        return BoxCodec(space, bounds == "tanh", std == "state")
    raise ConfigError(
        f"{env_id} has actions of kind {type(space).__name__}, which policies cannot take",
        "offer them as Discrete, Box, MultiDiscrete or MultiBinary, or Dict and Tuple of these, by "
        "a wrapper of your own",
    )

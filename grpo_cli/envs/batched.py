"""Wrappers of observations on a batch: a pool has no environments that they could stand around."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import (
    FilterObservation,
    FlattenObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    TimeLimit,
)
from numpy.typing import NDArray

# f(observations of B members as a pool gives them) -> as the wrapper would show them
Show = Callable[[Any], Any]
ONE_HOT = "minigrid.wrappers.OneHotPartialObsWrapper"
# They change nothing that is seen.
TRANSPARENT = (TimeLimit, OrderEnforcing, PassiveEnvChecker)


def batched(env: gym.Env) -> Show | None:
    """Return what the wrappers around an environment do to observations, for a batch of them.

    Args:
        env: with its wrappers, the first innermost.

    Returns:
        A function of what B members show, one array [B, *O] for each entry; None: a wrapper does
        more than look, or cannot be applied to a batch.
    """
    steps: list[Show] = []
    while env is not env.unwrapped:
        if type(env) is FilterObservation and isinstance(env.observation_space, spaces.Dict):
            steps.append(_filter(tuple(env.observation_space.spaces)))
        elif type(env) is FlattenObservation and _flat(env.env.observation_space):
            steps.append(_flatten(env.env.observation_space))
        elif f"{type(env).__module__}.{type(env).__name__}" == ONE_HOT:
            steps.append(_one_hot())
        elif type(env) not in TRANSPARENT:
            return None
        env = env.env  # type: ignore[attr-defined]

    def show(obs: Any) -> Any:  # noqa: ANN401 - an array or a dict of them
        for step in reversed(steps):
            obs = step(obs)
        return obs

    return show


def as_it_is(obs: Any) -> Any:  # noqa: ANN401 - an array or a dict of them
    """Return observations as they are: there are no wrappers."""
    return obs


def _filter(keys: tuple[str, ...]) -> Show:
    return lambda obs: {key: obs[key] for key in keys}


def _flat(space: spaces.Space) -> bool:
    inner = space.spaces.values() if isinstance(space, spaces.Dict) else ()
    return bool(inner) and all(isinstance(one, spaces.Box | spaces.Discrete) for one in inner)


def _flatten(space: spaces.Space) -> Show:
    def flatten(obs: dict[str, NDArray]) -> NDArray:
        return np.concatenate([column(obs[key]) for key, column in columns.items()], axis=1)

    inner = space.spaces if isinstance(space, spaces.Dict) else {}
    columns = {key: _columns(one) for key, one in inner.items()}
    return flatten


def _columns(space: spaces.Space) -> Callable[[NDArray], NDArray]:
    """Turn an entry of B observations into columns [B, N]: numbers one by one, choices one-hot."""
    if isinstance(space, spaces.Discrete):
        table, start = np.eye(int(space.n), dtype=space.dtype), space.start
        return lambda values: table[values - start]
    return lambda values: values.reshape(len(values), -1)


def _one_hot() -> Show:
    """Tell kind, colour and state of MiniGrid's cells, three codes each, by one-hot vectors."""
    from minigrid.core import constants

    sizes = map(len, (constants.OBJECT_TO_IDX, constants.COLOR_TO_IDX, constants.STATE_TO_IDX))
    tables = [np.eye(size, dtype=np.uint8) for size in sizes]

    def one_hot(obs: dict[str, NDArray]) -> dict[str, NDArray]:
        codes = np.moveaxis(obs["image"], -1, 0)
        hot = [table[code] for table, code in zip(tables, codes, strict=True)]
        return {**obs, "image": np.concatenate(hot, axis=-1)}

    return one_hot

"""Masks of actions that an environment reports beside its observations."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.observations import INNER, MASK


def num_choices(space: spaces.Space) -> int:
    """Count the entries of a mask of an action space; 0 where it cannot be masked."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    return int(space.nvec.sum()) if isinstance(space, spaces.MultiDiscrete) else 0


def reports_mask(env: gym.Env) -> bool:
    """Say whether `info` holds a mask of the actions after a reset."""
    choices = num_choices(env.action_space)
    if not choices:
        return False
    info = env.reset(seed=0)[1]
    return MASK in info and np.size(_flat(info[MASK])) == choices


class MaskFromInfo(gym.Wrapper):
    """Moves `info["action_mask"]` into the observation, where the policy finds it.

    Args:
        env: reports a mask at every reset and step.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        mask = spaces.MultiBinary(num_choices(env.action_space))
        seen = env.observation_space
        self._inside = isinstance(seen, spaces.Dict)
        inner = dict(seen.spaces) if isinstance(seen, spaces.Dict) else {INNER: seen}
        self.observation_space = spaces.Dict({**inner, MASK: mask})

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 - Gymnasium's own
        """Reset."""
        obs, info = self.env.reset(**kwargs)
        return self._with_mask(obs, info), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Step."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask(obs, info), reward, terminated, truncated, info

    def _with_mask(self, obs: Any, info: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
        inner = obs if self._inside else {INNER: obs}
        return {**inner, MASK: _flat(info[MASK])}


def _flat(mask: Any) -> NDArray[np.int8]:  # noqa: ANN401 - an array, or one for each choice
    parts = mask if isinstance(mask, tuple | list) and np.ndim(mask[0]) else [mask]
    return np.concatenate([np.asarray(part, dtype=np.int8).ravel() for part in parts])

"""A backend whose rewards come from a person's own function."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import Sync
from grpo_cli.rollout import Floats, Ints
from grpo_cli.transitions import TransitionReward


class Judged:
    """Steps plain environments, and puts `f(state, action, next_state)` in place of their reward.

    It is called once a round with a row for each environment that was stepped; the next state is
    the one that followed, of a finished episode too, never the start of the next one.

    Args:
        backend: steps the environments.
        reward: of a transition.
    """

    name = "sync"

    def __init__(self, backend: Sync, reward: TransitionReward) -> None:
        self._backend = backend
        self._reward = reward
        self._obs = np.empty(0)
        self._member = np.empty(0, dtype=np.int64)
        self._ret: list[float] = []

    @property
    def env_return(self) -> Floats:
        """What the environments themselves paid since `reset`, by member in order of starting."""
        return np.array(self._ret)

    def reset(self, seeds: Ints) -> NDArray:
        """Reset the first M environments; see `Sync.reset`."""
        self._obs = self._backend.reset(seeds)
        self._member = np.arange(len(seeds))
        self._ret = [0.0] * len(seeds)
        return self._obs.copy()

    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset the named environments alone; see `Sync.restart`."""
        self._obs[ids] = self._backend.restart(ids, seeds)
        self._member[ids] = len(self._ret) + np.arange(len(ids))
        self._ret += [0.0] * len(ids)
        return self._obs[ids]

    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named environments; see `Sync.step`.

        Raises:
            ConfigError: the function returned another shape than [B] or [B, 1].
        """
        after, paid, terminated, truncated, infos = self._backend.step(ids, actions)
        for member, reward in zip(self._member[ids].tolist(), paid.tolist(), strict=True):
            self._ret[member] += reward
        reward = self._reward(self._obs[ids], actions, after)
        self._obs[ids] = after
        return after, reward, terminated, truncated, infos

    def close(self) -> None:
        """Close the environments."""
        self._backend.close()

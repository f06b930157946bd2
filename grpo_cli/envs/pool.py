"""Backend `envpool`: EnvPool's C++ versions of common environments.

EnvPool takes seeds only when a pool is made and ignores them at reset, so every reset makes the
pool anew with one seed per member; that costs milliseconds. Members drop out by stepping only the
ids that still live.

There are no single environments in a pool, so wrappers around observations are applied to what all
members show. Where an environment cuts itself, its rewards may depend on when (MiniGrid's do): it
keeps its own limit, and nobody else's can be sooner.
"""

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.envs.batched import as_it_is
from grpo_cli.envs.source import EnvSource
from grpo_cli.errors import MissingPackage
from grpo_cli.observations import Observations
from grpo_cli.rollout import Ints


class EnvPool:
    """A pool of members behind the backend contract.

    Args:
        source: the environment, an id that EnvPool has, which fits.
        num_members: how many live side by side.
    """

    name = "envpool"

    def __init__(self, source: EnvSource, num_members: int) -> None:
        self._source = source
        self._num_members = num_members
        self._observations = Observations(source.observation_space)
        self._show = source.show or as_it_is
        self._max_steps = min(source.max_steps, source.own_limit or source.max_steps)
        self._pool: Any = None

    @staticmethod
    def installed() -> bool:
        """Say whether the package is there, without importing it."""
        return find_spec("envpool") is not None

    @staticmethod
    def fits(source: EnvSource) -> bool:
        """Say whether arguments, wrappers and time limit leave what EnvPool has under this id."""
        if source.kwargs or source.masked:
            return False
        return source.show is not None and (source.own_limit or 0) <= source.max_steps

    @part("env reset")
    def reset(self, seeds: Ints) -> NDArray:
        """Make a pool with one seed per member; observations [M, *O]."""
        import envpool

        self.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it casts its own bounds to float32, and says so
            self._pool = envpool.make(
                self._source.id,
                env_type="gymnasium",
                num_envs=len(seeds),
                num_threads=1,
                seed=seeds.tolist(),
                max_episode_steps=self._max_steps,
            )
            return self._as_declared(self._pool.reset()[0])

    @part("env step")
    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named members; see `Sync.step`. Infos are left out."""
        dtype = np.int32 if np.issubdtype(actions.dtype, np.integer) else actions.dtype
        obs, reward, terminated, truncated, _ = self._pool.step(
            actions.astype(dtype), ids.astype(np.int32)
        )
        return self._as_declared(obs), reward.astype(np.float64), terminated, truncated, []

    def close(self) -> None:
        """Let the pool go."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _as_declared(self, obs: Any) -> NDArray:  # noqa: ANN401 - an array or a dict of them
        shown = self._show(obs)
        if isinstance(shown, dict):
            return self._observations.batch(shown)[0]
        return shown.astype(self._observations.dtype, copy=False)


def require_envpool() -> None:
    """Raise unless EnvPool is installed.

    Raises:
        MissingPackage: it is not.
    """
    if not EnvPool.installed():
        raise MissingPackage(
            "backend=envpool needs a package that is not installed", "pip install 'grpo-cli[fast]'"
        )

"""Backend `sync`: plain Gymnasium environments, stepped in turn, only those that still live."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.errors import EnvError
from grpo_cli.observations import Observations
from grpo_cli.rollout import Ints


class Sync:
    """A list of environments behind the backend contract.

    Args:
        make: makes one plain environment.
        num_members: how many live side by side.
    """

    name = "sync"

    def __init__(self, make: Callable[[], gym.Env], num_members: int) -> None:
        self.envs = [make() for _ in range(num_members)]
        self._observations = Observations(self.envs[0].observation_space)

    @part("env reset")
    def reset(self, seeds: Ints) -> NDArray:
        """Reset the first M environments with one seed each; observations [M, *O]."""
        obs = [self._call(env.reset, seed=int(seed))[0] for env, seed in zip(self.envs, seeds)]  # noqa: B905 - fewer seeds than environments is fine
        return self._stacked(obs)

    @part("env reset")
    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset the named members alone, B of them; observations [B, *O]."""
        chosen = zip(ids.tolist(), seeds, strict=True)
        obs = [self._call(self.envs[i].reset, seed=int(seed))[0] for i, seed in chosen]
        return self._stacked(obs)

    @part("env step")
    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named members, B of them.

        Returns:
            Observations [B, *O], rewards [B], terminated [B], truncated [B], infos.

        Raises:
            EnvError: an environment raised, or returned something impossible.
        """
        results = [
            self._call(self.envs[member].step, action)
            for member, action in zip(ids.tolist(), actions, strict=True)
        ]
        obs, reward, terminated, truncated, infos = zip(*results, strict=True)
        try:
            reward = np.array(reward, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise _impossible(f"a reward that is no number: {error}") from error
        return (
            self._stacked(obs),
            reward,
            np.array(terminated, dtype=bool),
            np.array(truncated, dtype=bool),
            list(infos),
        )

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()

    def _stacked(self, obs: Sequence[Any]) -> NDArray:
        try:
            return self._observations.stack(obs)
        except ValueError as error:
            raise _impossible(str(error)) from error

    @staticmethod
    def _call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return method(*args, **kwargs)
        except Exception as error:
            name = method.__name__
            raise EnvError(
                f"the environment raised in {name}(): {type(error).__name__}: {error}",
                "mend the environment, or run again with --debug for the traceback",
            ) from error


def _impossible(what: str) -> EnvError:
    return EnvError(
        f"the environment returned {what}", "return what observation_space and step() promise"
    )

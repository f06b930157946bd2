"""Who asks: tasks of one turn, and environments of words that go on asking."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.errors import ConfigError, EnvError
from grpo_cli.rollout import Floats, Ints
from grpo_cli.text.policy import Prompt
from grpo_cli.text.tasks import Problem, Task

RIGHT = 1.0  # from this reward on a task's answer passes


@dataclass(frozen=True)
class Replies:
    """What B answers led to."""

    prompt: list[Prompt]  # [B], what is asked next
    reward: Floats  # [B]
    terminated: NDArray[np.bool_]  # [B]
    truncated: NDArray[np.bool_]  # [B]
    success: list[bool | None]  # [B], of those that ended; None: nothing is said of it


class Asks(Protocol):
    """The backend contract, in words."""

    name: str

    def reset(self, seeds: Ints) -> list[Problem]:
        """Begin M conversations."""
        ...

    def step(self, ids: Ints, answers: Sequence[str]) -> Replies:
        """Hear what the named members, B of them, answered."""
        ...

    def close(self) -> None:
        """Free what is held."""
        ...


class Once:
    """Ask a task's problem, and no more.

    Args:
        task: has problems.
    """

    name = "task"

    def __init__(self, task: Task) -> None:
        self.task = task
        self._problems: list[Problem] = []

    def reset(self, seeds: Ints) -> list[Problem]:
        """Draw a problem for each seed."""
        self._problems = [self.task.problem(int(seed)) for seed in seeds]
        return self._problems

    def step(self, ids: Ints, answers: Sequence[str]) -> Replies:
        """Say what the answers are worth."""
        asked = zip(ids.tolist(), answers, strict=True)
        worth = [self.task.reward(answer, self._problems[i]) for i, answer in asked]
        reward = np.array([0.0 if w is None else w for w in worth])
        ended = np.ones(len(worth), dtype=bool)
        passed = [None if w is None else w >= RIGHT for w in worth]
        return Replies([""] * len(worth), reward, ended, ~ended, passed)

    def close(self) -> None:
        """Nothing is held."""


class Plays:
    """Gymnasium environments whose observations and actions are `Text`.

    Args:
        make: makes one.
        max_turns: after so many a conversation is cut off.
    """

    name = "gymnasium"

    def __init__(self, make: Callable[[], gym.Env], max_turns: int) -> None:
        self._make, self._max_turns = make, max_turns
        self._envs = [make()]
        self._turns = np.zeros(0, dtype=np.int64)
        seen, acts = self._envs[0].observation_space, self._envs[0].action_space
        if not (isinstance(seen, spaces.Text) and isinstance(acts, spaces.Text)):
            raise ConfigError(
                f"group=text needs an environment of words, its observations are {seen}",
                "wrap it so that both spaces are gymnasium.spaces.Text, or set group=episodes",
            )

    def reset(self, seeds: Ints) -> list[Problem]:
        """Reset one environment for each seed; there are as many as are asked for."""
        self._envs += [self._make() for _ in range(len(seeds) - len(self._envs))]
        self._turns = np.zeros(len(seeds), dtype=np.int64)
        envs = zip(self._envs, seeds, strict=False)
        return [Problem(str(_call(env.reset, seed=int(seed))[0])) for env, seed in envs]

    def step(self, ids: Ints, answers: Sequence[str]) -> Replies:
        """Step the named members."""
        asked = zip(ids.tolist(), answers, strict=True)
        told = [_call(self._envs[i].step, answer) for i, answer in asked]
        obs, reward, terminated, truncated, infos = zip(*told, strict=True)
        self._turns[ids] += 1
        ended = np.array(terminated, dtype=bool)
        cut = (np.array(truncated, dtype=bool) | (self._turns[ids] >= self._max_turns)) & ~ended
        said = [info.get("is_success", info.get("success")) for info in infos]
        return Replies(
            [str(o) for o in obs], np.array(reward, dtype=np.float64), ended, cut,
            [None if s is None else bool(s) for s in said],
        )  # fmt: skip

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()


def _call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    try:
        return method(*args, **kwargs)
    except Exception as error:
        raise EnvError(
            f"the environment raised in {method.__name__}(): {type(error).__name__}: {error}",
            "mend the environment, or run again with --debug for the traceback",
        ) from error

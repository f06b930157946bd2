"""Wrappers around an environment, in the order they are listed, and its time limit outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import TimeAwareObservation, TimeLimit

from grpo_cli.errors import ConfigError, GrpoError, MissingPackage

REPEAT = ("RepeatAction", "MaxAndSkipObservation", "AtariPreprocessing")
"""Wrappers that take several of the environment's steps in one of the agent's."""


@dataclass(frozen=True)
class Wrapper:
    """One wrapper: its name as it was written, and what puts it around an environment."""

    name: str
    around: Callable[[gym.Env], gym.Env]


def wrapped(env_id: str, env: gym.Env, wrappers: Sequence[Wrapper], limit: int) -> gym.Env:
    """Put wrappers around an environment, the first innermost, and the time limit outermost.

    The limit counts the agent's steps, of which each may be several of the environment's.

    Args:
        env_id: for messages.
        env: the environment, with or without a time limit of its own.
        wrappers: what to put around it.
        limit: in steps.

    Raises:
        ConfigError: a wrapper cannot stand around what is inside it.
        MissingPackage: it needs a package that is not installed.
    """
    if not wrappers and limit_of(env) == limit:
        return env
    env = _without_limit(env)
    names = [wrapper.name for wrapper in wrappers]
    for place, wrapper in enumerate(wrappers):
        if wrapper.name == TimeAwareObservation.__name__:
            if repeats := [name for name in names[place:] if name in REPEAT]:
                raise ConfigError(
                    f"{wrapper.name} inside {repeats[0]} counts other steps than the time limit",
                    f"list {wrapper.name} after {repeats[0]}",
                )
            env = TimeLimit(env, limit)  # it reads the limit off what it stands around
        env = _around(env_id, wrapper, env)
    return TimeLimit(env, limit)


def limit_of(env: gym.Env) -> int | None:
    """Return the time limit that an environment comes with, in steps; None: there is none."""
    if env.spec and env.spec.max_episode_steps:
        return env.spec.max_episode_steps
    while isinstance(env, gym.Wrapper):
        if isinstance(env, TimeLimit):
            return env._max_episode_steps  # it tells nobody else
        env = env.env
    return None


def _without_limit(env: gym.Env) -> gym.Env:
    """Take out every `TimeLimit`, however deep it stands."""
    while isinstance(env, TimeLimit):
        env = env.env
    layer = env
    while isinstance(layer, gym.Wrapper):
        while isinstance(layer.env, TimeLimit):
            layer.env = layer.env.env
        layer = layer.env
    return env


def _around(env_id: str, wrapper: Wrapper, env: gym.Env) -> gym.Env:
    try:
        outer = wrapper.around(env)
    except GrpoError:
        raise
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise MissingPackage(
            f"the wrapper {wrapper.name} needs a package that is not installed", first_line(error)
        ) from error
    except Exception as error:
        raise ConfigError(
            f"the wrapper {wrapper.name} cannot stand around {env_id}: {first_line(error)}",
            f"what is inside it observes {env.observation_space} and acts by {env.action_space}",
        ) from error
    if not isinstance(outer, gym.Env):
        raise ConfigError(
            f"the wrapper {wrapper.name} returned a {type(outer).__name__}, not a gymnasium.Env",
            "derive it from gymnasium.Wrapper",
        )
    return outer


def first_line(error: Exception) -> str:
    """Return the first line of what an exception says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Renewed(gym.Wrapper):
    """An environment that is made anew for every episode, with its wrappers.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[], gym.Env]) -> None:
        super().__init__(make())
        self._make = make
        self._used = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the first in the environment that is already there."""
        if self._used:
            self.env.close()
            self.env = self._make()
        self._used = True
        return self.env.reset(seed=seed, options=options)

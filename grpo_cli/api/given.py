"""Environments as people hand them over: an id, an environment, or a vector of them."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from grpo_cli.config.env_ids import import_package
from grpo_cli.envs import EnvSource, open_env, settled
from grpo_cli.errors import ConfigError

# Vector wrappers that change neither rewards nor what observations show: images are understood with
# their channels last or first.
HARMLESS = ("VecMonitor", "VecTransposeImage")
RECORDERS = ("Monitor", "RecordEpisodeStatistics", "RecordVideo")  # single ones that write or count

OF_A_VECTOR = ("num_envs", "vectorization_mode", "vector_kwargs")


class _Lent(gym.Wrapper):
    """An environment that stays open: closing it is its owner's business."""

    def close(self) -> None:
        """Leave it open."""


class Opened(NamedTuple):
    """What a person handed over, opened."""

    source: EnvSource  # makes the very environments that were given, in turn
    num_envs: int | None  # how many they are; None for an id, which makes as many as asked
    fresh: EnvSource  # makes others like them, as many as asked


def opened(env: Any, bounds: str = "clip") -> Opened:
    """Open what a person handed over.

    The very environments that were given are stepped, except in worker processes: those cannot be
    reset one by one with a seed, and are made again here from the spec of each.

    Args:
        env: a Gymnasium id, an environment, a Gymnasium vector environment, or a vector
            environment of Stable-Baselines3.
        bounds: how the bounds of Box actions are respected, `clip` or `tanh`.

    Raises:
        ConfigError: it cannot be used, and why.
        EnvError: its constructor raised.
    """
    if isinstance(env, str):
        import_package(env)
        source, _ = settled(open_env(env, bounds=bounds, masks=False))
        return Opened(source, None, source)
    envs = _each(env)
    lent = cycle(envs)
    name = envs[0].spec.id if envs[0].spec else type(envs[0].unwrapped).__name__
    source = open_env(name, own_class=lambda **_: _Lent(next(lent)), bounds=bounds, masks=False)
    return Opened(source, len(envs), replace(source, _construct=lambda **_: _another(envs[0])))


def _another(env: gym.Env) -> gym.Env:
    """Make an environment like this one: a copy, which knows what was set on it, or by its spec.

    A copy may be in any state: it is reset before it is used. It records and shows nothing.
    """
    while type(env).__name__ in RECORDERS:
        env = env.env  # type: ignore[attr-defined]
    try:
        other = copy.deepcopy(env)
    except Exception as error:  # open files, windows and C libraries refuse in their own ways
        try:
            other = _made_again(type(env).__name__, env.spec)
        except ConfigError as again:
            raise ConfigError(
                f"{type(env).__name__} can neither be copied ({error}) nor made again",
                "register it with Gymnasium, or set group='episodes'",
            ) from again
    if other.render_mode == "human":
        other.unwrapped.render_mode = None
    return other


def _each(env: Any) -> list[gym.Env]:
    """Return the single environments in what was given."""
    kind = type(env).__name__
    if isinstance(env, gym.Env):
        return [env]
    if hasattr(env, "venv"):
        if kind in HARMLESS:
            return _each(env.venv)
        raise _in_between(kind)
    if isinstance(env, gym.vector.VectorWrapper):
        if kind in RECORDERS:
            return _each(env.env)
        raise _in_between(kind)
    if hasattr(env, "envs"):
        return list(env.envs)
    if hasattr(env, "get_attr"):
        return [_made_again(kind, spec) for spec in env.get_attr("spec")]
    if isinstance(env, gym.vector.VectorEnv):
        return [_made_again(kind, _of_one(env.spec)) for _ in range(env.num_envs)]
    raise ConfigError(
        f"a {kind} is no environment", "give an id, a gymnasium.Env, or a vector environment"
    )


def _in_between(kind: str) -> ConfigError:
    return ConfigError(
        f"{kind} stands between the environments and the policy, and would be passed over",
        "give the vector environment inside it, or wrap each single environment instead",
    )


def _of_one(spec: EnvSpec | None) -> EnvSpec | None:
    """Return the spec of a single environment: `make_vec` keeps its own words among the kwargs."""
    if spec is None:
        return None
    kwargs = {key: value for key, value in spec.kwargs.items() if key not in OF_A_VECTOR}
    limit = kwargs.pop("max_episode_steps", spec.max_episode_steps)
    return replace(spec, kwargs=kwargs, max_episode_steps=limit)


def _made_again(kind: str, spec: EnvSpec | None) -> gym.Env:
    if spec is None:
        raise ConfigError(
            f"{kind} has environments without a spec, which cannot be made again in this process",
            "register the environment with Gymnasium, or use DummyVecEnv",
        )
    try:
        return gym.make(spec, disable_env_checker=True)
    except Exception as error:
        raise ConfigError(
            f"{kind}: {spec.id} cannot be made again from its spec: {error}", "use DummyVecEnv"
        ) from error


def as_function_of_three(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `f(obs, action)` take the next observation too, and pass it over.

    Raises:
        ConfigError: it takes neither two nor three arguments.
    """
    try:
        inspect.signature(function).bind(0, 0, 0)
    except TypeError:
        try:
            inspect.signature(function).bind(0, 0)
        except TypeError as error:
            raise ConfigError(
                f"reward_function cannot be called: {error}",
                "write f(state, action, next_state) or f(obs, action)",
            ) from error
        return lambda obs, action, _: function(obs, action)
    return function

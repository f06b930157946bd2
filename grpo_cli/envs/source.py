"""Where environments come from: an id and its arguments, opened once and made many times."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from grpo_cli.envs.masks import MaskFromInfo, reports_mask
from grpo_cli.envs.spaces import Codec, action_codec
from grpo_cli.errors import ConfigError, EnvError, GrpoError, MissingPackage
from grpo_cli.observations import Observations

DEFAULT_LIMIT = 10_000  # steps, for an environment that would otherwise never be cut


@dataclass(frozen=True)
class EnvSource:
    """An environment that was made once and found usable.

    Attributes:
        id: what the person typed, a Gymnasium id or `./file.py:Class`.
        kwargs: passed to the constructor.
        max_steps: time limit in steps; every training environment has one.
        reward_threshold: the return at which the environment counts as solved, or None.
        observation_space: as declared, with an entry for the mask of the actions where `info`
            holds one.
        action_space: as declared.
        codec: turns flat actions [A] into the environment's own.
        masked: `info` holds a mask of the actions.
    """

    id: str
    kwargs: dict[str, Any]
    max_steps: int
    reward_threshold: float | None
    observation_space: spaces.Space
    action_space: spaces.Space
    codec: Codec
    masked: bool
    _construct: Callable[..., gym.Env] = field(repr=False)

    @property
    def slug(self) -> str:
        """The id as a folder name."""
        return self.id.rpartition(":")[2].replace("/", "-")

    def make(self, render_mode: str | None = None) -> gym.Env:
        """Make one plain environment with the time limit.

        Args:
            render_mode: None for training; rendering slows some environments threefold.

        Raises:
            EnvError: the constructor raised.
        """
        extra = {} if render_mode is None else {"render_mode": render_mode}
        env = _construct(self.id, self._construct, {**self.kwargs, **extra}, self.max_steps)
        return MaskFromInfo(env) if self.masked else env


def open_env(
    env_id: str,
    kwargs: dict[str, Any] | None = None,
    max_steps: int | None = None,
    own_class: Callable[..., gym.Env] | None = None,
    bounds: str = "clip",
    std: str = "parameter",
    masks: bool = True,
) -> EnvSource:
    """Make an environment once, check its spaces and remember its facts.

    Args:
        env_id: a registered Gymnasium id, or the name of `own_class`.
        kwargs: for the constructor.
        max_steps: time limit in steps; None takes the environment's own, else 10,000.
        own_class: a person's own class or function, already imported.
        bounds: how the bounds of Box actions are respected, `clip` or `tanh`.
        std: where log-stds of Box actions come from, `parameter` or `state`.
        masks: take up a mask of the actions where `info` holds one.

    Raises:
        ConfigError: no such id, or a space that is not supported.
        MissingPackage: the environment needs a package that is not installed.
        EnvError: the constructor raised.
    """
    kwargs = dict(kwargs or {})
    construct = own_class or _registered(env_id)
    env = _construct(env_id, construct, kwargs, max_steps)
    try:
        codec = action_codec(env_id, env.action_space, bounds, std)
        masked = masks and _reports_mask(env)
        shown = (MaskFromInfo(env) if masked else env).observation_space
        _check_readable(env_id, shown)
        limit = max_steps or (env.spec.max_episode_steps if env.spec else None)
        if limit is None:
            limit = DEFAULT_LIMIT
            warnings.warn(
                f"{env_id} has no time limit: episodes are cut after {limit:,} steps "
                "(env.max_steps=N sets another limit)",
                stacklevel=2,
            )
        return EnvSource(
            id=env_id,
            kwargs=kwargs,
            max_steps=int(limit),
            reward_threshold=env.spec.reward_threshold if env.spec else None,
            observation_space=shown,
            action_space=env.action_space,
            codec=codec,
            masked=masked,
            _construct=construct,
        )
    finally:
        env.close()


def _reports_mask(env: gym.Env) -> bool:
    try:
        return reports_mask(env)
    except Exception as error:
        raise EnvError(
            f"the environment raised in reset(): {type(error).__name__}: {error}",
            "mend the environment, or run again with --debug for the traceback",
        ) from error


def _check_readable(env_id: str, space: spaces.Space) -> None:
    try:
        Observations(space)
    except ConfigError as error:
        raise ConfigError(f"{env_id}: {error.what}", error.fix) from error


def _registered(env_id: str) -> Callable[..., gym.Env]:
    def construct(**kwargs: Any) -> gym.Env:  # noqa: ANN401 - whatever the constructor takes
        # The checker costs a tenth of a CartPole step; `open_env` has looked at the spaces.
        with _silent_models(env_id):
            return gym.make(env_id, disable_env_checker=True, **kwargs)

    return construct


@contextmanager
def _silent_models(env_id: str) -> Iterator[None]:
    """Leave out what MuJoCo says of Gymnasium's own models at every environment that is made.

    It would also write that to MUJOCO_LOG.TXT. What it says of a simulation is still heard.
    """
    spec = gym.registry.get(env_id)
    shipped = spec is not None and "gymnasium.envs.mujoco" in str(spec.entry_point)
    if not shipped or find_spec("mujoco") is None:
        yield
        return
    mujoco = import_module("mujoco")
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def _construct(
    env_id: str, construct: Callable[..., gym.Env], kwargs: dict[str, Any], max_steps: int | None
) -> gym.Env:
    """Call a constructor; whatever goes wrong becomes one line."""
    try:
        env = construct(**kwargs)
    except GrpoError:
        raise
    except gym.error.DependencyNotInstalled as error:
        raise MissingPackage(
            f"{env_id} needs a package that is not installed", _first_line(error)
        ) from error
    except gym.error.UnregisteredEnv as error:
        raise ConfigError(f"no environment {env_id}: {_first_line(error)}") from error
    except Exception as error:
        raise EnvError(
            f"{env_id} could not be made: {type(error).__name__}: {_first_line(error)}",
            "check env.kwargs, or run again with --debug for the traceback",
        ) from error
    if not isinstance(env, gym.Env):
        raise ConfigError(
            f"{env_id} returned a {type(env).__name__}, not a gymnasium.Env",
            "derive the class from gymnasium.Env",
        )
    own_limit = env.spec.max_episode_steps if env.spec else None
    if max_steps is not None and max_steps != own_limit:
        env = TimeLimit(_without_limit(env), max_steps)
    return env


def _without_limit(env: gym.Env) -> gym.Env:
    """Take off an outer time limit, so that a longer one can take effect."""
    return env.env if isinstance(env, TimeLimit) else env


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

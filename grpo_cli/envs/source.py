"""Where environments come from: an id and its arguments, opened once and made many times."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation

from grpo_cli.envs.batched import Show, as_it_is, batched
from grpo_cli.envs.display import draw_in_memory
from grpo_cli.envs.masks import MaskFromInfo, reports_mask
from grpo_cli.envs.spaces import Codec, action_codec
from grpo_cli.envs.wrappers import Renewed, Wrapper, first_line, limit_of, wrapped
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
        wrappers: what stands around it, the first innermost.
        fresh: it is made anew for every episode.
        show: what the wrappers do to observations, for a batch of them; None: there is no such.
        endless: nobody has set a time limit; `max_steps` is ours.
        own_limit: steps after which the environment cuts itself, whatever `max_steps` says.
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
    wrappers: tuple[Wrapper, ...] = ()
    fresh: bool = False
    show: Show | None = field(default=as_it_is, repr=False)
    own_limit: int | None = None
    endless: bool = False

    @property
    def slug(self) -> str:
        """The id as a folder name."""
        return self.id.rpartition(":")[2].replace("/", "-")

    @property
    def stack(self) -> int:
        """How many frames an observation stacks, each of which is kept once; 1: it does not."""
        outermost = self.wrappers[-1].name if self.wrappers and not self.masked else ""
        if outermost != FrameStackObservation.__name__:
            return 1
        return (self.observation_space.shape or (1,))[0]

    def make(self, render_mode: str | None = None) -> gym.Env:
        """Make one environment with its wrappers and the time limit.

        Args:
            render_mode: None for training; rendering slows some environments threefold.

        Raises:
            EnvError: the constructor raised.
        """
        extra = {} if render_mode is None else {"render_mode": render_mode}

        def make() -> gym.Env:
            env = _made(self.id, self._construct, {**self.kwargs, **extra})
            env = wrapped(self.id, env, self.wrappers, self.max_steps)
            return MaskFromInfo(env) if self.masked else env

        return Renewed(make) if self.fresh else make()


def open_env(
    env_id: str,
    kwargs: dict[str, Any] | None = None,
    max_steps: int | None = None,
    own_class: Callable[..., gym.Env] | None = None,
    bounds: str = "clip",
    std: str = "parameter",
    masks: bool = True,
    wrappers: Sequence[Wrapper] = (),
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
        wrappers: what to put around it, the first innermost; spaces are those outside.

    Raises:
        ConfigError: no such id, a space that is not supported, or a wrapper that does not fit.
        MissingPackage: the environment needs a package that is not installed.
        EnvError: the constructor raised.
    """
    draw_in_memory()
    kwargs = dict(kwargs or {})
    construct = own_class or _registered(env_id)
    plain = _made(env_id, construct, kwargs)
    limit = max_steps or limit_of(plain)
    endless = limit is None
    if limit is None:
        limit = DEFAULT_LIMIT
        warnings.warn(
            f"{env_id} has no time limit: episodes are cut after {limit:,} steps "
            "(env.max_steps=N, or a TimeLimit around it, sets another limit)",
            stacklevel=2,
        )
    try:
        env = wrapped(env_id, plain, wrappers, limit)
        codec = action_codec(env_id, env.action_space, bounds, std)
        masked = masks and _reports_mask(env)
        shown = (MaskFromInfo(env) if masked else env).observation_space
        _check_readable(env_id, shown)
        return EnvSource(
            id=env_id,
            kwargs=kwargs,
            max_steps=int(limit),
            reward_threshold=plain.spec.reward_threshold if plain.spec else None,
            observation_space=shown,
            action_space=env.action_space,
            codec=codec,
            masked=masked,
            _construct=construct,
            wrappers=tuple(wrappers),
            show=batched(env) if wrappers else as_it_is,
            own_limit=_own_limit(plain),
            endless=endless,
        )
    finally:
        plain.close()


def _own_limit(env: gym.Env) -> int | None:
    limit = getattr(env.unwrapped, "max_steps", None)
    return limit if isinstance(limit, int) else None


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
        return gym.make(env_id, disable_env_checker=True, **kwargs)

    return construct


def _made(env_id: str, construct: Callable[..., gym.Env], kwargs: dict[str, Any]) -> gym.Env:
    """Call a constructor; whatever goes wrong becomes one line."""
    try:
        env = construct(**kwargs)
    except GrpoError:
        raise
    except gym.error.DependencyNotInstalled as error:
        raise MissingPackage(
            f"{env_id} needs a package that is not installed", first_line(error)
        ) from error
    except gym.error.UnregisteredEnv as error:
        raise ConfigError(f"no environment {env_id}: {first_line(error)}") from error
    except Exception as error:
        raise EnvError(
            f"{env_id} could not be made: {type(error).__name__}: {first_line(error)}",
            "check env.kwargs, or run again with --debug for the traceback",
        ) from error
    if not isinstance(env, gym.Env):
        raise ConfigError(
            f"{env_id} returned a {type(env).__name__}, not a gymnasium.Env",
            "derive the class from gymnasium.Env",
        )
    for name in ("observation_space", "action_space"):
        if not isinstance(getattr(env, name, None), spaces.Space):
            raise ConfigError(
                f"{env_id} has no {name}", f"set self.{name} to a gymnasium.spaces.Space"
            )
    return env

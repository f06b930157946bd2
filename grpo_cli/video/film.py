"""Filming a policy on an environment that draws: the episodes an evaluation starts with."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import EnvSource, Sync
from grpo_cli.errors import ConfigError, EnvError, GrpoError, MissingPackage
from grpo_cli.evaluate import Mode
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Ints
from grpo_cli.video.files import WRITERS, Frame
from grpo_cli.walk import walk

RENDER_MODE = "rgb_array"
DEFAULT_FPS = 30.0  # for an environment that does not say


class Filmed(Sync):
    """One environment that shows a frame after every reset and every step.

    Args:
        source: the environment.

    Attributes:
        take: receives the frames; nobody at first.
    """

    name = "filmed"

    def __init__(self, source: EnvSource) -> None:
        super().__init__(lambda: source.make(render_mode=RENDER_MODE), 1)
        self.take: Callable[[Frame], None] = lambda _: None
        self._id = source.id
        self._shape: tuple[int, ...] | None = None

    @property
    def fps(self) -> float:
        """Frames a second at which the environment looks natural."""
        return float(self.envs[0].metadata.get("render_fps") or DEFAULT_FPS)

    def reset(self, seeds: Ints) -> NDArray:
        """Reset and show."""
        obs = super().reset(seeds)
        self._show()
        return obs

    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset for the next episode and show."""
        obs = super().restart(ids, seeds)
        self._show()
        return obs

    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step and show."""
        after = super().step(ids, actions)
        self._show()
        return after

    def _show(self) -> None:
        frame = picture(self.envs[0], self._id, self._shape)
        self._shape = frame.shape
        self.take(frame)


def picture(env: gym.Env, env_id: str, shape: tuple[int, ...] | None = None) -> Frame:
    """Draw an environment, [H, W, 3].

    Args:
        env: made to render `rgb_array`.
        env_id: for messages.
        shape: of the pictures before; None: there was none.

    Raises:
        ConfigError: what it renders is no picture.
        MissingPackage: it needs a package for that.
        EnvError: it raised, or pictures change their size.
    """
    try:
        frame: Any = env.render()
    except gym.error.DependencyNotInstalled as error:
        raise MissingPackage(
            f"{env_id} needs a package to render that is not installed", _first_line(error)
        ) from error
    except Exception as error:
        raise EnvError(
            f"{env_id} cannot render: {type(error).__name__}: {_first_line(error)}",
            "do without a film, or run again with --debug for the traceback",
        ) from error
    is_picture = isinstance(frame, np.ndarray) and frame.dtype == np.uint8
    if not is_picture or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ConfigError(
            f"{env_id} renders {_described(frame)}, not a picture",
            "let render() return an array [height, width, 3] of uint8",
        )
    if frame.shape != (shape or frame.shape):
        raise EnvError(
            f"{env_id} renders {_described(frame)} after pictures of {shape}",
            "let render() return pictures of one size",
        )
    return frame


def check_renders(source: EnvSource) -> Frame:
    """Draw one frame.

    Returns:
        It, [H, W, 3].

    Raises:
        ConfigError: the environment cannot render rgb_array, or what it renders is no picture.
        MissingPackage: it needs a package for that.
        EnvError: it raised.
    """
    with closing(source.make()) as env:
        modes = [str(mode) for mode in env.metadata.get("render_modes") or ()]
    if RENDER_MODE not in modes:
        raise ConfigError(
            f"{source.id} cannot be filmed: it does not render {RENDER_MODE} "
            f"(its render_modes: {', '.join(modes) or 'none'})",
            "do without a film, or take an environment that does",
        )
    with closing(Filmed(source)) as filmed:
        shown: list[Frame] = []
        filmed.take = shown.append
        filmed.reset(np.zeros(1, dtype=np.int64))
        return shown[0]


def record(
    path: Path, source: EnvSource, policy: Policy, *, seed: int, mode: Mode, episodes: int
) -> Ints:
    """Play the first final evaluation episodes of `seed` once more and film them.

    A film of E episodes with L[e] steps has sum(L + 1) frames.

    Args:
        path: what `plan` returned.
        source: what `check_renders` has seen.
        policy: who acts.
        seed: of the evaluation.
        mode: greedy or sampled.
        episodes: how many, >= 1.

    Returns:
        Steps of each episode, [E].

    Raises:
        EnvError: the environment raised.
        GrpoError: the file could not be written.
    """
    address = (seed, Purpose.EVAL, int(Use.FINAL))
    seeds = reset_seeds(rng(*address), episodes, Use.FINAL)
    noise = None
    if mode == "sampled":
        generators = [rng(*address, number) for number in range(1, episodes + 1)]
        noise = ActionNoise(generators, 1, policy.family.noise_width)
    with closing(Filmed(source)) as filmed, film(path, filmed.fps) as take:
        filmed.take = take
        return walk(filmed, source.codec, policy, seeds, noise, slots=1).length


@contextmanager
def film(path: Path, fps: float) -> Iterator[Callable[[Frame], None]]:
    """Give what takes the frames of a film, which appears under its name when it is whole.

    Raises:
        GrpoError: the file could not be written.
    """
    fresh = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with closing(WRITERS[path.suffix.lower()](fresh, fps)) as writer:
            yield writer.add
            writer.finish()
        fresh.replace(path)
    except OSError as error:
        why = error.strerror or _first_line(error)
        raise GrpoError(f"{path} could not be written: {why}", "is the disk full?") from error
    finally:
        fresh.unlink(missing_ok=True)


def _described(frame: Any) -> str:  # noqa: ANN401
    if isinstance(frame, np.ndarray):
        return f"{frame.dtype} {list(frame.shape)}"
    return type(frame).__name__


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)

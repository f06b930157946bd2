"""Is this computer, and this environment, fit for training? One line an answer."""

import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.env_checker import data_equivalence as same

from grpo_cli import video
from grpo_cli.envs import EnvSource, make_backend, make_simulator
from grpo_cli.envs.display import choose_opengl, draw_in_memory
from grpo_cli.errors import GrpoError
from grpo_cli.observations import Observations
from grpo_cli.rollout import flat, tensors
from grpo_cli.speed import stepping
from grpo_cli.versions import versions

# Module that tells whether an extra is installed, and what the extra gives.
EXTRAS = {
    "fast": ("envpool", "EnvPool's fast versions of common environments"),
    "box2d": ("Box2D", "LunarLander, BipedalWalker, CarRacing"),
    "mujoco": ("mujoco", "Hopper, HalfCheetah, Ant, Humanoid"),
    "atari": ("ale_py", "Atari games (ALE/Pong-v5)"),
    "minigrid": ("minigrid", "MiniGrid and BabyAI levels"),
    "video": ("imageio_ffmpeg", "films of episodes (ffmpeg)"),
}
REPEAT = "draw all randomness from self.np_random, and set every state in reset()"
SEEDS = (11, 12, 13)
STEPS = 200  # compared in each episode; what drifts has drifted by then
MEASURE_S = 0.5
MEMBERS = 16


@dataclass(frozen=True)
class Check:
    """One answer.

    Attributes:
        name: what was looked at.
        ok: True, False, or None where it is neither.
        says: what was found.
        fix: what to do about it.
    """

    name: str
    ok: bool | None
    says: str
    fix: str = ""


def computer() -> Iterator[Check]:
    """Look at Python, packages, devices and extras."""
    yield Check("Python", True, f"{platform.python_version()}, {platform.system()}")
    yield Check("packages", True, ", ".join(f"{n} {v}" for n, v in versions().items()))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Check("devices", True, ", ".join([f"CPU with {cores} cores", *cuda]))
    for extra, (module, gives) in EXTRAS.items():
        there = find_spec(module) is not None
        fix = "" if there else f"pip install 'grpo-cli[{extra}]'"
        yield Check(f"extra {extra}", True if there else None, gives, fix)
    yield _rendering()


def environment(source: EnvSource) -> Iterator[Check]:
    """Look at an environment: Gymnasium's checker, starts, determinism, snapshots, speed."""
    yield _checker(source)
    yield _one("only finite numbers", lambda: _not_finite(source), "return numbers, not nan or inf")
    yield _one("same seed, same start", lambda: _starts(source))
    yield _one("same actions, same episode", lambda: _episodes(source, used=False))
    yield _after_others(source)
    yield _snapshots(source)
    yield _films(source)
    for name in ("sync", "native", "envpool", "async"):
        yield _speed(source, name)


def _rendering() -> Check:
    fix = "pip install 'gymnasium[classic-control]'; without a display set SDL_VIDEODRIVER=dummy"
    draw_in_memory()
    choose_opengl()  # for the environment that may be looked at next
    try:
        env = gym.make("CartPole-v1", render_mode="rgb_array")
        env.reset(seed=0)
        frame: Any = env.render()
        env.close()
    except Exception as error:
        return Check("rendering", None, f"{type(error).__name__}: {error}", fix)
    return Check("rendering", True, f"frames of {frame.shape[1]} x {frame.shape[0]}")


def _checker(source: EnvSource) -> Check:
    name = "Gymnasium's checker"
    env = source.make()
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            check_env(env.unwrapped, skip_render_check=True)
    except Exception as error:
        return Check(name, False, " ".join(str(error).split()), "mend the environment")
    finally:
        env.close()
    said = list(dict.fromkeys(str(w.message).partition("WARN:")[2].strip() for w in heard))
    said = [line for line in said if line]
    if said:
        return Check(name, None, f"passed with {len(said)} remarks, the first: {said[0]}")
    return Check(name, True, "passed")


def _one(name: str, difference: Callable[[], str], fix: str = REPEAT) -> Check:
    """Run a comparison that returns what is wrong, empty where nothing is."""
    try:
        found = difference()
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}", "mend the environment")
    return Check(name, not found, found or "yes", fix if found else "")


def _after_others(source: EnvSource) -> Check:
    found = _one("the same after other episodes", lambda: _episodes(source, used=True))
    if found.ok:
        return replace(found, says="yes, made anew for each") if source.fresh else found
    return replace(found, fix=f"{found.fix}; or set env.fresh=always")


def _starts(source: EnvSource) -> str:
    env, other = source.make(), source.make()
    try:
        for seed in SEEDS:
            first = env.reset(seed=seed)[0]
            if not same(first, env.reset(seed=seed)[0]):
                return f"two resets with seed {seed} differ"
            if not same(first, other.reset(seed=seed)[0]):
                return f"a reset of a new environment with seed {seed} differs"
        return ""
    finally:
        env.close()
        other.close()


def _not_finite(source: EnvSource) -> str:
    """Play random actions, and say what is no number."""
    env, rows = source.make(), Observations(source.observation_space)
    try:
        source.action_space.seed(0)
        actions = [source.action_space.sample() for _ in range(STEPS)]
        for seed in SEEDS:
            for step, (obs, *paid) in enumerate(_steps(env, seed, actions)):
                if not np.isfinite(flat(tensors(rows.stack([obs]))).numpy()).all():
                    return f"seed {seed}, step {step}: observation is not finite"
                if paid and not np.isfinite(paid[0]):
                    return f"seed {seed}, step {step}: reward is not finite"
        return ""
    finally:
        env.close()


def _episodes(source: EnvSource, used: bool) -> str:
    """Play the same actions in two environments; `used`: one has played other episodes before."""
    env, other = source.make(), source.make()
    try:
        source.action_space.seed(0)
        actions = [source.action_space.sample() for _ in range(STEPS)]
        for seed in SEEDS:
            if used:
                list(_steps(other, seed + 100, actions))
            pairs = zip(_steps(env, seed, actions), _steps(other, seed, actions), strict=False)
            for step, (one, two) in enumerate(pairs):
                if not same(one, two):
                    return f"seed {seed}, step {step}: {_what(one, two)} differs"
            if not used:
                env.close()
                other.close()
                env, other = source.make(), source.make()
        return ""
    finally:
        env.close()
        other.close()


def _steps(env: gym.Env, seed: int, actions: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    yield (env.reset(seed=seed)[0],)
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        yield obs, float(reward), bool(terminated), bool(truncated)
        if terminated or truncated:
            return


def _what(one: tuple[Any, ...], two: tuple[Any, ...]) -> str:
    names = ("observation", "reward", "terminated", "truncated")
    return next(name for name, a, b in zip(names, one, two, strict=False) if not same(a, b))


def _snapshots(source: EnvSource) -> Check:
    """Prove that the environment can go back to a state, which only look-aheads need."""
    name = "going back to a state"
    try:
        simulator, why = make_simulator(source, 2)
    except GrpoError as error:
        return Check(name, None, error.what, error.fix)
    simulator.close()
    return Check(name, True, f"{simulator.name}: {why}")


def _films(source: EnvSource) -> Check:
    """Draw one frame, as `grpo eval video=` does."""
    try:
        height, width = video.check_renders(source).shape[:2]
    except GrpoError as error:
        return Check("films", None, error.what, error.fix)
    return Check("films", True, f"frames of {width} x {height}")


def _speed(source: EnvSource, name: str) -> Check:
    """Measure random steps, members that end starting anew."""
    label = f"backend {name}"
    try:
        backend, _ = make_backend(name, source, MEMBERS)
    except GrpoError as error:
        return Check(label, None, error.what, error.fix)
    try:
        step_s, _ = stepping(backend, source.action_space, np.arange(MEMBERS), MEASURE_S)
        return Check(label, True, f"{1 / step_s:,.0f} steps/s with {MEMBERS} members")
    except GrpoError as error:
        return Check(label, False, error.what, error.fix)
    finally:
        backend.close()

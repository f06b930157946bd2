"""Whether an environment may be used for one episode after the other, or is made anew for each.

Members of a group start alike and a resumed run goes on bit for bit only where an episode depends
on nothing but its seed and its actions, not on the episodes played before in the same object.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from grpo_cli.envs.source import EnvSource
from grpo_cli.observations import Observations

KEEPS = ("gymnasium.envs.box2d.bipedal_walker",)
"""Modules of environments known to keep something over a reset that a short probe cannot see.

BipedalWalker makes its physics world once, where LunarLander makes one for every episode
(Gymnasium's bug #728); episodes part after some fifty steps, and not all of them.
"""
STEPS = 8  # of each episode of the probe; a step of CarRacing takes 20 ms
SEED = 7


def settled(source: EnvSource, fresh: str = "auto", probe: bool = True) -> tuple[EnvSource, bool]:
    """Decide whether an environment is made anew for every episode.

    Args:
        source: the environment.
        fresh: `always`, `never`, or `auto`: where a used one is known or found to differ. Two
            short episodes are played to find out.
        probe: play them; not where environments are kept in processes of their own, for one that
            hangs or dies would do it here.

    Returns:
        The environment so decided, and whether it repeats an episode from its seed. Where even a
        new one does not, nothing here can mend it.

    Raises:
        EnvError: the constructor raised.
    """
    if fresh != "auto":
        return replace(source, fresh=fresh == "always"), True
    with closing(source.make()) as env:
        if any(cls.__module__ in KEEPS for cls in type(env.unwrapped).__mro__):
            return replace(source, fresh=True), True
        if not probe:
            return source, True
        source.action_space.seed(SEED)
        actions = [source.action_space.sample() for _ in range(STEPS)]
        try:
            rows = Observations(source.observation_space)
            _told(env, rows, SEED + 1, actions)
            used = _told(env, rows, SEED, actions)
            new = _in_a_new_one(source, rows, actions)
            if used == new:
                return source, True
            if new == _in_a_new_one(source, rows, actions):
                return replace(source, fresh=True), True
        except Exception:  # training meets the same, and says where it was
            return source, True
    return source, False


def _in_a_new_one(source: EnvSource, rows: Observations, actions: Sequence[Any]) -> list[Any]:
    with closing(source.make()) as env:
        return _told(env, rows, SEED, actions)


def _told(env: gym.Env, rows: Observations, seed: int, actions: Sequence[Any]) -> list[Any]:
    """Play an episode; returns all that an agent is told, numbers as bytes: nan equals nan."""
    told: list[Any] = [rows.stack([env.reset(seed=seed)[0]]).tobytes()]
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        told += [rows.stack([obs]).tobytes(), np.float64(reward).tobytes()]
        told += [bool(terminated), bool(truncated)]
        if terminated or truncated:
            break
    return told

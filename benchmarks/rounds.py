"""What does a round of acting and stepping cost, docs/adr/0014?

    python benchmarks/rounds.py

One core, poles that never fall, the fastest of 20 turns; printed.
"""

import os
import time
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `grpo` does, before NumPy is loaded

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from grpo_cli.config import build
from grpo_cli.config.build_env import build_env
from grpo_cli.config.compose import compose
from grpo_cli.envs.native import NativeCartPole
from grpo_cli.groups import episodes

TURNS, LENGTH = 20, 500


def steady() -> gym.Env:
    """Make a CartPole that never falls."""
    env = gym.make("CartPole-v1", disable_env_checker=True)
    core = env.unwrapped
    assert isinstance(core, CartPoleEnv)
    core.x_threshold = core.theta_threshold_radians = float("inf")
    return env


def fastest(do: Callable[[], object], times: int) -> float:
    """Return microseconds of one in so many, of the fastest turn."""
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        for _ in range(times):
            do()
        turns.append((time.perf_counter() - began) / times)
    return min(turns) * 1e6


def measure(members: int) -> dict[str, float]:
    """Return microseconds of the environment's step, of narrowing it to fewer, and of a round."""
    words = build.plain(compose(["env=CartPole-v1"]))
    source = build_env(words)
    policy = build.build_policy(words, source, torch.device("cpu"))
    everyone, still = np.arange(members), np.zeros(members, dtype=np.int64)
    stepped, played = (NativeCartPole(steady, members, n) for n in (10**9, LENGTH))
    stepped.reset(everyone)
    states = stepped.save(everyone)
    mode = episodes(played, source.codec, 1, members, 0, same_start=False)
    return {
        "step": fastest(lambda: stepped.step(everyone, still), 200),
        "narrow": fastest(lambda: stepped.restore(everyone, states), 200),
        "round": fastest(lambda: mode.sample(policy, 0), 1) / LENGTH,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for members in (8, 256):
        print(members, {name: round(us, 1) for name, us in measure(members).items()})

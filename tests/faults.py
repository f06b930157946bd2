"""An environment that breaks on demand, for the tests of what happens then.

What breaks, and at which step of which process, stands in the environment variable FAULT:
`hang:37` hangs in the 37th step that a process makes. With FAULT_ONCE, a path, it happens once: the
first to make that file breaks.
"""

import os
import signal
import time

import gymnasium as gym
import numpy as np

STEPS = [0]


def faulty(how, obs, reward):
    if how == "raise":
        raise RuntimeError("a fuse has blown")
    if how == "exit":
        os._exit(3)
    if how == "hang":
        time.sleep(600)
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    reward = {"nan": float("nan"), "none": None, "text": "much"}.get(how, reward)
    return {"nan_obs": obs * np.float32("nan"), "shape": obs[:1], "far": obs + 1000}.get(
        how, obs
    ), reward


def is_due():
    how, _, step = os.environ.get("FAULT", ":0").partition(":")
    if STEPS[0] != int(step):
        return ""
    once = os.environ.get("FAULT_ONCE")
    try:
        return how if once is None or os.open(once, os.O_CREAT | os.O_EXCL) else ""
    except FileExistsError:
        return ""


class Faulty(gym.Env):
    """Push a drifting point towards 0; episodes of 5 to 12 steps, noise of its own."""

    observation_space = gym.spaces.Box(-100, 100, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        self.left = int(self.np_random.integers(5, 13))
        return self.place, {}

    def step(self, action):
        STEPS[0] += 1
        push = 0.2 * float(action[0] if np.ndim(action) else action) - 0.1
        noise = self.np_random.normal(0, 0.05, 2)
        self.place = (self.place + push + noise).astype(np.float32)
        self.left -= 1
        reward = -float(np.abs(self.place).sum())
        obs, reward = faulty(is_due(), self.place, reward)
        return obs, reward, self.left == 0, False, {}


class FaultyBox(Faulty):
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)


class Leaky(Faulty):
    """Pays nan in some states, whoever comes there and whenever."""

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, float("nan") if abs(obs[0] - 0.5) < 0.01 else reward, *rest

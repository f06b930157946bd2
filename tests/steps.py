"""Small environments of known dynamics, for look-aheads and simulators."""

import gymnasium as gym
import numpy as np

from grpo_cli.envs import EnvSource, open_env


class Count(gym.Env):
    """Pays its action, 0 to 2, and shows how much was paid and how many steps are done."""

    observation_space = gym.spaces.Box(0, 100, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def __init__(self, length=6):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.paid, self.steps = 0, 0
        return self._obs(), {}

    def step(self, action):
        self.paid, self.steps = self.paid + int(action), self.steps + 1
        return self._obs(), float(action), self.steps >= self.length, False, {}

    def _obs(self):
        return np.array([self.paid, self.steps], np.float32)


class Purse:
    """State that hides in an object."""

    paid = 0


class Hidden(Count):
    """The same, its state in an object of its own."""

    def reset(self, *, seed=None, options=None):
        self.purse = Purse()
        return super().reset(seed=seed)

    def step(self, action):
        self.purse.paid += int(action)
        obs, _, terminated, truncated, info = super().step(action)
        return obs, float(self.purse.paid), terminated, truncated, info


class Liar(Hidden):
    """The same, and a copy of it begins anew without a word, as EzPickle's does."""

    def __deepcopy__(self, memo):
        copy = type(self)(self.length)
        copy.reset(seed=0)
        return copy


class Wild(Liar):
    """Nothing of it can be had again: noise from outside."""

    def step(self, action):
        obs, _, terminated, truncated, info = super().step(action)
        return obs, float(np.random.default_rng().random()), terminated, truncated, info


def source(kind=Count, **changes) -> EnvSource:
    """Open one of them."""
    return open_env(kind.__name__, own_class=kind, max_steps=50, **changes)

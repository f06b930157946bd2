"""An environment whose observations and actions are nested, for the tests of exported files."""

NESTED = """
import gymnasium as gym
import numpy as np
from gymnasium import spaces

class Nested(gym.Env):
    observation_space = spaces.Dict(
        {"a": spaces.Box(-1, 1, (3,), np.float32), "b": spaces.Tuple((spaces.Discrete(3),))}
    )
    action_space = spaces.Dict(
        {
            "go": spaces.Discrete(3),
            "how": spaces.Tuple((spaces.Box(-2, 1, (2,), np.float32), spaces.MultiBinary(2))),
        }
    )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.look(), {}

    def look(self):
        a = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return {"a": a, "b": (int(self.np_random.integers(3)),)}

    def step(self, action):
        assert self.action_space.contains(action), action
        return self.look(), float(action["how"][0].sum()), False, False, {}
"""

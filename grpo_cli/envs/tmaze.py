"""`grpo/TMaze-v0`: a corridor whose first step tells what its last one needs."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

NORTH, EAST, SOUTH, WEST = range(4)
# What is seen: at the start by the arm that pays, on the way, at the junction.
START = {NORTH: (0, 1, 1), SOUTH: (1, 1, 0)}
CORRIDOR, JUNCTION = (1, 0, 1), (0, 1, 0)


class TMaze(gym.Env):
    """Walk east to the junction, then turn to the arm that the start named.

    Source: Bakker 2001, "Reinforcement learning with long short-term memory", section 4: the same
    observations and moves. He pays 4, and -.1 for the wrong arm and for standing still; here the
    right arm pays 1 and nothing else does, so that a mean return is a share of episodes, and .5 is
    what the best policy without a memory gets.

    Args:
        length: steps from the start to the junction.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, length: int = 10) -> None:
        self.length = length
        self.goal, self.place = NORTH, 0
        self.observation_space = gym.spaces.MultiBinary(3)
        self.action_space = gym.spaces.Discrete(4)

    def _seen(self) -> NDArray[np.int8]:
        if self.place == self.length:
            return np.array(JUNCTION, np.int8)
        return np.array(CORRIDOR if self.place else START[self.goal], np.int8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray, dict[str, Any]]:
        """Draw the arm that pays, and stand at the start."""
        super().reset(seed=seed, options=options)
        self.goal, self.place = (NORTH, SOUTH)[self.np_random.integers(2)], 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[NDArray, float, bool, bool, dict[str, Any]]:
        """Move; a move into a wall stands still, and an arm ends the episode."""
        if self.place == self.length and action in (NORTH, SOUTH):
            right = bool(action == self.goal)
            return self._seen(), float(right), True, False, {"is_success": right}
        self.place += int(action == EAST) - int(action == WEST)
        self.place = min(max(self.place, 0), self.length)
        return self._seen(), 0.0, False, False, {}


gym.register(
    "grpo/TMaze-v0",
    entry_point=f"{__name__}:TMaze",
    max_episode_steps=100,
    reward_threshold=0.95,
)

"""`grpo/Catch-v0`: the smallest game from pixels."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

SIDE = 10  # pixels


class Catch(gym.Env):
    """A ball falls one row a step; be under it when it arrives.

    Source: Mnih et al. 2014, "Recurrent models of visual attention" (arXiv:1406.6247), 4.2; also in
    bsuite (Osband et al. 2020, arXiv:1908.03568). Moves are left, stay, right; the last step pays 1
    or -1.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self) -> None:
        self.row = self.column = self.paddle = 0
        self.observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE, 1), np.uint8)
        self.action_space = gym.spaces.Discrete(3)

    def _seen(self) -> NDArray[np.uint8]:
        image = np.zeros((SIDE, SIDE, 1), np.uint8)
        image[self.row, self.column] = image[-1, self.paddle] = 255
        return image

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray, dict[str, Any]]:
        """Let a ball go from somewhere in the top row; the paddle stands in the middle."""
        super().reset(seed=seed, options=options)
        self.row, self.column, self.paddle = 0, int(self.np_random.integers(SIDE)), SIDE // 2
        return self._seen(), {}

    def step(self, action: int) -> tuple[NDArray, float, bool, bool, dict[str, Any]]:
        """Move the paddle by action - 1, and the ball down."""
        self.paddle = min(max(self.paddle + int(action) - 1, 0), SIDE - 1)
        self.row += 1
        if self.row < SIDE - 1:
            return self._seen(), 0.0, False, False, {}
        caught = self.paddle == self.column
        return self._seen(), 1.0 if caught else -1.0, True, False, {"is_success": caught}


gym.register(
    "grpo/Catch-v0",
    entry_point=f"{__name__}:Catch",
    max_episode_steps=SIDE - 1,
    reward_threshold=0.95,
)

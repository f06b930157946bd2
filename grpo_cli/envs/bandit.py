"""`grpo/DynamicBandit-v0`: a bandit whose payouts change, to watch a policy follow."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

PAYOUTS = (
    (0.4, 0.4, 0.4, 0.4, 0.4),
    (0.1, 0.2, 0.0, 0.8, 0.3),
    (0.4, 0.4, 0.4, 0.4, 0.4),
    (0.7, 0.1, 0.3, 0.2, 0.0),
)


class DynamicBandit(gym.Env):
    """Five arms with fixed payouts, one pull an episode; every `phase` episodes they change.

    Source: CarlosArguilar/GRPO, `examples/grpo_dynamic_bandit_demo.ipynb`. There is nothing to
    see but a constant. The clock belongs to the environment object and counts its own episodes,
    so a new object starts in the first phase.

    Args:
        phase: episodes until the payouts change.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, phase: int = 20) -> None:
        self.phase = phase
        self.episodes = 0
        self.observation_space = gym.spaces.Box(1.0, 1.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(len(PAYOUTS[0]))

    @property
    def payouts(self) -> tuple[float, ...]:
        """What each arm pays in this episode."""
        return PAYOUTS[max(self.episodes - 1, 0) // self.phase % len(PAYOUTS)]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray, dict[str, Any]]:
        """Begin the next episode; the observation is always [1]."""
        super().reset(seed=seed, options=options)
        self.episodes += 1
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> tuple[NDArray, float, bool, bool, dict[str, Any]]:
        """Pull an arm; a success is one that no other arm beats."""
        payout = self.payouts[action]
        best = payout == max(self.payouts)
        return np.ones(1, np.float32), payout, True, False, {"is_success": best}


gym.register("grpo/DynamicBandit-v0", entry_point=f"{__name__}:DynamicBandit", max_episode_steps=1)

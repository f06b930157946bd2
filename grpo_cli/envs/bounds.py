"""Observations that leave the bounds their space declares: many real environments do, now and then.

Nothing here depends on the bounds, so it is worth a word and no more.
"""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from torch import Tensor

from grpo_cli.rollout import Rollout


class Bounds:
    """Looks through rollouts until one leaves the bounds, and says so once.

    Args:
        space: of the observations, as declared; a Box, others are not looked at.
        warn: says one line.
    """

    def __init__(self, space: spaces.Space, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._space: spaces.Box | None = None
        # Whole numbers were cast to the declared type, which most often they may fill.
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            self._space = space if np.isfinite([space.low, space.high]).any() else None

    def __call__(self, rollout: Rollout) -> Rollout:
        """Return the rollout as it is."""
        if self._space is not None and isinstance(rollout.obs, Tensor):
            said = _outside(self._space, rollout.obs)
            if said:
                self._space = None
                self._warn(said)
        return rollout


def _outside(space: spaces.Box, obs: Tensor) -> str:
    """Say in words where observations are outside; empty where they are not."""
    low, high = obs.amin(0).numpy(), obs.amax(0).numpy()
    beyond = np.argwhere(
        (low < space.low - _slack(space.low)) | (high > space.high + _slack(space.high))
    )
    if not len(beyond):
        return ""
    place = tuple(int(number) for number in beyond[0])
    return (
        f"the environment declares observations from {space.low[place]:g} to {space.high[place]:g} "
        f"at {list(place)} and returned {low[place]:g} to {high[place]:g}; where they are very "
        "large, policy.normalise=true keeps them from hurting"
    )


def _slack(bound: np.ndarray) -> np.ndarray:
    """Return what rounding may add to a bound that is reached."""
    return 1e-5 * np.maximum(1.0, np.abs(bound))

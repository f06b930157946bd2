"""Reward scaling: what rewards look like before they are compared.

Each function maps the rewards of one population to the same shape; the caller decides whether the
population is a group or the whole batch. `check` warns when a scaling changes who is better.
"""

import numpy as np

from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.ranks import Moments
from grpo_cli.returns import returns_to_go
from grpo_cli.rollout import Floats, Ints, Rollout

__all__ = ["clip", "max_abs", "none", "rank", "running_std", "sign", "tanh", "zscore"]


def none(reward: Floats) -> Floats:
    """Leave rewards as they are."""
    return reward


def clip(reward: Floats, *, low: float = -1.0, high: float = 1.0) -> Floats:
    """Clip rewards to [low, high], in the unit of the reward.

    Raises:
        ConfigError: the bounds are in the wrong order.
    """
    if low >= high:
        raise ConfigError(
            f"reward_scaling.low={low} is not below reward_scaling.high={high}",
            "give a lower bound below the upper bound",
        )
    return np.clip(reward, low, high)


def sign(reward: Floats) -> Floats:
    """Keep only the sign of a reward (Mnih et al. 2013, arXiv:1312.5602, section 5)."""
    return np.sign(reward)


def tanh(reward: Floats, *, eps: float = 1e-8) -> Floats:
    """Squash z-scores with tanh: the default scaling of the sb3-contrib GRPO document."""
    return np.tanh(zscore(reward, eps=eps))


def max_abs(reward: Floats, *, eps: float = 1e-8) -> Floats:
    """Divide by the largest magnitude, so that rewards lie in [-1, 1]."""
    return reward / (np.abs(reward).max(initial=0.0) + eps)


def zscore(reward: Floats, *, eps: float = 1e-8) -> Floats:
    """Subtract the population's mean and divide by its standard deviation."""
    return (reward - reward.mean()) / (reward.std() + eps)


def rank(reward: Floats) -> Floats:
    """Replace rewards by their average rank, from -1 (worst) to 1 (best); all equal gives 0."""
    if len(reward) < 2:
        return np.zeros_like(reward)
    ordered, place, count = np.unique(reward, return_inverse=True, return_counts=True)
    if len(ordered) == 1:
        return np.zeros_like(reward)
    average = np.cumsum(count) - (count - 1) / 2 - 1
    return 2.0 * average[place] / (len(reward) - 1) - 1.0


class running_std:  # noqa: N801 - a reward scaling is called by its config name
    """Divide by the running standard deviation of the return-to-go, without moving the mean.

    Source: Engstrom et al. 2020 (arXiv:2005.12729), section 3, reward scaling.

    Args:
        gamma: discount of the return whose spread is followed, in [0, 1].
        eps: added to the standard deviation, in the unit of the reward.
        limit: scaled rewards are clipped to [-limit, limit].
    """

    def __init__(self, *, gamma: float = 0.99, eps: float = 1e-8, limit: float = 10.0) -> None:
        self.gamma = gamma
        self.eps = eps
        self.limit = limit
        self._count = 0.0
        self._mean = 0.0
        self._sum_squares = 0.0

    def __call__(self, reward: Floats, rollout: Rollout) -> Floats:
        """Take the batch into the running moments, then scale it."""
        value = returns_to_go(reward, rollout.member, self.gamma)
        self._add(*rollout.ranks.moments(value))
        std = np.sqrt(self._sum_squares / self._count)
        return np.clip(reward / (std + self.eps), -self.limit, self.limit)

    def _add(self, seen: Moments) -> None:
        """Chan et al.'s pooled update of count, mean and sum of squared deviations."""
        count, mean = seen.count, float(seen.mean)
        total = self._count + count
        gap = mean - self._mean
        self._sum_squares += float(seen.squares)
        self._sum_squares += gap**2 * self._count * count / total
        self._mean += gap * count / total
        self._count = total

    def moments(self) -> tuple[float, float, float]:
        """Return (count, mean, sum of squared deviations) of the returns seen."""
        return self._count, self._mean, self._sum_squares

    def state(self) -> dict[str, float]:
        """Return what a checkpoint must hold."""
        return {"count": self._count, "mean": self._mean, "sum_squares": self._sum_squares}

    def load(self, state: dict[str, float]) -> None:
        """Take back what `state` returned."""
        self._count = state["count"]
        self._mean = state["mean"]
        self._sum_squares = state["sum_squares"]


ELEMENTWISE = (none, clip, sign)
"""Scalings of each reward alone: the rest of the batch makes no difference."""


def by_population(scaling: object, reward_N: Floats, population_N: Ints) -> Floats:
    """Apply a scaling to each population on its own, [N] -> [N]."""
    scaled_N = np.empty_like(reward_N)
    for number in np.unique(population_N):
        rows = population_N == number
        scaled_N[rows] = checked(scaling, reward_N[rows])  # type: ignore[arg-type]
    return scaled_N


def checked(scaling: object, reward_N: Floats, **given: Rollout) -> Floats:
    """Call a scaling and refuse what cannot be learned from.

    Raises:
        ConfigError: the result has another shape.
        NonFinite: the result holds nan or inf.
    """
    name = getattr(scaling, "__name__", type(scaling).__name__)
    scaled = np.asarray(scaling(reward_N, **given), dtype=np.float64)  # type: ignore[operator]
    if scaled.shape != reward_N.shape:
        raise ConfigError(
            f"reward scaling {name} returned shape {scaled.shape} for {reward_N.shape} rewards",
            "return one scaled reward for each reward",
        )
    if not np.isfinite(scaled).all():
        raise NonFinite(
            f"reward scaling {name} returned nan or inf",
            "guard its division, for example by adding a small eps to the divisor",
        )
    return scaled


def distortion(before_M: Floats, after_M: Floats) -> str | None:
    """Say in words how a scaling distorts member returns, or None when it does not.

    Args:
        before_M: member returns from raw rewards, [M].
        after_M: member returns from scaled rewards, [M].

    Returns:
        A sentence when their rank correlation is under .5, or the ratio of their standard
        deviations outside [1e-3, 1e3].
    """
    if np.ptp(before_M) == 0:
        return None
    if np.ptp(after_M) == 0:
        return "makes the returns of all members equal: nothing is left to compare"
    correlation = float(np.corrcoef(rank(before_M), rank(after_M))[0, 1])  # Spearman's
    if correlation < 0.5:
        return f"changes who is better: rank correlation of member returns {correlation:.2f}"
    ratio = float(after_M.std() / before_M.std())
    if not 1e-3 <= ratio <= 1e3:
        return f"changes the spread of member returns by a factor of {ratio:.1e}"
    return None

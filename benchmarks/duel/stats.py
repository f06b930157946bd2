"""Summaries over seeds; intervals by stratified bootstrap (Agarwal et al. 2021, 2108.13264)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import trim_mean

RESAMPLES = 10_000
LEVEL = 0.95
Values = Sequence[float] | np.ndarray


def iqm(values: Values) -> np.ndarray:
    """Return the mean of the middle half, along the last axis."""
    return trim_mean(np.asarray(values, float), 0.25, axis=-1)


def interval(
    samples: Sequence[Values], of: Callable[..., np.ndarray], seed: int = 0
) -> tuple[float, float]:
    """Return the middle 95 % of a statistic of several samples, each resampled within itself.

    Args:
        samples: one for each stratum.
        of: `f(*resampled) -> [RESAMPLES]`, of arrays of shape [RESAMPLES, size of the sample].
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(sample, float) for sample in samples]
    drawn = of(*(array[rng.integers(len(array), size=(RESAMPLES, len(array)))] for array in arrays))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def median_time(times: Sequence[float | None]) -> float:
    """Return the median of times; a run that never solves took for ever."""
    return float(np.median([np.inf if time is None else time for time in times]))


def verdict(ours: Values, theirs: Values, random: float, margin: float = 0.05) -> tuple[str, float]:
    """Say whether we are no worse than they are, by more than the margin.

    Args:
        ours: final returns, one for each seed.
        theirs: the same of the other side.
        random: return of a random policy.
        margin: in units of (their mean - random).

    Returns:
        `non-inferior`, `inferior` or `undecided`, and the lower end of the interval of the
        difference of means, in those units.
    """
    unit = float(np.mean(theirs)) - random
    if min(len(ours), len(theirs)) < 5 or unit <= 0:
        return "undecided", float("nan")
    difference = interval([ours, theirs], lambda a, b: (a.mean(-1) - b.mean(-1)) / unit)
    if difference[0] > -margin:
        return "non-inferior", difference[0]
    return ("inferior" if difference[1] < -margin else "undecided"), difference[0]

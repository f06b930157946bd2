"""Statistics of scores: interquartile mean and bootstrap intervals.

Both are a few lines of NumPy because importing scipy.stats takes longer than evaluating a policy;
the tests hold them to SciPy's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from grpo_cli.rollout import Floats

RESAMPLES = 2000
LEVEL = 0.95
Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Summary:
    """A sample of scores in numbers, all in the unit of the score."""

    count: int
    mean: float
    ci_low: float  # 95 % bootstrap interval of the mean
    ci_high: float
    std: float
    median: float
    iqm: float  # mean of the middle half


def summarise(score_E: "Floats", generator: np.random.Generator) -> Summary:
    """Summarise scores, [E], E >= 1.

    Source: Agarwal et al. 2021 (arXiv:2108.13264) for the interquartile mean; the interval is the
    percentile bootstrap with 2,000 resamples.
    """
    resampled = generator.choice(score_E, size=(RESAMPLES, len(score_E))).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Summary(
        count=len(score_E),
        mean=float(score_E.mean()),
        ci_low=float(low),
        ci_high=float(high),
        std=float(score_E.std()),
        median=float(np.median(score_E)),
        iqm=float(iqm(score_E)),
    )


def iqm(values: Values, axis: int = -1) -> np.ndarray:
    """Return the interquartile mean along an axis: that of the middle half."""
    ordered = np.sort(np.asarray(values, float), axis=axis)
    count = ordered.shape[axis]
    cut = count // 4
    return ordered.take(np.arange(cut, count - cut), axis=axis).mean(axis=axis)


def interval(
    samples: Sequence[Values], of: Callable[..., np.ndarray], seed: int = 0, resamples: int = 10_000
) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle 95 % of a statistic of several samples, each resampled within itself.

    Source: stratified percentile bootstrap, Agarwal et al. 2021 (arXiv:2108.13264).

    Args:
        samples: one for each stratum, [size, ...]; the first axis is resampled.
        of: `f(*resampled) -> [resamples, ...]`, of arrays of shape [resamples, size, ...].
        seed: of the resampling.
        resamples: how many.

    Returns:
        Lower and upper end, [...].
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(sample, float) for sample in samples]
    drawn = of(*(array[rng.integers(len(array), size=(resamples, len(array)))] for array in arrays))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def improvement(a: Values, b: Values) -> np.ndarray:
    """Return the probability that a run of `b` is better than one of `a`, ties counted half.

    Source: Agarwal et al. 2021 (arXiv:2108.13264), probability of improvement (Mann-Whitney).

    Args:
        a: scores, [..., n].
        b: scores, [..., m].
    """
    first, second = np.asarray(a, float)[..., :, None], np.asarray(b, float)[..., None, :]
    return ((second > first) + 0.5 * (second == first)).mean(axis=(-2, -1))

"""Statistics of scores: interquartile mean and bootstrap intervals.

Both are a few lines of NumPy because importing scipy.stats takes longer than evaluating a policy;
the tests hold them to SciPy's.
"""

from dataclasses import dataclass

import numpy as np

from grpo_cli.rollout import Floats

RESAMPLES = 2000


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


def summarise(score_E: Floats, generator: np.random.Generator) -> Summary:
    """Summarise scores, [E], E >= 1.

    Source: Agarwal et al. 2021 (arXiv:2108.13264) for the interquartile mean; the interval is the
    percentile bootstrap with 2,000 resamples.
    """
    resampled = generator.choice(score_E, size=(RESAMPLES, len(score_E))).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    cut = len(score_E) // 4
    return Summary(
        count=len(score_E),
        mean=float(score_E.mean()),
        ci_low=float(low),
        ci_high=float(high),
        std=float(score_E.std()),
        median=float(np.median(score_E)),
        iqm=float(np.sort(score_E)[cut : len(score_E) - cut].mean()),
    )

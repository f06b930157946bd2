"""What the page says of seeds, on the statistics of the package."""

from collections.abc import Sequence

import numpy as np

from grpo_cli.statistics import Values, interval, iqm

__all__ = ["interval", "iqm", "median_time", "verdict"]


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
    low, high = interval([ours, theirs], lambda a, b: (a.mean(-1) - b.mean(-1)) / unit)
    if low > -margin:
        return "non-inferior", float(low)
    return ("inferior" if high < -margin else "undecided"), float(low)

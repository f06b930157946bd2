"""Curves of runs: read from `metrics.jsonl`, put on common steps, summarised over seeds."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from grpo_cli import manifest
from grpo_cli.runs.facts import Run
from grpo_cli.statistics import interval, iqm

RETURN = "rollout/ep_rew_mean"
# Lines that are read of a long file, evenly spaced; those with an evaluation are always read.
MOST_LINES = 2_000
POINTS = 100  # of a curve over seeds
# Enough for the eye; a table takes 10,000.
RESAMPLES = 2_000
STATISTICS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "iqm": iqm}


@dataclass
class Series:
    """Points of one metric of one run, in the order of their steps."""

    x: list[float] = field(default_factory=list)  # env steps
    y: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Band:
    """A curve over seeds.

    Attributes:
        x: env steps, [P].
        y: mean or IQM over the runs, [P].
        low: lower end of the 95 % bootstrap interval over runs, [P]; that of y where there is one.
        high: the upper end, [P].
        runs: how many.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def series(run: Run, most: int = MOST_LINES) -> dict[str, Series]:
    """Read every metric of a run; empty where there is none."""
    try:
        lines = manifest.read_file(run.folder.path / "metrics.jsonl").splitlines()
    except OSError:
        return {}
    found: dict[str, Series] = {}
    for line in _thinned(lines, most):
        try:
            numbers = json.loads(line)
            step = float(numbers.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line that is being written
        for name, value in numbers.items():
            if isinstance(value, int | float) and math.isfinite(value):
                of = found.setdefault(name, Series())
                of.x.append(step)
                of.y.append(value)
    return found


def ends(run: Run, metric: str = RETURN, share: float = 0.1) -> float | None:
    """Return the mean of a metric over the last part of a run; None where it has none."""
    of = series(run).get(metric)
    if of is None:
        return None
    late = [y for x, y in zip(of.x, of.y, strict=True) if x >= (1 - share) * of.x[-1]]
    return float(np.mean(late))


def bands(
    groups: dict[str, list[Series]], statistic: str = "mean", points: int = POINTS
) -> dict[str, Band]:
    """Summarise each group's runs at common steps.

    A run that ended before the longest of its group, because it had reached its goal, keeps its
    last value: to leave it out would leave the bad ones behind.

    Args:
        groups: by label, a series for each run; none is empty.
        statistic: mean or iqm.
        points: of each curve.
    """
    return {label: _band(group, STATISTICS[statistic], points) for label, group in groups.items()}


def _band(group: Sequence[Series], of: Callable[..., np.ndarray], points: int) -> Band:
    start = min(one.x[0] for one in group)
    end = max(one.x[-1] for one in group)
    longest = max(len(one.x) for one in group)
    x = np.linspace(start, end, max(2, min(points, longest)))
    y = np.stack([_at(one, x) for one in group])  # [R, P]
    middle = of(y, axis=0)
    low, high = middle, middle
    if len(y) > 1:
        low, high = interval([y], partial(of, axis=1), resamples=RESAMPLES)
    return Band(x, middle, low, high, len(y))


def _at(one: Series, x: np.ndarray) -> np.ndarray:
    """Mean of a series around each of the steps; interpolated where it has no point there."""
    from_x, from_y = np.asarray(one.x), np.asarray(one.y)
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
    cell = np.searchsorted(edges, from_x, side="right") - 1
    counts = np.bincount(cell, minlength=len(x))
    sums = np.bincount(cell, from_y, minlength=len(x))
    filled = counts > 0
    return np.interp(x, x[filled], sums[filled] / counts[filled])


def _thinned(lines: list[bytes], most: int) -> Iterable[bytes]:
    if len(lines) <= most:
        return lines
    kept = {round(i) for i in np.linspace(0, len(lines) - 1, most)}
    return [line for i, line in enumerate(lines) if i in kept or b'"eval/' in line]

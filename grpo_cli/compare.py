"""Two sides of runs: where their configs differ, and which of them is better, with what certainty.

A run's score is the worse of its greedy and sampled mean at the end, which is also what solving an
environment means. A seed counts once: several runs of it, which repeat each other, by their mean.
Seeds are compared with themselves where both sides have the same ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grpo_cli.errors import ConfigError
from grpo_cli.runs import Run, differences, ends, settings
from grpo_cli.statistics import difference, improvement, interval

# Intervals of fewer say next to nothing.
FEWEST_SEEDS = 5


@dataclass(frozen=True)
class Score:
    """Something that a run is measured by.

    Attributes:
        name: what it is.
        of: reads it of a run; None where it has none.
        more: whether more of it is better.
    """

    name: str
    of: Callable[[Run], float | None]
    more: bool = True


def worse(run: Run) -> float | None:
    """Return the worse of the two final means."""
    return None if run.greedy is None or run.sampled is None else min(run.greedy, run.sampled)


SCORES = (
    Score("score", worse),
    Score("greedy", lambda run: run.greedy),
    Score("sampled", lambda run: run.sampled),
    Score("return at the end", ends),
    Score("return, whole run", lambda run: ends(run, share=1.0)),
    Score("env steps", lambda run: None if worse(run) is None else run.env_steps, more=False),
)


def compare(a: Sequence[Run], b: Sequence[Run]) -> dict[str, Any]:
    """Compare two sides.

    Args:
        a: runs of the first side, one or more.
        b: runs of the second; of the same environment.

    Returns:
        JSON-ready: env, config (what differs: key -> [a, b], several values joined), seeds of both,
        whether they are paired, scores (for each: the means, the difference b - a with its 95 %
        interval, the probability that b is better, and of how many seeds), verdict.

    Raises:
        ConfigError: they are of different environments.
    """
    envs = {run.env for run in (*a, *b)}
    if len(envs) > 1:
        raise ConfigError(
            f"these runs are of {', '.join(sorted(envs))}", "compare runs of one environment"
        )
    seeds = [sorted({run.seed for run in side}) for side in (a, b)]
    paired = seeds[0] == seeds[1]
    scores = {score.name: _judged(score, a, b, paired) for score in SCORES}
    found = {name: score for name, score in scores.items() if score is not None}
    return {
        "env": envs.pop(),
        "runs": [[run.path for run in side] for side in (a, b)],
        "config": _config(a, b),
        "seeds": seeds,
        "paired": paired,
        "scores": found,
        "verdict": _without_score(a, b) or verdict(found, all(run.solved for run in (*a, *b))),
    }


def _judged(
    score: Score, a: Sequence[Run], b: Sequence[Run], paired: bool
) -> dict[str, Any] | None:
    first, second = (_of_seeds(score, side) for side in (a, b))
    if paired:  # a pair counts when both have ended
        both = [pair for pair in zip(first, second, strict=True) if None not in pair]
        first, second = (list(column) for column in zip(*both, strict=True)) if both else ([], [])
    x, y = (np.array([v for v in side if v is not None], float) for side in (first, second))
    if not len(x) or not len(y):
        return None
    if paired:
        chance = interval(
            [np.stack([x, y], axis=-1)], lambda pairs: improvement(pairs[..., 0], pairs[..., 1])
        )
    else:
        chance = interval([x, y], improvement)
    low, high = difference(x, y, paired)
    wins = float(improvement(x, y))
    chances = [float(end) for end in chance]
    if not score.more:
        wins, chances = 1 - wins, [1 - end for end in reversed(chances)]
    return {
        "a": float(x.mean()),
        "b": float(y.mean()),
        "difference": float(y.mean() - x.mean()),
        "ci_low": low,
        "ci_high": high,
        "improvement": wins,
        "improvement_ci": chances,
        "runs": [len(x), len(y)],
    }


def _without_score(a: Sequence[Run], b: Sequence[Run]) -> str:
    """Say which side has lost seeds: those that are left may be the lucky ones; empty: neither."""
    for name, side in (("A", a), ("B", b)):
        scores = _of_seeds(SCORES[0], side)
        lost = scores.count(None)
        if 0 < lost < len(scores):
            return f"undecided: {lost} of {len(scores)} seeds of {name} have no final score"
    return ""


def verdict(scores: dict[str, dict[str, Any]], solved: bool) -> str:
    """Say in words which side is better; `solved`: every run of both has reached its goal."""
    if "score" not in scores:
        return "undecided: no run of one side has ended, so there is no final score"
    found = scores["score"]
    fewest = min(found["runs"])
    if fewest < FEWEST_SEEDS:
        return f"undecided: {fewest} seeds decide nothing, {FEWEST_SEEDS} are the fewest that may"
    width = f"[{found['ci_low']:.4g}, {found['ci_high']:.4g}]"
    chance = f"a run of B beats one of A with probability {100 * found['improvement']:.0f} %"
    if found["ci_low"] > 0:
        return f"B is better by {found['difference']:.4g} {width}; {chance}"
    if found["ci_high"] < 0:
        return f"A is better by {-found['difference']:.4g}; B - A is in {width}; {chance}"
    return f"no difference seen: B - A is in {width}; {chance}{_sooner(scores) if solved else ''}"


def _sooner(scores: dict[str, dict[str, Any]]) -> str:
    """Say who needs fewer steps, where the scores do not tell them apart."""
    steps = scores.get("env steps")
    if steps is None or steps["ci_low"] <= 0 <= steps["ci_high"]:
        return ""
    side = "A" if steps["difference"] > 0 else "B"
    return f"; but {side} needs {abs(steps['difference']):,.0f} env steps fewer"


def _config(a: Sequence[Run], b: Sequence[Run]) -> dict[str, list[str]]:
    """Return the keys that differ between the sides, each side's values joined."""
    joined = []
    for side in (a, b):
        configs = [settings(run) for run in side]
        keys = dict.fromkeys(key for config in configs for key in config)
        joined.append({k: ", ".join(sorted({c.get(k, "-") for c in configs})) for k in keys})
    return differences(joined)


def _of_seeds(score: Score, runs: Sequence[Run]) -> list[float | None]:
    """Return each seed's score, in the order of the seeds: the mean over its runs that have one."""
    found = []
    for seed in sorted({run.seed for run in runs}):
        values = [score.of(run) for run in runs if run.seed == seed]
        known = [value for value in values if value is not None]
        found.append(float(np.mean(known)) if known else None)
    return found

"""What a trial is worth, from what its runs reached."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grpo_cli.sweep.plan import Plan

SCORES = ("eval_mean", "eval_iqm")
"""Objectives on the scale of an evaluation."""


@dataclass(frozen=True)
class Outcome:
    """What one run reached.

    Attributes:
        seed: of the run.
        score: mean return at its end.
        steps: env steps it took.
        solved: it ended because it had reached `stop_at`.
        stop_at: mean return that ends a run, or None.
        train_s: seconds it trained.
        fps: env steps a second.
        last: the last values of the metrics that were asked for.
        run: its folder.
    """

    seed: int
    score: float
    steps: int
    solved: bool
    stop_at: float | None
    train_s: float = 0.0
    fps: float = 0.0
    last: dict[str, float | None] = field(default_factory=dict)
    run: str = ""

    @classmethod
    def of(cls, summary: Mapping[str, Any], last: Mapping[str, Any], mode: str) -> "Outcome":
        """Read the summary of a run."""
        return cls(
            seed=summary["seed"],
            score=score_of({name: x["mean"] for name, x in summary["eval"].items()}, mode),
            steps=summary["env_steps"],
            solved=bool(summary["solved"]),
            stop_at=summary["stop_at"],
            train_s=summary["train_s"],
            fps=summary["fps"],
            last=dict(last),
            run=summary["run"],
        )


def score_of(mean: Mapping[str, float], mode: str) -> float:
    """Return the mean return that counts: of a mode, or the worse of both."""
    return min(mean["greedy"], mean["sampled"]) if mode == "worse" else mean[mode]


def value_of(plan: Plan, outcomes: Sequence[Outcome]) -> float:
    """Return the objective of a trial from all of its runs; not finite where it has none."""
    if plan.objective == "steps_to_threshold":
        return float(np.mean([steps_to_threshold(o, plan.total_steps) for o in outcomes]))
    if plan.objective == "eval_iqm":
        return interquartile_mean([o.score for o in outcomes])
    if plan.objective == "eval_mean":
        return float(np.mean([o.score for o in outcomes]))
    values = [o.last.get(plan.objective) for o in outcomes]
    return float(np.mean([math.nan if value is None else value for value in values]))


def steps_to_threshold(outcome: Outcome, total_steps: int) -> float:
    """Return the env steps after which a run had reached its threshold.

    A run that never did counts as one to two times `total_steps`, the more the further it stayed
    below: a sampler learns nothing from trials that are all alike.
    """
    if outcome.stop_at is None:
        return math.nan
    if outcome.solved:
        return float(outcome.steps)
    below = max(0.0, outcome.stop_at - outcome.score)
    return total_steps * (1 + below / (below + max(abs(outcome.stop_at), 1.0)))


def interquartile_mean(scores: Sequence[float]) -> float:
    """Return the mean of the middle half; scores on its borders count by the part that is inside.

    Source: Agarwal et al. 2021 (arXiv:2108.13264), for samples of any size.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    n = len(ordered)
    rank = np.arange(n)
    weight = np.clip(np.minimum(rank + 1, 0.75 * n) - np.maximum(rank, 0.25 * n), 0, None)
    return float(weight @ ordered / weight.sum())


def excess_of(plan: Plan, outcomes: Sequence[Outcome]) -> float | None:
    """Return how far a trial is beyond the constraint; None where there is none.

    A value that is missing breaks it.
    """
    limit = plan.constraint
    if limit is None:
        return None
    facts = {"train_s": "train_s", "fps": "fps", "env_steps": "steps", "score": "score"}
    values = []
    for outcome in outcomes:
        value = getattr(outcome, facts[limit.name]) if limit.name in facts else None
        value = outcome.last.get(limit.name) if value is None else value
        values.append(math.inf if value is None else limit.excess(value))
    return float(np.mean(values))

"""Final scores of a policy, as a summary for people and programs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from grpo_cli.errors import NonFinite
from grpo_cli.evaluate import Evaluator, Mode, Scores
from grpo_cli.policies import Policy
from grpo_cli.randomness import Purpose, rng
from grpo_cli.statistics import summarise


def final_scores(
    evaluator: Evaluator, policy: Policy, episodes: int, modes: Sequence[Mode]
) -> dict[str, dict[str, Any]]:
    """Score a policy in each mode.

    Args:
        evaluator: plays the episodes.
        policy: who acts.
        episodes: exactly so many in each mode.
        modes: greedy, sampled.

    Returns:
        Per mode: episodes, mean, ci_low, ci_high (95 % bootstrap), std, median, iqm in the unit
        of the reward, length_mean in steps, success_rate or None.

    Raises:
        EnvError: the environment raised.
        NonFinite: an episode paid nan or inf.
    """
    scores = evaluator.scores(policy, episodes, *modes)
    return {mode: _described(scores[mode], evaluator, mode) for mode in modes}


def _described(scores: Scores, evaluator: Evaluator, mode: Mode) -> dict[str, Any]:
    finite = np.isfinite(scores.ret)
    if not finite.all():
        seed = evaluator.starts(len(finite))[~finite][0]
        raise NonFinite(
            f"the {mode} episode with seed {seed} paid {scores.ret[~finite][0]}",
            "mend the environment; what was learned is saved, and grpo eval ckpt=last scores it",
        )
    summary = summarise(scores.ret, rng(evaluator.seed, Purpose.BOOTSTRAP))
    return {
        "episodes": summary.count,
        "mean": summary.mean,
        "ci_low": summary.ci_low,
        "ci_high": summary.ci_high,
        "std": summary.std,
        "median": summary.median,
        "iqm": summary.iqm,
        "length_mean": float(scores.length.mean()),
        "success_rate": None if scores.success is None else float(scores.success.mean()),
    }

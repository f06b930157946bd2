"""From rollout to scored rollout: value it, scale the rewards, estimate the advantages."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.peer import Estimate
from grpo_cli.clock import part
from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.reward_functions import ENV_REWARD, Columns, weighted
from grpo_cli.rewards import ELEMENTWISE, by_population, checked
from grpo_cli.rollout import BASELINE, LEARN, Floats, Rollout, Scored

EPS = 1e-8  # beside a standard deviation of sums of advantages, which is of the order of 1

Appraise = Callable[[Rollout], tuple[Floats, Estimate]]


@part("rewards")
def scale_rewards(rollout: Rollout, scaling: Callable[..., Floats], scope: str) -> Floats:
    """Scale a rollout's rewards once per population, [N].

    What is not finite on one rank is heard of by all: only then may it end what they do.

    Args:
        rollout: raw rewards.
        scaling: the function; a parameter named `rollout` receives the rollout.
        scope: `batch` or `group`, the population that it sees.

    Raises:
        ConfigError: an unknown scope, or a scaling that needs the rollout with scope=group.
        NonFinite: the scaled rewards hold nan or inf.
    """
    ranks, reward = rollout.ranks, rollout.reward
    wants_rollout = _wants_rollout(scaling)
    if scope == "batch":
        if wants_rollout:
            # What it exchanges itself comes before the check.
            return ranks.together(partial(checked, scaling, reward, rollout=rollout))
        if getattr(scaling, "func", scaling) in ELEMENTWISE:
            return ranks.together(partial(checked, scaling, reward))
        whole, mine = ranks.whole(reward)
        return checked(scaling, whole)[mine]  # the same on every rank
    if scope != "group":
        raise ConfigError(f"reward_scaling.scope={scope} does not exist", "choose group or batch")
    if wants_rollout:
        raise ConfigError(
            "this reward scaling looks at the whole rollout, so it cannot be done group by group",
            "set reward_scaling.scope=batch",
        )
    return ranks.together(partial(by_population, scaling, reward, rollout.group_N))


@part("score")
def score(
    rollout: Rollout,
    reward_scaling: Callable[..., Floats],
    scope: str,
    advantage: Callable[..., Estimate | Floats],
    gamma: float,
    reward: weighted = ENV_REWARD,
    survey: Callable[[Rollout], dict[str, Floats]] | None = None,
) -> Scored:
    """Score a rollout.

    Members to which no reward function applies are no peers of anybody, and get advantage 0.

    Args:
        rollout: what was sampled.
        reward_scaling: see `scale_rewards`.
        scope: see `scale_rewards`.
        advantage: `f(rollout, reward, gamma) -> [N]`, or an `Estimate`; called once, or once per
            reward function with `normalise_then_sum`.
        gamma: discount per step.
        reward: what a step is worth.
        survey: `f(rollout)` says what the policy itself has to add, [N] each: `reward_penalty` and
            `advantage_penalty` are subtracted, `score_norm` goes to the advantage.

    Returns:
        The rollout with what it is worth as its reward, the scaled rewards, and advantages.

    Raises:
        NonFinite: what reward functions say, the scaled rewards or the advantages hold inf or nan;
            on every rank, if on one.
        ConfigError: they have another shape than [N].
    """

    def appraise(part: Rollout) -> tuple[Floats, Estimate]:
        scaled = scale_rewards(part, reward_scaling, scope)
        surveyed = {} if survey is None else survey(part)
        paid = scaled - surveyed.get("reward_penalty", 0.0)
        given = {name: surveyed[name] for name in ("score_norm",) if name in surveyed}
        found = advantage(part, paid, gamma, **given)
        estimate = part.ranks.together(partial(_checked, found, scaled))
        shaped = estimate.advantage - surveyed.get("advantage_penalty", 0.0)
        return scaled, replace(estimate, advantage=shaped)

    rollout = reward.masked(rollout)
    said: dict[str, float] = {}
    if reward.plain:
        scaled, estimate = appraise(rollout)
    else:
        columns = rollout.ranks.together(partial(reward, rollout))
        said = columns.measured(rollout)
        rollout = replace(rollout, reward=columns.total)
        if reward.aggregate == "normalise_then_sum":
            scaled, estimate = _each_then_sum(rollout, columns, appraise)
        else:
            scaled, estimate = _among(rollout, columns.heard, appraise)
    learns_N = rollout.weight > 0
    learned = np.abs(estimate.advantage) * rollout.weight
    dead = np.bincount(rollout.group_N, learned, minlength=rollout.num_groups) == 0
    used = estimate.advantage[learns_N]
    ranks = rollout.ranks
    zero, spread, paid = ranks.moments(dead, used, scaled)
    measured = {
        **estimate.measured,
        **said,
        "group/frac_reward_zero_std": float(zero.mean),
        "advantage/std": float(spread.std()),
        "advantage/abs_max": float(ranks.max(np.abs(used).max(initial=0.0, keepdims=True))[0]),
        "reward_scaling/mean": float(paid.mean),
        "reward_scaling/std": float(paid.std()),
    }
    return Scored(rollout, scaled, estimate.advantage, dead, measured)


def _checked(result: Estimate | Floats, reward: Floats) -> Estimate:
    """Refuse advantages that are not one finite number for each row."""
    estimate = result if isinstance(result, Estimate) else Estimate(np.asarray(result, float))
    if estimate.advantage.shape != reward.shape:
        raise ConfigError(
            f"the advantage has shape {estimate.advantage.shape} for {reward.shape} rewards",
            "return one advantage for each row of the rollout",
        )
    if not np.isfinite(estimate.advantage).all():
        raise NonFinite("the advantage holds nan or inf", "check reward_scaling and advantage.eps")
    return estimate


def _among(
    rollout: Rollout, heard: NDArray[np.bool_], appraise: Appraise
) -> tuple[Floats, Estimate]:
    """Appraise the members of a mask [M] as if there were no others; the others get 0.

    Baseline members are always among them: their group is compared with them.
    """
    heard = heard | (rollout.role == BASELINE)
    some = (heard & (rollout.role == LEARN)).any()
    anywhere = rollout.ranks.any(some)
    if heard.all():
        return appraise(rollout)
    scaled, advantage = np.zeros((2, len(rollout.reward)))
    if not anywhere:
        return scaled, Estimate(advantage)
    if not some:
        raise ConfigError(
            "a reward function applies to no member of one process, and to some of another",
            "set processes=1, or more groups",
        )
    rows = heard[rollout.member]
    scaled[rows], estimate = appraise(rollout.members(heard))
    advantage[rows] = estimate.advantage
    return scaled, replace(estimate, advantage=advantage)


def _each_then_sum(
    rollout: Rollout, columns: Columns, appraise: Appraise
) -> tuple[Floats, Estimate]:
    """Appraise each reward function on its own, add up, and standardise over the batch.

    Source: Liu et al. 2026 (GDPO, arXiv:2601.05242), section 3. What is measured is the mean over
    the functions.
    """
    parts = [
        _among(replace(rollout, reward=value), applies, appraise)
        for value, applies in zip(columns.value, columns.applies, strict=True)
    ]
    scaled = columns.weights @ np.stack([part for part, _ in parts])
    total = columns.weights @ np.stack([estimate.advantage for _, estimate in parts])
    names = [name for _, estimate in parts for name in estimate.measured]
    measured = {
        name: float(np.mean([e.measured[name] for _, e in parts if name in e.measured]))
        for name in dict.fromkeys(names)
    }
    return scaled, Estimate(_standardised(total, rollout, columns.heard), measured)


def _standardised(advantage: Floats, rollout: Rollout, heard: NDArray[np.bool_]) -> Floats:
    """Z-score over the batch, every member counting the same however long it is, [N].

    In the paper a member has one advantage, so this is its z-score there. Groups without any
    advantage, and members of which nothing is known, are not counted and keep exactly 0.
    """
    alive = np.bincount(rollout.group_N, advantage != 0, minlength=rollout.num_groups) > 0
    counted = heard & (rollout.role == LEARN) & alive[rollout.group]
    ranks = rollout.ranks
    total = ranks.sum(counted.sum(keepdims=True))
    if not total:
        return np.zeros_like(advantage)
    share = counted / np.maximum(rollout.per_member(np.ones_like(advantage)), 1) / total
    share_N = share[rollout.member]
    centred = advantage - ranks.sum((share_N * advantage).sum(keepdims=True))
    std = np.sqrt(ranks.sum((share_N * centred**2).sum(keepdims=True)))
    return np.where(counted[rollout.member], centred / (std + EPS), 0.0)


def _wants_rollout(scaling: Callable[..., Floats]) -> bool:
    return "rollout" in inspect.signature(scaling).parameters

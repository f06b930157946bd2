"""From rollout to scored rollout: scale the rewards, estimate the advantages."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from grpo_cli.advantages.peer import Estimate
from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.rewards import by_population, checked
from grpo_cli.rollout import Floats, Rollout, Scored


def scale_rewards(rollout: Rollout, scaling: Callable[..., Floats], scope: str) -> Floats:
    """Scale a rollout's rewards once per population, [N].

    Args:
        rollout: raw rewards.
        scaling: the function; a parameter named `rollout` receives the rollout.
        scope: `batch` or `group`, the population that it sees.

    Raises:
        ConfigError: an unknown scope, or a scaling that needs the rollout with scope=group.
    """
    wants_rollout = _wants_rollout(scaling)
    if scope == "batch":
        given = {"rollout": rollout} if wants_rollout else {}
        return checked(scaling, rollout.reward, **given)
    if scope != "group":
        raise ConfigError(f"reward_scaling.scope={scope} does not exist", "choose group or batch")
    if wants_rollout:
        raise ConfigError(
            "this reward scaling looks at the whole rollout, so it cannot be done group by group",
            "set reward_scaling.scope=batch",
        )
    return by_population(scaling, rollout.reward, rollout.group_N)


def score(
    rollout: Rollout,
    reward_scaling: Callable[..., Floats],
    scope: str,
    advantage: Callable[..., Estimate | Floats],
    gamma: float,
    survey: Callable[[Rollout], dict[str, Floats]] | None = None,
) -> Scored:
    """Score a rollout.

    Args:
        rollout: what was sampled.
        reward_scaling: see `scale_rewards`.
        scope: see `scale_rewards`.
        advantage: `f(rollout, reward, gamma) -> [N]`, or an `Estimate`.
        gamma: discount per step.
        survey: `f(rollout)` says what the policy itself has to add, [N] each: `reward_penalty` and
            `advantage_penalty` are subtracted, `score_norm` goes to the advantage.

    Returns:
        The rollout with its scaled rewards and advantages.

    Raises:
        NonFinite: the advantages hold nan or inf.
        ConfigError: they have another shape than [N].
    """
    reward = scale_rewards(rollout, reward_scaling, scope)
    surveyed = {} if survey is None else survey(rollout)
    paid = reward - surveyed.get("reward_penalty", 0.0)
    given = {"score_norm": surveyed["score_norm"]} if "score_norm" in surveyed else {}
    result = advantage(rollout, paid, gamma, **given)
    estimate = result if isinstance(result, Estimate) else Estimate(np.asarray(result, float))
    if estimate.advantage.shape != reward.shape:
        raise ConfigError(
            f"the advantage has shape {estimate.advantage.shape} for {reward.shape} rewards",
            "return one advantage for each row of the rollout",
        )
    estimate = replace(
        estimate, advantage=estimate.advantage - surveyed.get("advantage_penalty", 0.0)
    )
    if not np.isfinite(estimate.advantage).all():
        raise NonFinite("the advantage holds nan or inf", "check reward_scaling and advantage.eps")
    learned = np.abs(estimate.advantage) * rollout.weight
    dead = np.bincount(rollout.group_N, learned, minlength=rollout.num_groups) == 0
    measured = {
        **estimate.measured,
        "group/frac_reward_zero_std": float(dead.mean()),
        "advantage/std": float(estimate.advantage.std()),
        "advantage/abs_max": float(np.abs(estimate.advantage).max()),
        "reward_scaling/mean": float(reward.mean()),
        "reward_scaling/std": float(reward.std()),
    }
    return Scored(rollout, reward, estimate.advantage, dead, measured)


def _wants_rollout(scaling: Callable[..., Floats]) -> bool:
    import inspect

    return "rollout" in inspect.signature(scaling).parameters

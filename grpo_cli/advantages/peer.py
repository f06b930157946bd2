"""The one shipped advantage: a value minus what the peers got, over a scale.

Its settings are the published estimators; `conf/advantage/*.yaml` names them.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.baselines import find_baseline, greedy_return
from grpo_cli.advantages.entries import learners, make_entries
from grpo_cli.advantages.scales import scaled
from grpo_cli.advantages.settings import Level, check_level, further
from grpo_cli.clock import part
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import LEARN, Floats, Rollout


@dataclass(frozen=True)
class Estimate:
    """Advantages and what was measured while estimating them."""

    advantage: Floats  # [N]
    measured: dict[str, float] = field(default_factory=dict)


@part("advantage")
def peer(
    rollout: Rollout,
    reward: Floats,
    gamma: float,
    *,
    value: str = "return_to_go",
    key: str = "group_step",
    baseline: str = "loo",
    min_peers: int = 1,
    fallback: Sequence[str] = ("neighbour_step", "all_groups"),
    adjust: str = "none",
    scale: str = "batch",
    eps: float = 1e-8,
    ddof: int = 0,
    bin_size: float = 0.1,
    plus: Sequence[Mapping[str, Any]] = (),
    score_norm: Floats | None = None,
) -> Estimate:
    """Compare each member with its peers.

    Every file of conf/advantage names the source of its settings. Time alignment is that of Mao et
    al. 2019 (arXiv:1807.02264), 4, here over the other members that still live.

    Args:
        rollout: which member took each step, and which group each member belongs to. Members with
            role BASELINE are nobody's peers but for baseline=greedy, and have advantage 0.
        reward: scaled rewards, [N].
        gamma: discount per step.
        value: `return` (of the whole member, on each of its steps) | `return_to_go` | `process`
            (step rewards standardised in the group, summed over the steps to come) | `step` (the
            step's own reward).
        key: peers share the `group`, the group and the step (`group_step`), the group and the
            observation, bit for bit (`state`) or rounded to a grid (`bin`), or nothing (`batch`).
            Peers are always other members: one's own later visits to a state follow from one's
            own action, and a baseline that looked at them would be biased.
        baseline: `loo` mean of the other members | `mean` of all that share the key, oneself and
            one's own repeats included | `length_weighted` and `score_norm`, weighted means of
            all | `shrunk` towards the other groups | `greedy` return of the group's greedy member
            | `none`.
        min_peers: with fewer peers than this the fall-backs are tried in turn.
        fallback: `neighbour_step` (peers up to two steps away), `all_groups` (every group at the
            same step or state); a row that none serves gets 0 and is counted in
            baseline/no_peer_frac.
        adjust: `linear` corrects for the difference between one's state and the peers', with
            weights fitted on other groups (see `adjust.linear`) | `none`. With baseline=none and
            key=batch it predicts the value itself.
        scale: divide by the standard deviation of the values over the `group`, the batch
            (`batch_value`) or the cell of equal keys (`timestep`), by that of the centred values
            over the `batch` or by their largest magnitude (`max_abs`), by nothing (`none`), or
            `whiten`: subtract the mean over the batch's rows and divide by their deviation.
        eps: added to the divisor, in the unit of the return.
        ddof: subtracted from the count in standard deviations.
        bin_size: width of the grid of key=bin, in the unit of the observation.
        plus: further levels that are added, each {coef: ..., and what differs from the settings
            above}; `gamma` may differ too.
        score_norm: squared norm of the policy's score at each row, [N], for baseline=score_norm:
            1 - 2 pi(a) + sum of pi squared for a categorical policy. Given by the program.

    Returns:
        Advantages, [N]; exactly zero in groups without spread, where nothing can be compared.

    Raises:
        ConfigError: a setting that does not exist or does not fit the others.
    """
    first = check_level(
        Level(value, key, baseline, min_peers, fallback, adjust, scale, eps, ddof, bin_size)
    )
    more = further(plus, first)
    chosen, rows = rollout, None
    if (rollout.role != LEARN).any():
        chosen, rows = learners(rollout)
    given = (reward, score_norm) if rows is None else (reward[rows], _at(score_norm, rows))

    def estimate(level: Level, gamma: float) -> Estimate:
        greedy = greedy_return(rollout, reward, gamma) if level.baseline == "greedy" else None
        return _estimate(chosen, *given, greedy, gamma, level)

    found = estimate(first, gamma)
    advantage, measured = found.advantage, found.measured
    added = [(coef, estimate(level, gamma if own is None else own)) for coef, own, level in more]
    if added:
        advantage = advantage + sum(coef * level.advantage for coef, level in added)
        shares = [level.measured["baseline/no_peer_frac"] for _, level in added]
        measured = {**measured, "baseline/plus_no_peer_frac": float(np.mean(shares))}
    if rows is not None:
        advantage, learned = np.zeros(len(reward)), advantage
        advantage[rows] = learned
    return Estimate(advantage, measured)


def check_peer(settings: Mapping[str, Any]) -> None:
    """Refuse settings of `peer` that do not exist or do not fit, before anything is sampled.

    Raises:
        ConfigError: what is wrong and what to do.
    """
    parameters = inspect.signature(peer).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    del known["score_norm"]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"advantage has no key {unknown[0]}", f"it has {', '.join(known)}")
    level = known | dict(settings)
    plus = level.pop("plus")
    further(plus, check_level(Level(**level)))


def _estimate(
    rollout: Rollout,
    reward: Floats,
    score_norm: Floats | None,
    greedy: Floats | None,
    gamma: float,
    level: Level,
) -> Estimate:
    """Estimate one level's advantages of the members that learn."""
    entries, measured = make_entries(rollout, reward, gamma, level)
    value, group = entries.value, entries.group
    base = find_baseline(rollout, entries, level, score_norm, greedy)
    lively = base.spread
    if level.key in ("state", "bin"):  # members who never met are not dead: others may have come by
        lively = lively | (base.lonely & ~base.alone)
    alive_groups = np.bincount(group, lively, minlength=rollout.num_groups) > 0
    nothing = np.zeros(len(value), dtype=bool)
    if level.baseline != "none":
        # Members that did the same get exactly zero, not what rounding leaves. After an adjustment
        # equal returns from unequal states are a difference: only dead groups are zero then.
        same = ~(base.spread | base.lonely) if level.adjust == "none" else nothing
        nothing = base.alone | same | ~alive_groups[group]
    centred = np.where(nothing, 0.0, value - base.mean)
    advantage = scaled(centred, entries, alive_groups, level, rollout.ranks)
    if level.scale == "whiten":
        advantage = np.where(nothing, 0.0, advantage)
    served = ~base.alone
    fallen, alone, before, after = rollout.ranks.moments(
        (base.lonely & served)[entries.row],
        base.alone[entries.row],
        value[served],
        (value - base.without_self)[served],
    )
    explained = 1 - after.variance / before.variance if before.variance > 0 else 0.0
    measured |= {
        "baseline/fallback_frac": float(fallen.mean),
        "baseline/no_peer_frac": float(alone.mean),
        "baseline/explained_variance": float(explained),
    }
    return Estimate(advantage[entries.row], measured)


def _at(values: Floats | None, rows: NDArray[np.intp]) -> Floats | None:
    return None if values is None else values[rows]

"""The one shipped advantage: a value minus what the peers got, over a scale.

Its settings are the published estimators; `conf/advantage/*.yaml` names them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.adjust import features, linear
from grpo_cli.advantages.fallbacks import FALLBACKS
from grpo_cli.advantages.peers import has_spread, peer_stats
from grpo_cli.advantages.scales import scaled
from grpo_cli.errors import ConfigError
from grpo_cli.returns import returns_to_go
from grpo_cli.rollout import Floats, Ints, Rollout

BASELINES = ("loo", "mean", "none")


@dataclass(frozen=True)
class Estimate:
    """Advantages and what was measured while estimating them."""

    advantage: Floats  # [N]
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entries:
    """What is compared: K members when the value is their return, else K = N rows."""

    value: Floats  # [K]
    key: Ints  # [K]
    owner: Ints  # [K], member
    group: Ints  # [K]
    row: NDArray[np.intp]  # [N], the entry of each row


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
) -> Estimate:
    """Compare each member with its peers.

    Sources: Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), 4.1.2, is value=return, key=group,
    baseline=mean, scale=group; Ahmadian et al. 2024 (RLOO, arXiv:2402.14740) is baseline=loo,
    scale=none; Mao et al. 2019 (arXiv:1807.02264), 4, averages at the same time index
    (key=group_step), here over the other members that still live.

    Args:
        rollout: which member took each step, and which group each member belongs to.
        reward: scaled rewards, [N].
        gamma: discount per step.
        value: `return` (of the whole member, on each of its steps) | `return_to_go`.
        key: peers share the `group`, or the group and the step (`group_step`).
        baseline: `loo` mean of the other members | `mean` with oneself | `none`.
        min_peers: with fewer peers than this the fall-backs are tried in turn.
        fallback: `neighbour_step` (peers up to two steps away), `all_groups` (every group at the
            same step); a row that none serves gets 0 and is counted in baseline/no_peer_frac.
        adjust: `linear` corrects for the difference between one's state and the peers', with
            weights fitted on other groups (see `adjust.linear`) | `none`.
        scale: divide by the standard deviation over the `group`, the `batch` or the cell of equal
            keys (`timestep`), by the batch's largest magnitude (`max_abs`), or by nothing (`none`).
        eps: added to the divisor, in the unit of the return.
        ddof: subtracted from the count in standard deviations.

    Returns:
        Advantages, [N]; exactly zero in groups without spread, where nothing can be compared.

    Raises:
        ConfigError: a setting that does not exist, or a key that does not fit the value.
    """
    _check(value, key, baseline, fallback, adjust)
    entries = _entries(rollout, reward, gamma, value, key)

    def compare(column: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean of the peers' numbers, how many they are, how many before any fall-back, [K]."""
        # `mean` is with oneself, and so with one's own other steps; `loo` leaves out all of them.
        owner = None if baseline == "mean" else entries.owner
        stats = peer_stats(column, entries.key, owner)
        mean, count = stats.mean, stats.count
        for name in fallback if (count < min_peers).any() else ():
            mean, count = FALLBACKS[name](rollout, column, mean, count, min_peers)
        return mean, count, stats.count

    mean, count, first_count = compare(entries.value)
    lonely, alone = first_count < min_peers, count < max(min_peers, 1)
    if adjust == "linear":
        phi = features(rollout)
        gap = np.column_stack([column - compare(column)[0] for column in phi.T])
        difference = linear(entries.value - mean, gap, entries.group, ~lonely & ~alone)
        mean = entries.value - difference
    spread = has_spread(entries.value, entries.key)
    alive_groups = np.bincount(entries.group, spread, minlength=rollout.num_groups) > 0
    centred = _centred(entries.value, mean, count, baseline)
    if baseline != "none":
        # Members that did the same get exactly zero, not what rounding leaves. After an adjustment
        # equal returns from unequal states are a difference: only dead groups are zero then.
        same = ~(spread | lonely) if adjust == "none" else np.zeros_like(spread)
        centred = np.where(alone | same | ~alive_groups[entries.group], 0.0, centred)
    advantage = scaled(
        centred, entries.value, entries.group, entries.key, alive_groups, scale, eps, ddof
    )
    measured = {
        "baseline/fallback_frac": float((lonely & ~alone)[entries.row].mean()),
        "baseline/no_peer_frac": float(alone[entries.row].mean()),
        "baseline/explained_variance": _explained(entries.value, mean, ~alone),
    }
    return Estimate(advantage[entries.row], measured)


def _check(value: str, key: str, baseline: str, fallback: Sequence[str], adjust: str) -> None:
    """Refuse settings that do not exist or do not fit each other."""
    known = {
        "value": (value, ("return", "return_to_go")),
        "key": (key, ("group", "group_step")),
        "baseline": (baseline, BASELINES),
        "adjust": (adjust, ("none", "linear")),
        **{f"fallback[{i}]": (name, tuple(FALLBACKS)) for i, name in enumerate(fallback)},
    }
    for setting, (given, choices) in known.items():
        if given not in choices:
            raise ConfigError(
                f"advantage.{setting}={given} does not exist", f"choose one of {', '.join(choices)}"
            )
    if value == "return" and (key != "group" or fallback):
        raise ConfigError(
            "advantage.value=return compares whole members, which share no step",
            "set advantage.key=group advantage.fallback=[], or advantage.value=return_to_go",
        )
    if adjust == "linear" and (key != "group_step" or baseline != "loo"):
        raise ConfigError(
            "advantage.adjust=linear corrects the leave-one-out comparison at the same step",
            "set advantage.key=group_step advantage.baseline=loo, or advantage.adjust=none",
        )
    if key == "group" and fallback:
        raise ConfigError(
            "advantage.fallback is for peers at the same step, but advantage.key=group",
            "set advantage.fallback=[], or advantage.key=group_step",
        )


def _entries(rollout: Rollout, reward: Floats, gamma: float, value: str, key: str) -> _Entries:
    to_go = returns_to_go(reward, rollout.member, gamma)
    members = np.arange(len(rollout.group))
    if value == "return":
        start = to_go[rollout.first_row]
        return _Entries(start, rollout.group, members, rollout.group, rollout.member)
    longest = int(rollout.step.max()) + 1
    cell = rollout.group_N * longest + rollout.step if key == "group_step" else rollout.group_N
    return _Entries(to_go, cell, rollout.member, rollout.group_N, np.arange(len(to_go)))


def _centred(value: Floats, mean: Floats, count: Floats, baseline: str) -> Floats:
    """Subtract the baseline; the mean with oneself is a shrunk leave-one-out difference."""
    if baseline == "none":
        return value
    difference = value - mean
    return difference if baseline == "loo" else difference * count / (count + 1)


def _explained(value: Floats, mean: Floats, has_peer: NDArray[np.bool_]) -> float:
    """Share of the values' variance that the baseline explains; 0 when there is none."""
    total = value[has_peer].var() if has_peer.any() else 0.0
    return float(1 - (value - mean)[has_peer].var() / total) if total > 0 else 0.0

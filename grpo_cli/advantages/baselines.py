"""With what each entry is compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.adjust import RIDGE, features, gaps, linear
from grpo_cli.advantages.entries import Entries
from grpo_cli.advantages.fallbacks import FALLBACKS
from grpo_cli.advantages.peers import has_spread, mean_by, peer_stats
from grpo_cli.advantages.settings import Level
from grpo_cli.errors import ConfigError
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.returns import returns_to_go
from grpo_cli.rollout import BASELINE, Floats, Ints, Rollout
from grpo_cli.sums import bincount


@dataclass(frozen=True)
class Baseline:
    """What is subtracted from K entries, and for whom there is nothing to subtract."""

    mean: Floats  # [K]
    without_self: Floats  # [K], the same from others only: how well it predicts
    lonely: NDArray[np.bool_]  # [K], fewer peers than asked for under the first key
    alone: NDArray[np.bool_]  # [K], nor any fall-back found enough
    spread: NDArray[np.bool_]  # [K], those who are compared differ


def find_baseline(
    rollout: Rollout,
    entries: Entries,
    level: Level,
    score_norm: Floats | None,
    greedy: Floats | None,
) -> Baseline:
    """Find the baseline of each entry.

    Args:
        rollout: members that learn.
        entries: what is compared.
        level: checked settings.
        score_norm: squared norms of the policy's score, [N]; see `peer`.
        greedy: return of each group's greedy member, [num_groups].

    Raises:
        ConfigError: one group alone where others are needed, or no score norms.
    """
    value = entries.value
    among = rollout.ranks if level.key == "batch" else ALONE  # whose entries share keys
    spread = has_spread(value, entries.key, among)
    nobody = np.zeros(len(value), dtype=bool)
    if level.baseline == "none":
        mean = np.zeros_like(value)
        if level.adjust == "linear":
            phi = features(rollout, time=True)
            mean = value - linear(value, phi, rollout.number_N, ~nobody, RIDGE, rollout.ranks)
        return Baseline(mean, mean, nobody, nobody, spread)
    if greedy is not None:
        mean = greedy[entries.group]
        return Baseline(mean, mean, nobody, nobody, value != mean)
    mean, count, first = _others(value, rollout, entries, level)
    lonely, alone = first < level.min_peers, count < level.min_peers
    if level.adjust == "linear":
        phi, usable, ranks = features(rollout), ~lonely & ~alone, rollout.ranks
        states = gaps(phi, _others(phi, rollout, entries, level)[0], ranks)
        mean = value - linear(value - mean, states, rollout.number_N, usable, ranks=ranks)
    if level.baseline == "loo":
        return Baseline(mean, mean, lonely, alone, spread)
    if level.baseline == "shrunk":
        mean = _shrunk(value, entries.group, mean, rollout.ranks)
        spread = has_spread(value, entries.place, rollout.ranks)
        return Baseline(mean, mean, lonely, alone, spread)
    if level.baseline == "mean":
        if level.key not in ("state", "bin"):
            # One's own other steps are company: a window may lie inside one episode.
            lonely = peer_stats(value, entries.key, ranks=among).count < level.min_peers
            alone = alone & lonely
        # A fall-back's mean takes oneself in as one more of its peers.
        served = (count * mean + value) / (count + 1)
        whole = np.where(lonely, served, mean_by(value, entries.key, ranks=among))
        return Baseline(whole, mean, lonely, alone, spread)
    weight = _weight(rollout, level, score_norm)
    others = peer_stats(value, entries.key, entries.owner, weight, among).mean
    return Baseline(mean_by(value, entries.key, weight, among), others, lonely, alone, spread)


def greedy_return(rollout: Rollout, reward: Floats, gamma: float) -> Floats:
    """Return what each group's baseline members got, [num_groups].

    Source: Rennie et al. 2017 (SCST, arXiv:1612.00563); Li et al. 2023 (ReMax, arXiv:2310.10505).

    Raises:
        ConfigError: a group has no such member.
    """
    value = returns_to_go(reward, rollout.member, gamma)[rollout.first_row]
    weight = (rollout.role == BASELINE).astype(np.float64)
    count = bincount(rollout.group, weight, rollout.num_groups)
    if (count == 0).any():
        raise ConfigError(
            "advantage.baseline=greedy needs a greedy member in each group, and there is none",
            "set group=episodes, which samples one, or advantage.baseline=loo",
        )
    return bincount(rollout.group, weight * value, rollout.num_groups) / count


def _others(
    value: Floats, rollout: Rollout, entries: Entries, level: Level
) -> tuple[Floats, Floats, Floats]:
    """Mean of the peers' numbers, as `value`; how many they are, and before any fall-back, [K]."""
    among = rollout.ranks if level.key == "batch" else ALONE
    stats = peer_stats(value, entries.key, entries.owner, ranks=among)
    mean, count = stats.mean, stats.count
    for name in level.fallback if rollout.ranks.any(bool((count < level.min_peers).any())) else ():
        found = FALLBACKS[name](rollout, entries, value, mean, count, level.min_peers)
        mean, count = found
    return mean, count, stats.count


def _weight(rollout: Rollout, level: Level, score_norm: Floats | None) -> Floats:
    """How much each entry counts in a weighted mean, [K].

    Sources: Hao et al. 2025 (OPO, arXiv:2505.23585) weighs returns by length, in place of
    the squared norm of the member's score; Weaver and Tao 2001 (UAI) and Greensmith et al. 2004
    (JMLR 5), by the norm itself, here summed over the steps so far.
    """
    if level.baseline == "length_weighted":
        return np.bincount(rollout.member).astype(np.float64)
    if score_norm is None:
        raise ConfigError(
            "advantage.baseline=score_norm needs the score norms of the policy, and has none",
            "set advantage.baseline=loo, or train with a policy that can compute them",
        )
    sum_N = np.cumsum(score_norm)
    first = rollout.first_row
    so_far = sum_N - (sum_N[first] - score_norm[first])[rollout.member]
    if level.value != "return":
        return so_far
    return so_far[np.append(first[1:], len(so_far)) - 1]


def _shrunk(value: Floats, group: Ints, others: Floats, ranks: Ranks = ALONE) -> Floats:
    """Shrink each leave-one-out mean towards the mean of the other groups, [M].

    Source: Zeng et al. 2025 (arXiv:2511.03710), the estimator JS2: b = (1 - l) m_others + l m_rest
    with l = (n-1)/n v/(v+s), where v is the mean sampling variance of the other groups' means and
    s the variance between these means. Nothing in it depends on the own return, or on the own
    group but for `others`: it stays unbiased.

    Args:
        value: return of each member, [M].
        group: group of each member, [M].
        others: leave-one-out mean in the group, [M].
        ranks: who has the other groups.

    Raises:
        ConfigError: there is only one group.
    """
    count = np.bincount(group)
    n = int(ranks.sum(np.array([(count > 0).sum()]))[0])
    count = np.maximum(count, 1)  # a group of which nobody is left has no mean, and counts for none
    if n == 1:
        raise ConfigError(
            "advantage.baseline=shrunk looks at other groups, and there is only one",
            "set num_groups=2 or more, or advantage.baseline=loo",
        )
    centre = ranks.mean(value)
    mean = bincount(group, value - centre) / count
    within = bincount(group, (value - centre - mean[group]) ** 2) / np.maximum(count - 1, 1) / count
    sums = ranks.sum(np.array([mean.sum(), within.sum(), (mean**2).sum()]))
    rest = (sums[0] - mean) / (n - 1)
    v = np.maximum(sums[1] - within, 0.0) / (n - 1)
    deviations = sums[2] - mean**2 - (n - 1) * rest**2
    s = np.maximum(deviations, 0.0) / max(n - 2, 1)
    known = v + s > 0
    share = np.where(known, (n - 1) / n * v / np.where(known, v + s, 1.0), 0.0)[group]
    return (1 - share) * others + share * (rest[group] + centre)

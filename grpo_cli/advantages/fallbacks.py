"""Where to look for peers when a member has outlived its group.

Each fall-back serves the rows that still have fewer than `min_peers` peers and leaves the others
as they are. Every one averages over other members only, so the baseline stays unbiased.
"""

from collections.abc import Callable

import numpy as np

from grpo_cli.advantages.entries import Entries
from grpo_cli.advantages.peers import peer_stats
from grpo_cli.rollout import Floats, Rollout
from grpo_cli.sums import beside, bincount

REACH = 2  # steps to either side; peers further away live in another part of the episode

Fallback = Callable[[Rollout, Entries, Floats, Floats, Floats, int], tuple[Floats, Floats]]


def neighbour_step(
    rollout: Rollout,
    entries: Entries,
    value_N: Floats,
    mean_N: Floats,
    count_N: Floats,
    min_peers: int,
) -> tuple[Floats, Floats]:
    """Pool the group's other members at steps up to `REACH` away.

    Args:
        rollout: rows, members and groups.
        entries: the place and the owner of each row.
        value_N: what is compared, [N], or [N, F].
        mean_N: the peers' mean so far, likewise.
        count_N: their number so far, [N].
        min_peers: rows with at least this many are left alone.

    Returns:
        Mean, as `value_N`, and count, [N].
    """
    shape = (rollout.num_groups, int(rollout.step.max()) + 1 + 2 * REACH)
    cell_N = rollout.group_N * shape[1] + rollout.step + REACH
    number = np.bincount(cell_N, minlength=shape[0] * shape[1])
    total = bincount(cell_N, value_N, shape[0] * shape[1])
    row = np.flatnonzero(count_N < min_peers)
    pooled, peers = np.zeros((len(row), *value_N.shape[1:])), np.zeros(len(row))
    for offset in range(-REACH, REACH + 1):
        near = np.clip(row + offset, 0, len(value_N) - 1)
        same_member = rollout.member[near] == rollout.member[row]
        own = same_member & (rollout.step[near] == rollout.step[row] + offset)
        peers += number[cell_N[row] + offset] - own
        pooled += total[cell_N[row] + offset] - np.where(beside(own, value_N), value_N[near], 0.0)
    enough = peers >= max(min_peers, 1)
    mean_N, count_N = mean_N.copy(), count_N.copy()
    mean_N[row[enough]] = pooled[enough] / beside(peers[enough], value_N)
    count_N[row[enough]] = peers[enough]
    return mean_N, count_N


def all_groups(
    rollout: Rollout,
    entries: Entries,
    value_N: Floats,
    mean_N: Floats,
    count_N: Floats,
    min_peers: int,
) -> tuple[Floats, Floats]:
    """Compare with every other member of the batch that was at the same place: step or state.

    Args and returns as in `neighbour_step`.
    """
    stats = peer_stats(value_N, entries.place, entries.owner, ranks=rollout.ranks)
    lonely = (count_N < min_peers) & (stats.count >= max(min_peers, 1))
    mean_N = np.where(beside(lonely, value_N), stats.mean, mean_N)
    return mean_N, np.where(lonely, stats.count, count_N)


FALLBACKS: dict[str, Fallback] = {"neighbour_step": neighbour_step, "all_groups": all_groups}

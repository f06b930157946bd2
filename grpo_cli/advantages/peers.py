"""What the peers got: statistics over the other entries that share a key.

The whole family of critic-free estimators is a choice of value and of key; this is the one place
where "the others" is computed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Floats, Ints
from grpo_cli.sums import beside, bincount


@dataclass(frozen=True)
class PeerStats:
    """What the peers of K entries have, the mean 0 where there is no peer."""

    mean: Floats  # [K], or [K, F] where F numbers are compared
    count: Floats  # [K]


def peer_stats(
    value: Floats,
    key: Ints,
    owner: Ints | None = None,
    weight: Floats | None = None,
    ranks: Ranks = ALONE,
) -> PeerStats:
    """Describe, for each entry, the other entries with the same key.

    Leaving oneself out keeps a baseline independent of one's own action (Kool et al. 2019,
    "Buy 4 REINFORCE samples, get a baseline for free!").

    Args:
        value: one number per entry, [K], or several, [K, F].
        key: entries with equal keys are compared, [K], any integers.
        owner: entries of the same owner are no peers of each other, [K]; None: each its own.
        weight: how much an entry counts as a peer, [K]; None: 1 each.
        ranks: who else has entries under these keys.

    >>> peer_stats(np.array([1.0, 2.0, 6.0, 5.0]), np.array([0, 0, 0, 1])).mean.tolist()
    [4.0, 3.5, 1.5, 0.0]
    """
    weight = np.ones(len(value)) if weight is None else weight
    # Centring first keeps the subtraction of one's own share exact to the last few bits.
    centre = ranks.mean(value)
    moments = own = [weight, beside(weight, value) * (value - centre)]
    cell = dense(key, ranks)
    if owner is not None:
        pair = dense(cell * (int(owner.max()) + 1) + owner)
        own = [bincount(pair, moment)[pair] for moment in moments]
    totals = ranks.sum_by(cell, *moments)
    count, total = (sums[cell] - share for sums, share in zip(totals, own, strict=True))
    has_peer = count > 1e-9
    mean = total / beside(np.where(has_peer, count, 1.0), value) + centre
    return PeerStats(
        mean=np.where(beside(has_peer, value), mean, 0.0), count=np.where(has_peer, count, 0.0)
    )


def has_spread(value: Floats, key: Ints, ranks: Ranks = ALONE) -> NDArray[np.bool_]:
    """Say for each entry whether the entries with its key differ at all, exactly, [K]."""
    cell = dense(key, ranks)
    first = np.full(int(ranks.max(np.array([cell.max(initial=0)]))[0]) + 1, -np.inf)
    first[cell[::-1]] = value[::-1]
    first = ranks.max(first)  # of several ranks' firsts one: all are equal where nothing differs
    (differ,) = ranks.sum_by(cell, value != first[cell])
    return (differ > 0)[cell]


def mean_by(value: Floats, key: Ints, weight: Floats | None = None, ranks: Ranks = ALONE) -> Floats:
    """Weighted mean of the values that share a key, oneself included, [K]."""
    weight = np.ones_like(value) if weight is None else weight
    cell, centre = dense(key, ranks), ranks.mean(value)
    total, count = ranks.sum_by(cell, weight * (value - centre), weight)
    return (total / np.maximum(count, 1e-300))[cell] + centre


def std_by(value: Floats, key: Ints, ddof: int, ranks: Ranks = ALONE) -> Floats:
    """Standard deviation of the values that share a key, [K]; 0 for one alone."""
    cell = dense(key, ranks)
    count, total = ranks.sum_by(cell, np.ones_like(value), value)
    mean = total / np.maximum(count, 1)
    (squares,) = ranks.sum_by(cell, (value - mean[cell]) ** 2)
    return np.sqrt(squares / np.maximum(count - ddof, 1))[cell]


def dense(key: Ints, ranks: Ranks = ALONE) -> Ints:
    """Renumber keys to 0, 1, 2, ... so that they can index counts, [K].

    Keys that are small enough already are left as they are: sorting them would cost more than
    everything else here. Those that several ranks share are small, and the same to all.
    """
    if ranks.size > 1 or (len(key) and key.min() >= 0 and key.max() < 16 * len(key)):
        return key
    return np.unique(key, return_inverse=True)[1]

"""Linear adjustment: correct a comparison for the difference between one's state and the peers'.

One ridge solve per update, thrown away after use; nothing is learned over time and nothing is
bootstrapped.
"""

import numpy as np
from numpy.typing import NDArray

from grpo_cli.errors import ConfigError
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Floats, Ints, Rollout, flat

MOST_FOLDS = 4
TIME_UNIT = 100.0  # steps, as in rllab: keeps the cubes of long episodes in range
ROUNDING = 1e-9  # of a feature's largest size; what float32 can tell apart is sixty times as much
RIDGE = 1e-5  # of each feature's own sum of squares: enough to solve, too little to matter
# With so little, weights fitted on the few hundred rows of short episodes add more variance to
# differences between peers than they take out; where rows are many, more costs next to nothing.
PEER_RIDGE = 0.03


def features(rollout: Rollout, *, time: bool = False) -> Floats:
    """Return [o, o^2] of flattened observations, [N, F], with powers of time if asked for.

    Source: Duan et al. 2016 (arXiv:1604.06778), the linear feature baseline of rllab. Peers at the
    same step share its powers of time, so these are for a baseline without peers.
    """
    obs = flat(rollout.obs).double().numpy()
    columns = [obs, obs**2]
    if time:
        columns.append((rollout.step[:, None] / TIME_UNIT) ** np.arange(1, 4))
    return np.concatenate(columns, axis=1)


def gaps(phi: Floats, others: Floats, ranks: Ranks = ALONE) -> Floats:
    """Return features less the mean features of the peers, [N, F]; 0 where rounding alone is left.

    What never differs must stay out of the fit; what varies little beside its size, or beside
    other features, must not.
    """
    gap = phi - others
    largest = ranks.max(np.abs(phi).max(axis=0, initial=0.0))
    return np.where(np.abs(gap) > ROUNDING * largest, gap, 0.0)


def linear(
    difference: Floats,
    states: Floats,
    group: Ints,
    usable: NDArray[np.bool_],
    ridge: float = PEER_RIDGE,
    ranks: Ranks = ALONE,
) -> Floats:
    """Take out of each difference what the difference of states explains.

    A within-group regression adjustment (analysis of covariance; Lin 2013, arXiv:1208.2301). The
    weights that adjust a group are fitted on *other groups* only. Folds by member would leak: the
    differences of one's peers contain one's own return through their leave-one-out means, and the
    policy gradient would be biased.

    Args:
        difference: value minus baseline, [N]; without peers the value.
        states: `gaps` of the features, [N, F]; without peers the features.
        group: group of each row, [N], under the number by which all ranks know it.
        usable: rows whose peers are of their own group, [N]; only these are fitted on, because a
            fall-back to all groups would carry returns from one fold into another.
        ridge: penalty of a feature's weight, in units of its sum of squares.
        ranks: who has the other groups; only sums over rows go from one to the other.

    Returns:
        The adjusted differences, [N].

    Raises:
        ConfigError: there is only one group, and so no other to fit on.
    """
    last = int(ranks.max(np.array([group.max()]))[0])
    if last == 0:
        raise ConfigError(
            "advantage.adjust=linear fits on other groups, and there is only one",
            "set num_groups=2 or more, or advantage.adjust=none",
        )
    design = np.column_stack([states, np.ones(len(states))])
    folds = min(last + 1, MOST_FOLDS)
    fold = group % folds
    moments = ranks.sum(
        np.stack([_moments(design, difference, usable & (fold == f)) for f in range(folds)])
    )
    total = sum(moments)
    adjusted = difference.copy()
    for number in range(folds):
        rest = total - moments[number]
        gram, side = rest[:, :-1], rest[:, -1]
        rows = fold == number
        adjusted[rows] -= design[rows] @ _solve(gram, side, ridge)
    return adjusted


def _moments(design: Floats, target: Floats, rows: NDArray[np.bool_]) -> Floats:
    """Return the Gram matrix of the chosen rows, and beside it their products with the target."""
    chosen = design[rows]
    return np.column_stack([chosen.T @ chosen, chosen.T @ target[rows]])


def _solve(gram: Floats, side: Floats, ridge: float) -> Floats:
    """Solve the ridge equations in units of each feature's size, whatever the units are it came in.

    Features that are always 0 get weight 0.
    """
    size = np.sqrt(np.diag(gram))
    weights = np.zeros(len(side))
    chosen = np.flatnonzero(size)
    if len(chosen):
        unit = size[chosen]
        inner = gram[np.ix_(chosen, chosen)] / unit / unit[:, None]
        inner[np.diag_indices_from(inner)] += ridge
        weights[chosen] = np.linalg.solve(inner, side[chosen] / unit) / unit
    return weights

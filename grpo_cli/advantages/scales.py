"""By what an advantage is divided."""

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.entries import Entries
from grpo_cli.advantages.peers import std_by
from grpo_cli.advantages.settings import Level
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Floats


def scaled(
    centred: Floats,
    entries: Entries,
    alive: NDArray[np.bool_],
    level: Level,
    ranks: Ranks = ALONE,
) -> Floats:
    """Divide centred values, K entries.

    Args:
        centred: value minus baseline, [K].
        entries: what was compared; `group`, `timestep` and `batch_value` divide by its spread.
        alive: which groups have spread, [num_groups]; the others do not widen or narrow a batch,
            except for `batch_value`, as published (Liu et al. 2025, arXiv:2508.08221).
        level: its `scale`, `eps` and `ddof`.
        ranks: who has the rest of the batch.
    """
    if level.scale == "none":
        return centred
    if level.scale in ("group", "timestep"):
        key = entries.group if level.scale == "group" else entries.key
        among = ranks if level.scale == "timestep" and level.key == "batch" else ALONE
        return centred / (std_by(entries.value, key, level.ddof, among) + level.eps)
    counted = centred[alive[entries.group]]
    if not ranks.any(len(counted) > 0):
        return centred
    if level.scale == "max_abs":
        return centred / (ranks.max(np.abs(counted).max(initial=0.0, keepdims=True)) + level.eps)
    if level.scale == "batch_value":
        counted = entries.value
    if level.scale == "whiten":
        rows = centred[entries.row]
        counted = rows[alive[entries.group][entries.row]]
    (whole,) = ranks.moments(counted)
    mean = whole.mean if level.scale == "whiten" else 0.0
    return (centred - mean) / (whole.std(level.ddof) + level.eps)

"""By what an advantage is divided."""

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.peers import dense
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Floats, Ints

SCALES = ("none", "group", "batch", "timestep", "max_abs")


def scaled(
    centred: Floats,
    value: Floats,
    group: Ints,
    key: Ints,
    alive: NDArray[np.bool_],
    scale: str,
    eps: float,
    ddof: int,
) -> Floats:
    """Divide centred values, K entries.

    Args:
        centred: value minus baseline, [K].
        value: what was compared, [K]; `group` and `timestep` divide by its spread.
        group: group of each entry, [K].
        key: cell of each entry, [K].
        alive: which groups have spread, [num_groups]; the others do not widen or narrow a batch.
        scale: one of `SCALES`.
        eps: added to the divisor.
        ddof: subtracted from the count in standard deviations.

    Raises:
        ConfigError: no such scale.
    """
    if scale == "none":
        return centred
    if scale == "group":
        return centred / (_std_by(value, group, ddof) + eps)
    if scale == "timestep":
        return centred / (_std_by(value, key, ddof) + eps)
    counted = centred[alive[group]]
    if not len(counted):
        return centred
    if scale == "batch":
        return centred / (counted.std(ddof=min(ddof, len(counted) - 1)) + eps)
    if scale == "max_abs":
        return centred / (np.abs(counted).max() + eps)
    raise ConfigError(
        f"advantage.scale={scale} does not exist", f"choose one of {', '.join(SCALES)}"
    )


def _std_by(value: Floats, key: Ints, ddof: int) -> Floats:
    """Standard deviation of the values that share a key, [K]; 0 for one alone."""
    cell = dense(key)
    count = np.bincount(cell)
    mean = np.bincount(cell, value) / np.maximum(count, 1)
    squares = np.bincount(cell, (value - mean[cell]) ** 2)
    return np.sqrt(squares / np.maximum(count - ddof, 1))[cell]

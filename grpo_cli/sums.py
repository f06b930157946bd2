"""Sums by index, of one column or of several side by side."""

import numpy as np
from numpy.typing import NDArray


def bincount(index: NDArray, weight: NDArray, size: int = 0) -> NDArray[np.float64]:
    """Sum weights by index: [K] -> [size or more], [K, F] -> [size or more, F]."""
    if weight.ndim == 1:
        return np.bincount(index, weight, size).astype(np.float64, copy=False)
    return np.stack([bincount(index, column, size) for column in weight.T], axis=1)


def beside(row: NDArray, columns: NDArray) -> NDArray:
    """Shape what is known of each row, [K], so that it meets [K] or [K, F] row by row."""
    return row.reshape(-1, *[1] * (columns.ndim - 1))

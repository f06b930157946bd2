"""The processes that train together, as the rest of the program sees them.

Each process, a rank, samples its own groups and learns as if it had sampled those of all. Whatever
that needs of the others goes through `Ranks`, which here is a single process: it has nothing to
exchange. `distributed.World` is the form with several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.sums import bincount

T = TypeVar("T")
Array = TypeVar("Array", NDArray, torch.Tensor)


@dataclass(frozen=True)
class Moments:
    """Moments of a sample; those of two samples can be pooled (Chan et al. 1983).

    Attributes:
        count: how many.
        mean: a number, or one for each place of an array.
        squares: the sum of squared deviations, likewise.
    """

    count: float
    mean: Any
    squares: Any

    @property
    def variance(self) -> float:
        """The population variance; 0 where there is nothing."""
        return self.squares / max(self.count, 1)

    def std(self, ddof: int = 0) -> float:
        """Return the standard deviation; 0 where there is nothing."""
        return np.sqrt(self.squares / max(self.count - min(ddof, self.count - 1), 1))


NOTHING = Moments(0, 0.0, 0.0)


class Ranks:
    """Processes that train together: this one alone.

    Attributes:
        rank: number of this process; 0 composes, decides and writes.
        size: how many there are.
        local: number of this process among those of its computer.
    """

    rank = 0
    size = 1
    local = 0

    def share(self, count: int) -> range:
        """Return the numbers below `count` that fall to this rank: whole groups, in order."""
        return range(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def span(self, count: int) -> tuple[int, int]:
        """Return how many all ranks have together, and how many those before this one have."""
        return count, 0

    def sum(self, value: NDArray) -> NDArray:
        """Add up an array of the same shape on every rank."""
        return value

    def sum_by(self, cell: NDArray, *weights: NDArray) -> list[NDArray]:
        """Sum weights [K] or [K, F] of all ranks by cell [K], numbers that mean the same to all."""
        return [bincount(cell, weight) for weight in weights]

    def max(self, value: NDArray) -> NDArray:
        """Take the largest of each place of an array of the same shape on every rank."""
        return value

    def any(self, flag: bool) -> bool:
        """Say whether it is true on any rank."""
        return flag

    def whole(self, column: Array) -> tuple[Array, slice]:
        """Put the columns [K, ...] of all ranks in a row; returns also which part is one's own."""
        return column, slice(None)

    def mean(self, value: NDArray) -> Any:  # noqa: ANN401 - a number, or one for each column
        """Return the mean of what all ranks have, [K] or [K, F]; 0 where nobody has anything."""
        return np.asfortranarray(value).mean(axis=0) if len(value) else 0.0

    def moments(self, *samples: NDArray) -> list[Moments]:
        """Describe samples [K], each with what the other ranks have of it."""
        return [
            Moments(len(x), mean := x.mean(), ((x - mean) ** 2).sum()) if len(x) else NOTHING
            for x in samples
        ]

    def pooled(self, moments: Moments) -> Moments:
        """Pool the moments of a sample with those of the other ranks."""
        return moments

    def decide(self, value: T) -> T:
        """Return what rank 0 said."""
        return value

    def together(self, work: Callable[[], T]) -> T:
        """Do what may end on one rank alone; it then ends on all of them in the same way."""
        return work()

    def add(self, *tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        """Add up tensors of the same shapes on every rank, without gradient."""
        return tensors

    def add_gradients(self, gradients: Sequence[torch.Tensor]) -> None:
        """Add up the gradients of all ranks, in place."""

    def times(self) -> dict[str, float]:
        """Return metrics of the time spent on one another since the last call."""
        return {}


ALONE = Ranks()

"""What a sink is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np

# A number is one point of a curve; a 1-D array is a sample, drawn as a histogram, or a column of
# `members/*`: the members of this update's groups.
Metrics: TypeAlias = "Mapping[str, float | np.number | np.ndarray]"


class Sink(Protocol):
    """Something that receives the metrics of every update."""

    def write(self, step: int, metrics: Metrics) -> None:
        """Take what one update measured.

        Args:
            step: env steps since the start of the run.
            metrics: name -> number or 1-D array; the names are listed in docs/metrics.md.
        """
        ...

    def close(self) -> None:
        """Write what is left and give back files and screen. Nothing is written afterwards."""
        ...


def scalars(metrics: Metrics) -> dict[str, float]:
    """The numbers among the metrics; NumPy and torch scalars become Python's own."""
    return {
        name: value if isinstance(value, int) else float(value)
        for name, value in metrics.items()
        if not getattr(value, "ndim", 0)
    }


def samples(metrics: Metrics) -> "dict[str, np.ndarray]":
    """The samples among the metrics."""
    import numpy as np

    arrays = {name: v for name, v in metrics.items() if isinstance(v, np.ndarray) and v.ndim}
    return {name: v for name, v in arrays.items() if not name.startswith("members/")}

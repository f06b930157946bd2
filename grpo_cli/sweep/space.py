"""Search spaces: what a sweep varies, as words, as a grid, and as Optuna's distributions."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | int | float
Params = dict[str, Value]


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        word: what stands before `=`, such as `lr` or `+loss.beta`.
        values: as a person would type them.
    """

    word: str
    values: tuple[str, ...]

    @property
    def grid(self) -> tuple[Value, ...]:
        """Every value."""
        return self.values

    def as_number(self, value: Value) -> Value:
        """Return a value as a number where all of them are."""
        try:
            numbers = {text: float(text) for text in self.values}
        except ValueError:
            return value
        number = numbers[str(value)]
        return int(number) if number.is_integer() else number

    def distribution(self) -> "BaseDistribution":
        """Return it for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class Steps:
    """Numbers at equal distances, the last included.

    Attributes:
        word: what stands before `=`.
        low: the first.
        high: the last.
        step: their distance, positive.
    """

    word: str
    low: float
    high: float
    step: float

    @property
    def grid(self) -> tuple[Value, ...]:
        """Every number; rounded, so that 0.1 + 0.2 is 0.3."""
        count = round((self.high - self.low) / self.step) + 1
        numbers = (self.low + self.step * index for index in range(count))
        whole = isinstance(self.low, int) and isinstance(self.step, int)
        return tuple(number if whole else float(f"{number:.12g}") for number in numbers)

    def distribution(self) -> "BaseDistribution":
        """Return it for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int) and isinstance(self.step, int):
            return IntDistribution(self.low, int(self.high), step=self.step)
        return FloatDistribution(self.low, self.high, step=self.step)


@dataclass(frozen=True)
class Interval:
    """Any number between two, both included.

    Attributes:
        word: what stands before `=`.
        low: the smallest.
        high: the largest.
        log: its logarithm is what is drawn evenly.
        whole: whole numbers only.
    """

    word: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def grid(self) -> None:
        """It has too many values for a grid."""
        return

    def distribution(self) -> "BaseDistribution":
        """Return it for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


Dimension = Choice | Steps | Interval


@dataclass(frozen=True)
class Space:
    """The dimensions of a sweep, in the order in which they were written."""

    dimensions: tuple[Dimension, ...]

    @property
    def size(self) -> int | None:
        """How many points the full grid has; None where a dimension has no grid."""
        grids = [dimension.grid for dimension in self.dimensions]
        return None if None in grids else math.prod(len(grid) for grid in grids if grid is not None)

    def point(self, number: int) -> Params:
        """Return a point of the full grid; the last dimension varies fastest, as with `-m`.

        Raises:
            IndexError: there are not so many.
        """
        grids = [dimension.grid or () for dimension in self.dimensions]
        points = itertools.islice(itertools.product(*grids), number, number + 1)
        for point in points:
            return dict(zip(self.names, point, strict=True))
        raise IndexError(number)

    @property
    def names(self) -> list[str]:
        """The keys, without the signs before them."""
        return [name_of(dimension.word) for dimension in self.dimensions]

    def words(self, params: Mapping[str, Value]) -> list[str]:
        """Return a point as words for `grpo train`."""
        return [f"{d.word}={_text(params[name_of(d.word)])}" for d in self.dimensions]

    def shown(self, params: Mapping[str, Value]) -> Params:
        """Return a point for a table, in which choices among numbers are numbers."""
        choices = {name_of(d.word): d for d in self.dimensions if isinstance(d, Choice)}
        return {
            name: choices[name].as_number(value) if name in choices else value
            for name, value in params.items()
        }

    def distributions(self) -> "dict[str, BaseDistribution]":
        """Return all dimensions for Optuna."""
        return {name_of(d.word): d.distribution() for d in self.dimensions}

    def described(self) -> list[dict[str, Any]]:
        """Return it JSON-ready; equal texts are equal spaces."""
        return [{"kind": type(d).__name__.lower(), **_plain(asdict(d))} for d in self.dimensions]

    def corners(self) -> list[Params]:
        """Return points that meet every choice and every end of a range at least once."""
        ends: list[Sequence[Value]] = []
        for d in self.dimensions:
            if isinstance(d, Choice):
                ends.append(d.values)
            elif isinstance(d, Interval) and d.whole:
                ends.append((int(d.low), int(d.high)))
            else:
                ends.append((d.low, d.high))
        most = max((len(some) for some in ends), default=0)
        points = (tuple(some[min(k, len(some) - 1)] for some in ends) for k in range(most))
        return [dict(zip(self.names, point, strict=True)) for point in points]


def name_of(word: str) -> str:
    """Return a key without the signs before it."""
    return word.lstrip("+")


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }

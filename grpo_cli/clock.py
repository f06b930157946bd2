"""Where the time goes: wall time split into named parts that sum to the whole.

Functions carry the name of the part of an update that they are (`part`). The mark changes nothing;
only inside `timed` are marked functions replaced by ones that tell a clock, so that a run that is
not profiled pays nothing.
"""

import functools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FunctionType, ModuleType
from typing import Any, TypeVar

PACKAGE = __name__.partition(".")[0]
OTHER = "other"

F = TypeVar("F", bound=Callable[..., Any])


class Clock:
    """Splits wall time into parts, each named when it is over.

    Attributes:
        seconds: of each part so far; they sum to the time from the start to the last lap.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Give the time since the last lap a name."""
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now


class Nested(Clock):
    """Splits wall time into parts inside each other, while it runs.

    A moment belongs to the innermost part that is open, under the outermost: `sample/env step`.

    Args:
        settle: called before every look at the time, such as to wait for a device.

    Attributes:
        runs: what passes while it stands still belongs to no part.
        around: of the name of a part, a context in which it is to happen.
    """

    def __init__(self, settle: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.runs = False
        self.around: Callable[[str], AbstractContextManager[Any]] | None = None
        self._settle = settle
        self._open: list[tuple[str, AbstractContextManager[Any] | None]] = []

    def run(self, on: bool) -> None:
        """Go, or stand still."""
        self._turn()
        self.runs = on

    def begin(self, name: str) -> None:
        """Enter a part."""
        self._turn()
        inside = None if self.around is None else self.around(name)
        if inside is not None:
            inside.__enter__()
        self._open.append((f"{self._open[0][0]}/{name}" if self._open else name, inside))

    def end(self) -> None:
        """Leave it."""
        self._turn()
        inside = self._open.pop()[1]
        if inside is not None:
            inside.__exit__(None, None, None)

    def _turn(self) -> None:
        if self.runs and self._settle is not None:
            self._settle()
        if self.runs:
            self.lap(self._open[-1][0] if self._open else OTHER)
        else:
            self._last = time.perf_counter()


def part(name: str) -> Callable[[F], F]:
    """Mark a function as a part of an update; it stays what it is."""

    def mark(function: F) -> F:
        function.__dict__["part"] = name
        return function

    return mark


@contextmanager
def timed(clock: Nested) -> Iterator[None]:
    """Let marked functions tell `clock` when they begin and end.

    They are replaced in the modules and classes of this package that are loaded, so what took hold
    of one before, such as a partial function, goes on with the silent one.
    """
    before = [
        (owner, name, value)
        for owner in _owners()
        for name, value in vars(owner).items()
        if isinstance(value, FunctionType) and "part" in vars(value)
    ]
    telling = {value: _telling(value, clock) for _, _, value in before}
    for owner, name, value in before:
        setattr(owner, name, telling[value])
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _telling(function: Callable[..., Any], clock: Nested) -> Callable[..., Any]:
    name = vars(function)["part"]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes
        clock.begin(name)
        try:
            return function(*args, **kwargs)
        finally:
            clock.end()

    return call


def _owners() -> list[ModuleType | type]:
    """Return the loaded modules of this package and their classes."""
    names = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
    modules = [sys.modules[name] for name in names]
    classes = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return [*modules, *classes]

"""What a person sees while a command works. Everything goes to stderr; stdout is for results."""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from copy import copy
from typing import TYPE_CHECKING

from grpo_cli.sinks.history import Facts
from grpo_cli.sinks.protocol import Metrics, Sink
from grpo_cli.sinks.stderr import say

if TYPE_CHECKING:
    from grpo_cli.sinks.dashboard import Dashboard
    from grpo_cli.sinks.lines import Lines

__all__ = ["Facts", "View"]


class View:
    """Notices, warnings, and the picture of a training run.

    A terminal gets the dashboard, anything else plain lines, and `quiet` or `json` neither.
    Warnings are always shown, those that our modules log too.

    Args:
        quiet: show nothing but warnings.
        json: the same; the result on stdout is for a program.
    """

    def __init__(self, quiet: bool = False, json: bool = False) -> None:
        self._silent = quiet or json
        self._warns = True
        self._prefix = ""
        self._dashboard: Dashboard | None = None
        # Whoever logs below `grpo_cli` is heard through the newest view, above its dashboard.
        logging.getLogger("grpo_cli").handlers = [_Forward(self)]

    def notice(self, text: str) -> None:
        """One dim line."""
        if not self._silent:
            self._say(text, "dim")

    def warn(self, text: str) -> None:
        """One line `warning: ...`, in quiet runs too."""
        if self._warns:
            self._say(f"warning: {self._prefix}{text}", "yellow")

    @property
    def silent(self) -> bool:
        """Whether only warnings are shown."""
        return self._silent

    def muted(self) -> "View":
        """Return this view without notices, for work that is not what the person asked for."""
        other = copy(self)
        other._silent = True
        return other

    def watching(self, facts: Facts, told: Callable[[], float]) -> "Dashboard | Lines":
        """What shows a run that is made elsewhere; `told` is how many seconds it has taken."""
        from grpo_cli.sinks.dashboard import Dashboard
        from grpo_cli.sinks.lines import Lines

        return Dashboard(facts, told=told) if _can_draw() else Lines(facts, told)

    def hushed(self) -> "View":
        """Return this view without warnings too, where another process says the same."""
        other = self.muted()
        other._warns = False
        return other

    def of_rank(self, rank: int) -> "View":
        """Return this view, saying of each line which process it is from."""
        other = copy(self)
        other._prefix = f"process {rank}: "
        return other

    def training(self, facts: Facts, before: Iterable[tuple[int, Metrics]] = ()) -> Sink:
        """The sink that shows a training run until it is closed.

        Args:
            facts: what is known about the run.
            before: what a run that goes on has measured, (env steps, metrics).
        """
        if self._silent:
            return _Silent()
        if not _can_draw():
            # Here, not above: the view is made for every command, and lines only for training.
            from grpo_cli.sinks.lines import Lines

            lines = Lines(facts)
            lines.remember(before)
            return lines
        from grpo_cli.sinks.dashboard import Dashboard

        self._dashboard = Dashboard(facts)
        self._dashboard.remember(before)
        return self._dashboard

    def _say(self, text: str, style: str) -> None:
        line = " ".join(text.split())
        if self._dashboard is not None and self._dashboard.is_up:
            self._dashboard.say(line, style)
            return
        if _can_draw() and not os.environ.get("NO_COLOR"):
            line = {"dim": "\x1b[2m", "yellow": "\x1b[33m"}[style] + line + "\x1b[0m"
        say(line)


class _Silent:
    """A sink that shows nothing."""

    def write(self, step: int, metrics: Metrics) -> None:
        """Take the metrics and show nothing."""

    def close(self) -> None:
        """Nothing was opened."""


class _Forward(logging.Handler):
    """Gives warnings that our modules log to the view."""

    def __init__(self, view: View) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        self._view.warn(record.getMessage())


def _can_draw() -> bool:
    """Whether stderr is a terminal that can move its cursor and show more than ASCII."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return (sys.stderr.encoding or "").lower() == "utf-8"

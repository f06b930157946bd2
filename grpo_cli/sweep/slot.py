"""A place for a trial, and the process that works there."""

import selectors
from collections.abc import Callable, Iterator
from pathlib import Path

from grpo_cli.sweep.attempt import STOPPED, Attempt
from grpo_cli.sweep.child import Event, Process
from grpo_cli.sweep.claims import Row
from grpo_cli.sweep.plan import Plan


class Slot:
    """A place for a trial.

    Args:
        plan: of the sweep.
        selector: is told of the process's events.
        make: starts a process, which prints into a file until its first job.

    Attributes:
        attempt: the trial that runs here, or None.
    """

    def __init__(
        self, plan: Plan, selector: selectors.BaseSelector, make: Callable[[Path], Process]
    ) -> None:
        self.attempt: Attempt | None = None
        self._plan, self._selector, self._make = plan, selector, make
        self._child: Process | None = None

    def begin(self, attempt: Attempt) -> None:
        """Work on a trial, in a new process unless there is a warm one."""
        self.attempt = attempt
        self._work(attempt)

    def _work(self, attempt: Attempt) -> None:
        if self._child is None:
            first = self._plan.run_folder(attempt.row.kind, attempt.row.number, self._plan.seed)
            self._child = self._make(first.parent / "log.txt")
            self._selector.register(self._child.events, selectors.EVENT_READ)
        self._child.send(attempt.job())

    def listen(self) -> Iterator[Row]:
        """Take in what the process says; yields the trial, when it is over."""
        child = self._child
        if child is None:
            return
        for event in child.heard():
            if self.attempt is not None:
                yield from self._hear(self.attempt, child, event)
        if child.ended and child is self._child:
            how = self._drop(child)
            if self.attempt is not None:
                yield self._over(self.attempt, self.attempt.died(how, child.lost))

    def _hear(self, attempt: Attempt, child: Process, event: Event) -> Iterator[Row]:
        said = attempt.hear(event)
        if said == "stop":
            child.stop()
        elif said == "next":
            self._work(attempt)
        elif said is not None:
            if not (self._plan.reuse and _is_clean(attempt, event)):
                self._drop(child)
            yield self._over(attempt, said)

    def _over(self, attempt: Attempt, state: str) -> Row:
        self.attempt = None
        attempt.row.state = state
        return attempt.row

    def stop(self) -> None:
        """Ask the process to save and end, for the sweep is to end."""
        if self.attempt is not None and self._child is not None:
            self.attempt.asked = self.attempt.asked or "sweep"
            self._child.stop()

    def kill(self) -> list[Row]:
        """End the process at once; returns the trial that ran there."""
        how = "" if self._child is None else self._drop(self._child)
        attempt = self.attempt
        if attempt is None:
            return []
        attempt.asked = attempt.asked or "sweep"
        return [self._over(attempt, attempt.died(how))]

    def _drop(self, child: Process) -> str:
        self._selector.unregister(child.events)
        self._child = None
        return child.kill()


def _is_clean(attempt: Attempt, event: Event) -> bool:
    """Say whether a process may have another trial.

    What a failure leaves behind in it nobody knows, nor whether a request to end is still on its
    way to one that was done before it heard.
    """
    if attempt.asked:
        return event["event"] == "error" and event["exit_code"] in STOPPED
    return event["event"] == "done"

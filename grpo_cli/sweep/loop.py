"""The loop of a sweep: claim a number, ask what to try, let a process train, tell what came of it.

One thread. Several such processes, on several computers, may work on the same sweep; what they
share is the database.
"""

import selectors
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

from grpo_cli.errors import Stopped
from grpo_cli.stop import HEARD
from grpo_cli.sweep.attempt import Attempt
from grpo_cli.sweep.child import Process
from grpo_cli.sweep.claims import (
    BEAT_S,
    COMPLETE,
    FAILED,
    FRESH,
    RUNNING,
    TRIAL,
    WAITING,
    Claims,
    Row,
)
from grpo_cli.sweep.plan import Plan
from grpo_cli.sweep.slot import Slot
from grpo_cli.sweep.space import Params
from grpo_cli.sweep.study import Study

PATIENCE_S = 60.0
"""How long a run may take to save when the sweep is to end."""
LOOK_S = 1.0
"""How often to look whether somebody else's trial has ended, or its owner died."""


class Show(Protocol):
    """What a person sees of a sweep."""

    def rows(self, rows: list[Row], importances: dict[str, float]) -> None:
        """Take the claims, after one of them has changed."""
        ...

    def running(self, attempts: list[Attempt]) -> None:
        """Take what runs, after an evaluation."""
        ...

    def notice(self, text: str) -> None:
        """Say one line."""
        ...


class Loop:
    """Works on a sweep until all of its trials are over.

    Args:
        plan: what to do.
        study: Optuna's.
        claims: who works on what.
        show: what a person sees.
        write: writes the sweep's files from its rows.
        refused: says why a point of the space cannot be trained; nothing where it can.
        make: starts a process that trains.
    """

    def __init__(
        self, plan: Plan, study: Study, claims: Claims, show: Show,
        write: Callable[[list[Row]], None], refused: Callable[[Params], str],
        make: Callable[[Path], Process],
    ) -> None:  # fmt: skip
        self._plan, self._study, self._claims = plan, study, claims
        self._show, self._write, self._refused = show, write, refused
        self._selector = selectors.DefaultSelector()
        self._slots = [Slot(plan, self._selector, make) for _ in range(plan.workers)]
        self._started = time.monotonic()
        self._beaten = self._looked = 0.0
        self._asked_by: list[signal.Signals] = []

    def run(self) -> list[Row]:
        """Work until all trials are over, and the finalists' runs on fresh seeds.

        Returns:
            The rows.

        Raises:
            Stopped: a signal ended it; the same command goes on.
        """
        with ExitStack() as stack:
            stack.enter_context(self._claims.alive())
            stack.enter_context(self._listening())
            stack.callback(self._selector.close)
            stack.callback(self._kill_all)
            self._study.agree(self._claims.rows)
            rows, changed = self._changed(), False
            while not self._is_over(rows):
                if self._asked_by:
                    self._end()
                filled = self._fill(rows)
                if filled is not rows or changed:
                    rows = self._changed()  # now that nobody waits for it
                self._wait()
                self._beat()
                changed = self._listen()
                if changed or time.monotonic() - self._looked > LOOK_S:
                    rows = self._read()
            self._study.agree(self._claims.rows)
            return self._changed()

    def _read(self) -> list[Row]:
        self._looked = time.monotonic()
        return self._claims.rows()

    def _changed(self) -> list[Row]:
        rows = self._read()
        self._write(rows)
        self._show.rows(rows, self._study.importances())
        return rows

    def _fill(self, rows: list[Row]) -> list[Row]:
        """Give every free slot something to do, as far as there is something."""
        for slot in self._slots:
            while slot.attempt is None:
                row = self._next(rows)
                if row is None:
                    return rows
                self._begin(slot, row)
                rows = self._read()
        return rows

    def _next(self, rows: list[Row]) -> Row | None:
        """Claim a row: one that was left behind, else the next number, else a finalist's run."""
        for row in rows:
            left = row.state == WAITING or self._claims.is_dead(row)
            if left and self._claims.take_over(row):
                return row
        while self._may_begin(rows):
            row = Row(TRIAL, sum(row.kind == TRIAL for row in rows), 0, RUNNING)
            if self._claims.claim(row):
                return row
            rows = self._claims.rows()
        for row in self._unclaimed_finals(rows):
            if self._claims.claim(row):
                return row
        return None

    def _may_begin(self, rows: list[Row]) -> bool:
        count = sum(row.kind == TRIAL for row in rows)
        budget = self._plan.budget_s
        in_time = budget is None or time.monotonic() - self._started < budget
        return in_time and (self._plan.trials is None or count < self._plan.trials)

    def _unclaimed_finals(self, rows: list[Row]) -> Iterator[Row]:
        """Yield the runs on fresh seeds that nobody has begun, once all trials are over."""
        if any(row.kind == TRIAL and not row.over for row in rows) or self._may_begin(rows):
            return
        begun = {(row.number, row.part) for row in rows if row.kind == FRESH}
        for best in ranked(self._plan, rows)[: self._plan.finalists]:
            for part in range(self._plan.confirm):
                if (best.number, part) not in begun:
                    yield Row(FRESH, best.number, part, RUNNING, params=best.params)

    def _is_over(self, rows: list[Row]) -> bool:
        idle = all(slot.attempt is None for slot in self._slots)
        if not idle or self._may_begin(rows) or not all(row.over for row in rows):
            return False
        return next(self._unclaimed_finals(rows), None) is None

    def _begin(self, slot: Slot, row: Row) -> None:
        if row.kind == TRIAL:
            why = self._study.ask(row, self._refused)
            self._claims.begin(row)
            if why:
                row.state, row.facts["error"] = FAILED, why
                return self._close([row])
        slot.begin(Attempt(self._plan, self._study, row))

    def _wait(self) -> None:
        """Wait for an event, not longer than until something has to be looked at."""
        if self._selector.get_map():
            self._selector.select(LOOK_S)
        else:
            time.sleep(LOOK_S / 2)

    def _listen(self) -> bool:
        """Take in what the processes say; returns whether a trial ended."""
        over = [row for slot in self._slots for row in slot.listen()]
        self._close(over)
        self._show.running([slot.attempt for slot in self._slots if slot.attempt is not None])
        return bool(over)

    def _close(self, rows: list[Row]) -> None:
        """Store what came of trials; what another process has taken over is not ours to tell."""
        for row in rows:
            if row.state == WAITING:
                self._claims.give_back(row)
                if not self._asked_by:
                    self._show.notice(f"{row.kind} {row.number}: its computer was lost; it goes on")
            elif self._claims.finish(row) and row.kind == TRIAL:
                self._study.tell(row)

    def _beat(self) -> None:
        """Give a sign of life; leave a trial that somebody else has taken for dead."""
        if time.monotonic() - self._beaten < BEAT_S:
            return
        self._beaten = time.monotonic()
        working = [slot.attempt.row for slot in self._slots if slot.attempt is not None]
        lost = self._claims.beat(working)
        for slot in self._slots:
            if slot.attempt is not None and slot.attempt.row in lost:
                self._show.notice(f"{slot.attempt.name} was taken over by another process")
                slot.kill()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear Ctrl-C and SIGTERM."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, frame: object) -> None:
        self._asked_by.append(signal.Signals(number))

    def _end(self) -> NoReturn:
        """Let the runs save, give back what is not over, and say how to go on."""
        why, code = HEARD[self._asked_by[0]]
        until = time.monotonic() + PATIENCE_S
        self._show.notice("saving what runs; asked again, it stops at once")
        for slot in self._slots:
            slot.stop()
        while any(slot.attempt for slot in self._slots):
            if len(self._asked_by) > 1 or time.monotonic() > until:
                self._kill_all()
            self._wait()
            self._listen()
        rows = self._changed()
        over = sum(row.over for row in rows if row.kind == TRIAL)
        of = "" if self._plan.trials is None else f" of {self._plan.trials}"
        raise Stopped(f"{why} after {over}{of} trials", "the same command goes on", code)

    def _kill_all(self) -> None:
        self._close([row for slot in self._slots for row in slot.kill()])


def ranked(plan: Plan, rows: list[Row]) -> list[Row]:
    """Return the complete trials that keep the constraint, the best first."""
    good = [
        row
        for row in rows
        if row.kind == TRIAL and row.state == COMPLETE and (row.facts.get("excess") or 0) <= 0
    ]
    sign = -1 if plan.maximize else 1
    return sorted(good, key=lambda row: (sign * (row.value or 0.0), row.number))

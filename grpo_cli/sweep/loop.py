"""The loop of a sweep: claim a number, ask what to try, let a process train, tell what came of it.

One thread. Several such processes, on several computers, may work on the same sweep; what they
share is the database.
"""

import selectors
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from grpo_cli.errors import Stopped
from grpo_cli.stop import HEARD
from grpo_cli.sweep.attempt import STOPPED, Attempt
from grpo_cli.sweep.child import Child
from grpo_cli.sweep.claims import BEAT_S, COMPLETE, FRESH, RUNNING, TRIAL, WAITING, Claims, Row
from grpo_cli.sweep.plan import Plan
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


@dataclass
class Slot:
    """A place for a trial, and the process that works there."""

    child: Child | None = None
    attempt: Attempt | None = None


class Loop:
    """Works on a sweep until all of its trials are over.

    Args:
        plan: what to do.
        study: Optuna's.
        claims: who works on what.
        show: what a person sees.
        write: writes the sweep's files from its rows.
    """

    def __init__(
        self, plan: Plan, study: Study, claims: Claims, show: Show,
        write: Callable[[list[Row]], None],
    ) -> None:  # fmt: skip
        self._plan, self._study, self._claims = plan, study, claims
        self._show, self._write = show, write
        self._slots = [Slot() for _ in range(plan.workers)]
        self._selector = selectors.DefaultSelector()
        self._started = time.monotonic()
        self._beaten = self._looked = 0.0
        self._signal: signal.Signals | None = None
        self._signals = 0

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
            rows = self._changed()
            while not self._is_over(rows):
                if self._signals:
                    self._end(rows)
                before = rows
                rows = self._fill(rows)
                self._wait()
                self._beat()
                if self._listen() or rows is not before:
                    rows = self._changed()
                elif time.monotonic() - self._looked > LOOK_S:
                    rows = self._read()
            self._study.agree(self._claims.rows)
            return rows

    def _read(self) -> list[Row]:
        self._looked = time.monotonic()
        return self._claims.rows()

    def _changed(self) -> list[Row]:
        rows = self._read()
        self._write(rows)
        self._show.rows(rows, self._study.importances() if _is_known(rows) else {})
        return rows

    def _fill(self, rows: list[Row]) -> list[Row]:
        """Give every free slot something to do, as far as there is something."""
        for slot in self._slots:
            if slot.attempt is not None:
                continue
            row = self._next(rows)
            if row is None:
                break
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
            self._study.ask(row)
            self._claims.begin(row)
        slot.attempt = Attempt(self._plan, self._study, row)
        self._work(slot)

    def _work(self, slot: Slot) -> None:
        """Send the next job to the slot's process, a new one unless there is a warm one."""
        assert slot.attempt is not None
        job = slot.attempt.job()
        if slot.child is None:
            folder = self._plan.folder / f"{slot.attempt.row.kind}-{slot.attempt.row.number:04d}"
            slot.child = Child(folder / "log.txt")
            self._selector.register(slot.child.events, selectors.EVENT_READ)
        slot.child.send(job)

    def _wait(self) -> None:
        """Wait for an event, not longer than until something has to be looked at."""
        if self._selector.get_map():
            self._selector.select(LOOK_S)
        else:
            time.sleep(LOOK_S / 2)

    def _listen(self) -> bool:
        """Take in what the processes say; returns whether a trial ended."""
        ended = False
        for slot in self._slots:
            if slot.child is None:
                continue
            for event in slot.child.heard():
                if slot.attempt is not None:
                    ended |= self._hear(slot, event)
            if slot.child is not None and slot.child.ended:
                how = self._drop(slot)
                if slot.attempt is not None:
                    ended |= self._close(slot, slot.attempt.died(how))
        self._show.running([slot.attempt for slot in self._slots if slot.attempt is not None])
        return ended

    def _hear(self, slot: Slot, event: dict[str, Any]) -> bool:
        assert slot.attempt is not None
        said = slot.attempt.hear(event)
        if said == "stop" and slot.child is not None:
            slot.child.stop()
        if said in (None, "stop"):
            return False
        if said == "next":
            self._work(slot)
            return False
        # What a failure leaves behind in a process nobody knows, nor whether a request to end it
        # is still on its way to one that was done before it heard.
        stopped = event["event"] == "error" and event["exit_code"] in STOPPED
        clean = stopped if slot.attempt.asked else event["event"] == "done"
        if not (self._plan.reuse and clean):
            self._drop(slot)
        return self._close(slot, said)

    def _close(self, slot: Slot, state: str) -> bool:
        """Store what came of a trial; what another process has taken over is not ours to tell."""
        assert slot.attempt is not None
        row, slot.attempt = slot.attempt.row, None
        if state == WAITING:
            self._claims.give_back(row)
        elif self._claims.finish(row) and row.kind == TRIAL:
            self._study.tell(row)
        return True

    def _drop(self, slot: Slot) -> str:
        """End a slot's process."""
        child, slot.child = slot.child, None
        assert child is not None
        self._selector.unregister(child.events)
        return child.kill()

    def _beat(self) -> None:
        """Give a sign of life; leave a trial that somebody else has taken for dead."""
        if time.monotonic() - self._beaten < BEAT_S:
            return
        self._beaten = time.monotonic()
        working = [slot for slot in self._slots if slot.attempt is not None]
        lost = self._claims.beat([slot.attempt.row for slot in working if slot.attempt])
        for slot in working:
            if slot.attempt is not None and slot.attempt.row in lost:
                self._show.notice(f"{slot.attempt.name} was taken over by another process")
                slot.attempt = None
                if slot.child is not None:
                    slot.child.stop()
                    self._drop(slot)

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
        self._signal, self._signals = signal.Signals(number), self._signals + 1

    def _end(self, rows: list[Row]) -> None:
        """Let the runs save, give back what is not over, and say how to go on."""
        assert self._signal is not None
        why, code = HEARD[self._signal]
        until = time.monotonic() + PATIENCE_S
        self._show.notice("saving what runs; asked again, it stops at once")
        for slot in self._slots:
            if slot.attempt is not None and slot.child is not None:
                slot.attempt.asked = slot.attempt.asked or "sweep"
                slot.child.stop()
        while any(slot.attempt for slot in self._slots):
            if self._signals > 1 or time.monotonic() > until:
                self._kill_all()
            self._wait()
            self._listen()
        rows = self._changed()
        over = sum(row.over for row in rows if row.kind == TRIAL)
        of = "" if self._plan.trials is None else f" of {self._plan.trials}"
        raise Stopped(f"{why} after {over}{of} trials", "the same command goes on", code)

    def _kill_all(self) -> None:
        for slot in self._slots:
            if slot.child is None:
                continue
            how = self._drop(slot)
            if slot.attempt is not None:
                slot.attempt.asked = slot.attempt.asked or "sweep"
                self._close(slot, slot.attempt.died(how))


def ranked(plan: Plan, rows: list[Row]) -> list[Row]:
    """Return the complete trials that keep the constraint, the best first; of equals the earlier."""
    good = [
        row
        for row in rows
        if row.kind == TRIAL and row.state == COMPLETE and (row.facts.get("excess") or 0) <= 0
    ]
    sign = -1 if plan.maximize else 1
    return sorted(good, key=lambda row: (sign * (row.value or 0.0), row.number))


def _is_known(rows: list[Row]) -> bool:
    """Say whether there are enough trials for anything to be said of what mattered."""
    return sum(row.state == COMPLETE for row in rows) >= 8

"""Who works on which trial: a table of our own, beside Optuna's.

Optuna counts what it was asked for, so a process that dies between asking and telling leaves a
trial too many. Here a number is claimed first: the primary key gives it to one process only, a dead
one's is taken over under the same number, and what comes of it is accepted from its owner alone.
"""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

from grpo_cli.sweep.space import Params

BEAT_S = 5.0
"""Distance between two signs of life."""
DEAD_S = 60.0
"""A claim without one for so long is somebody else's; on one computer a lock tells at once."""

TRIAL, FRESH = "trial", "fresh"
RUNNING, WAITING, COMPLETE, PRUNED, FAILED = "running", "waiting", "complete", "pruned", "failed"
OVER = (COMPLETE, PRUNED, FAILED)


@dataclass
class Row:
    """A trial, or a run of a finalist on a fresh seed.

    Attributes:
        kind: `trial` or `fresh`.
        number: of the trial.
        part: of fresh runs, which one; 0 of trials.
        state: running, waiting (given back), complete, pruned or failed.
        owner: who works on it, or did.
        attempt: how often it was begun.
        optuna: the id of Optuna's trial, once it was asked for.
        params: what it tries, once that is known.
        value: the objective, when complete.
        facts: what else came of it; JSON-ready.
        stale_s: seconds since its owner's last sign of life.
    """

    kind: str
    number: int
    part: int
    state: str
    owner: str = ""
    attempt: int = 1
    optuna: int | None = None
    params: Params | None = None
    value: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    stale_s: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in OVER


class Claims:
    """The table of a study.

    Args:
        engine: of the database.
        study: its name.
        folder: where this computer's owners keep their locks.
    """

    def __init__(self, engine: "Engine", study: str, folder: Path) -> None:
        import sqlalchemy as sa
        from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

        self._sa, self._engine, self._study = sa, engine, study
        self._taken = IntegrityError
        self._locks = folder / "owners"
        self.owner = f"{socket.gethostname()}/{secrets.token_hex(8)}"
        self._table = sa.Table(
            "grpo_claims",
            sa.MetaData(),
            sa.Column("study", sa.String(255), primary_key=True),
            sa.Column("kind", sa.String(8), primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("state", sa.String(8), nullable=False),
            sa.Column("owner", sa.String(255), nullable=False),
            sa.Column("beat", sa.Float, nullable=False),
            sa.Column("attempt", sa.Integer, nullable=False),
            sa.Column("optuna", sa.Integer),
            sa.Column("params", sa.Text),
            sa.Column("value", sa.Float),
            sa.Column("facts", sa.Text, nullable=False),
        )
        clock = {
            "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
            "postgresql": "extract(epoch from clock_timestamp())",
        }
        # The database's clock: those of several computers differ.
        self._now = sa.literal_column(clock[engine.dialect.name], sa.Float)
        # Two processes that begin together may both find no table.
        with suppress(OperationalError, ProgrammingError, IntegrityError):
            self._table.create(engine, checkfirst=True)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold a lock that ends with this process, so that others here know of its death."""
        self._locks.mkdir(parents=True, exist_ok=True)
        path = self._lock(self.owner)
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            with suppress(OSError):  # a file system without locks: the heartbeat has to do
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)

    def rows(self) -> list[Row]:
        """Return all rows, trials first, by number."""
        t = self._table.c
        asked = self._sa.select(*self._table.c, (self._now - t.beat).label("stale_s")).where(
            t.study == self._study
        )
        with self._engine.begin() as link:
            found = [_row(entry._mapping) for entry in link.execute(asked)]
        return sorted(found, key=lambda row: (row.kind != TRIAL, row.number, row.part))

    def claim(self, row: Row) -> bool:
        """Insert a new row as one's own; False where another process was faster."""
        values = {
            "study": self._study, "kind": row.kind, "number": row.number, "part": row.part,
            "state": RUNNING, "owner": self.owner, "beat": self._now, "attempt": 1,
            "params": _json(row.params), "facts": json.dumps(row.facts),
        }  # fmt: skip
        try:
            with self._engine.begin() as link:
                link.execute(self._table.insert().values(values))
        except self._taken:
            return False
        row.state, row.owner = RUNNING, self.owner
        return True

    def take_over(self, row: Row) -> bool:
        """Take a row whose owner is dead or gave it back; False where another process did."""
        t = self._table.c
        change = {
            "state": RUNNING, "owner": self.owner, "beat": self._now, "attempt": row.attempt + 1,
        }  # fmt: skip
        same = (t.state == row.state) & (t.owner == row.owner) & (t.attempt == row.attempt)
        if not self._change(row, change, same):
            return False
        row.state, row.owner, row.attempt = RUNNING, self.owner, row.attempt + 1
        return True

    def is_dead(self, row: Row) -> bool:
        """Say whether nobody works on a row although it is claimed."""
        if row.state != RUNNING or row.owner == self.owner:
            return False
        if row.stale_s > DEAD_S:
            return True
        host = row.owner.partition("/")[0]
        return host == socket.gethostname() and self._lock_is_free(row.owner)

    def begin(self, row: Row) -> bool:
        """Store what a trial tries."""
        return self._mine(row, {"optuna": row.optuna, "params": _json(row.params)})

    def finish(self, row: Row) -> bool:
        """Store what came of a row; False where it had been taken over meanwhile."""
        return self._mine(
            row, {"state": row.state, "value": row.value, "facts": json.dumps(row.facts)}
        )

    def give_back(self, row: Row) -> bool:
        """Let the next process go on with a row at once."""
        return self._mine(row, {"state": WAITING})

    def beat(self, rows: list[Row]) -> list[Row]:
        """Give a sign of life; returns the rows that are one's own no more."""
        return [row for row in rows if not self._mine(row, {"beat": self._now})]

    def _mine(self, row: Row, change: dict[str, Any]) -> bool:
        t = self._table.c
        same = (t.owner == self.owner) & (t.state == RUNNING) & (t.attempt == row.attempt)
        return self._change(row, change, same)

    def _change(self, row: Row, change: dict[str, Any], condition: Any) -> bool:  # noqa: ANN401
        t = self._table.c
        this = (t.study == self._study) & (t.kind == row.kind)
        this &= (t.number == row.number) & (t.part == row.part)
        with self._engine.begin() as link:
            done = link.execute(self._table.update().where(this & condition).values(change))
        return done.rowcount == 1

    def _lock(self, owner: str) -> Path:
        return self._locks / f"{owner.rpartition('/')[2]}.lock"

    def _lock_is_free(self, owner: str) -> bool:
        """Say whether an owner's lock is there and nobody holds it: the process is gone."""
        try:
            handle = os.open(self._lock(owner), os.O_RDWR)
        except OSError:
            return False  # another file system's, or one that ended in peace: the beat decides
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True


def _json(params: Params | None) -> str | None:
    return None if params is None else json.dumps(params)


def _row(entry: Any) -> Row:  # noqa: ANN401 - SQLAlchemy's mapping
    return Row(
        kind=entry["kind"],
        number=entry["number"],
        part=entry["part"],
        state=entry["state"],
        owner=entry["owner"],
        attempt=entry["attempt"],
        optuna=entry["optuna"],
        params=None if entry["params"] is None else json.loads(entry["params"]),
        value=entry["value"],
        facts=json.loads(entry["facts"]),
        stale_s=float(entry["stale_s"]),
    )

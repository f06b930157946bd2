"""A queue of runs that keeps every result at once: another call goes on where one stopped."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

Rows = list[dict[str, Any]]


def read(file: Path) -> Rows:
    """Return the results that are there."""
    return json.loads(file.read_text()) if file.exists() else []


def work_through(
    queue: Sequence[tuple[Any, ...]],
    run: Callable[..., dict[str, Any]],
    rows: Rows,
    file: Path,
    *,
    minutes: float,
    workers: int,
) -> Rows:
    """Run what is in the queue until the time is up; returns all results.

    Args:
        queue: arguments of `run`.
        run: runs once; returns the result.
        rows: the results that are there, which grow.
        file: where they are kept, one on each line.
        minutes: after which no run begins.
        workers: runs side by side.
    """
    end, lock = time.monotonic() + 60 * minutes, Lock()

    def work(place: tuple[Any, ...]) -> None:
        if time.monotonic() > end:
            return
        row = run(*place)
        with lock:
            rows.append(row)
            file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
        print(json.dumps(row), flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, queue))
    return rows

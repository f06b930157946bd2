"""Following a run that another process makes, or has made: what it adds to its files."""

import json
import math
from pathlib import Path

import numpy as np

Numbers = dict[str, float | np.ndarray]
# What an update consists of, for the seconds that a run has taken.
SPENT = ("sample", "update", "eval", "other", "log")


class Follower:
    """Reads `metrics.jsonl` as it grows.

    Args:
        path: the run's folder.

    Attributes:
        seconds: that the run has taken up to the last update read, as its files tell.
    """

    def __init__(self, path: Path) -> None:
        self.seconds = 0.0
        self._path = path
        self._at = 0

    def read(self) -> list[tuple[int, Numbers]]:
        """Return the updates since the last call, (env steps, metrics).

        A run that goes on from an earlier checkpoint is followed from its new end. The last update
        brings the advantages that `groups.jsonl` kept last, by their histogram.
        """
        updates = [update for line in self._lines() if (update := _parsed(line)) is not None]
        for _, numbers in updates:
            self.seconds += sum(float(numbers.get(f"time/{name}_s", 0.0)) for name in SPENT)
        if updates and (sample := self._advantages()) is not None:
            updates[-1][1]["hist/advantage"] = sample
        return updates

    def _lines(self) -> list[bytes]:
        """Return whole new lines; what is being written comes next time."""
        try:
            with (self._path / "metrics.jsonl").open("rb") as file:
                size = file.seek(0, 2)
                self._at = min(self._at, size)
                file.seek(self._at)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._at += len(whole) + len(newline)
        return whole.splitlines()

    def _advantages(self) -> np.ndarray | None:
        try:
            text = (self._path / "groups.jsonl").read_text()
            found = json.loads(text.rpartition("\n")[0].rpartition("\n")[2])["spread"]
            edges = np.linspace(found["low"], found["high"], len(found["counts"]) + 1)
            return np.repeat((edges[1:] + edges[:-1]) / 2, found["counts"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _parsed(line: bytes) -> tuple[int, Numbers] | None:
    try:
        numbers = json.loads(line)
        step = int(numbers.pop("step"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return step, {n: v if isinstance(v, int | float) else math.nan for n, v in numbers.items()}

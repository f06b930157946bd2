"""groups.jsonl: now and then, who was compared with whom and what came of it, member by member.

The first updates are all kept and later ones ever more rarely, so that the file stays small however
long a run is: about 60 lines of 10,000 updates.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from grpo_cli.sinks.logfile import LogFile
from grpo_cli.sinks.protocol import Metrics

# The next line comes when so many times the updates have been made.
RARER = 1.15
MOST_GROUPS, MOST_MEMBERS = 8, 32
BINS = 24
COLUMNS = ("return", "steps", "advantage")


class Groups:
    """Append one line of JSON for some of the updates.

    A line has `step`, `update`, `num_groups`, `spread` (a histogram of the advantages of all rows:
    low, high, counts), and for each of the first eight groups `return`, `steps` and `advantage`
    (mean over its steps) of each of its first 32 members.

    Args:
        path: the file; lines are appended when it exists.
        after: updates of the checkpoint that a resumed run goes on from.
    """

    def __init__(self, path: Path, after: int = 0) -> None:
        self._file = LogFile(path)
        self._update = after
        self._next = after + 1

    def write(self, step: int, metrics: Metrics) -> None:
        """Append a line if this update is to be kept."""
        self._update += 1
        if self._update < self._next or "members/group" not in metrics:
            return
        self._next = max(self._update + 1, round(self._update * RARER))
        group, *columns = (np.asarray(metrics[f"members/{name}"]) for name in ("group", *COLUMNS))
        count = int(group.max()) + 1
        groups = []
        for number in range(min(MOST_GROUPS, count)):
            of = group == number
            rows = zip(COLUMNS, (column[of][:MOST_MEMBERS] for column in columns), strict=True)
            groups.append({name: [_short(x) for x in row] for name, row in rows})
        line = {
            "step": step,
            "update": self._update,
            "num_groups": count,
            "spread": _histogram(np.asarray(metrics["hist/advantage"])),
            "groups": groups,
        }
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _histogram(sample: np.ndarray) -> dict[str, Any] | None:
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return None
    counts, edges = np.histogram(finite, bins=BINS)
    return {"low": _short(edges[0]), "high": _short(edges[-1]), "counts": counts.tolist()}


def _short(value: float) -> float | None:
    """Return five digits of a number: more cannot be seen; None where it is not finite."""
    short = float(f"{float(value):.5g}")
    return short if short - short == 0 else None

"""metrics.jsonl: one line of JSON per update, for programs."""

import json
import math
from pathlib import Path

from grpo_cli.sinks.logfile import LogFile
from grpo_cli.sinks.protocol import Metrics, scalars


class Jsonl:
    """Append `{"step": n, name: number, ...}` per update; arrays are left out.

    JSON knows no NaN and no infinity: they become null.

    Args:
        path: the file; lines are appended when it exists.
    """

    def __init__(self, path: Path) -> None:
        self._file = LogFile(path)

    def write(self, step: int, metrics: Metrics) -> None:
        """Append one line and flush it."""
        numbers = scalars(metrics).items()
        line = {"step": step} | {n: v if math.isfinite(v) else None for n, v in numbers}
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

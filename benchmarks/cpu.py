"""CPU seconds of a command and of everything that it starts, looked at while it runs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from learn import ONE_THREAD


def cpu_us(words: str, folder: str, core: int, skip: int) -> float:
    """CPU microseconds of all processes of a training for each env step, pinned to one core.

    What waits uses none, so it says what learning in two processes costs beside learning in one,
    on a computer that others use as well. It is looked at whenever an update has been logged.

    Args:
        words: for `grpo train`, a name among them.
        folder: to train in.
        core: to be pinned to.
        skip: updates that do not count: they import, allocate and fill caches.
    """
    command = ["taskset", "-c", str(core), sys.executable, "-m", "grpo_cli", "train", "-q"]
    environment = {**os.environ, **ONE_THREAD}
    process = subprocess.Popen(
        [*command, *words.split()], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    name = next(w.removeprefix("name=") for w in words.split() if w.startswith("name="))
    seen: list[tuple[int, float]] = []
    while process.poll() is None:
        for path in Path(folder).glob(f"runs/*/{name}-*/metrics.jsonl"):
            lines = path.read_text().splitlines()
            if len(lines) > len(seen) and lines[-1].endswith("}"):
                seen += [(json.loads(lines[-1])["step"], _cpu_s(process.pid))] * (
                    len(lines) - len(seen)
                )
        time.sleep(0.02)
    (first, before), (last, after) = seen[skip - 1], seen[-1]
    return 1e6 * (after - before) / (last - first)


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process and of those that it started."""
    place = Path(f"/proc/{pid}")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    children = (place / f"task/{pid}/children").read_text().split()
    own = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return own + sum(_cpu_s(int(child)) for child in children)

"""The process of a sweep's trials: `python -m grpo_cli.cli.trial EVENTS PARENT`.

Jobs come in on stdin and events go out on the file descriptor EVENTS, a line of JSON each. The
process ends when its stdin does, and dies with its parent.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from grpo_cli.cli.door import describe, warnings_to
from grpo_cli.errors import CheckpointError, GrpoError
from grpo_cli.sinks.protocol import Metrics, Sink, scalars
from grpo_cli.sinks.view import Facts, View

PR_SET_PDEATHSIG = 1
# How long a predecessor that is being killed may still hold the lock of its run.
LOCKED_S = 10.0
MODES = ("greedy", "sampled")

Job = dict[str, Any]


class Wire:
    """Where events go; they are for the parent, whose death is ours too."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def tell(self, event: str, **facts: Any) -> None:
        """Write an event."""
        line = json.dumps({"event": event, **facts}, default=float)
        os.write(self._handle, line.encode() + b"\n")


class Told(View):
    """A view whose training run is watched by another process."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(quiet=True)
        self._wire = wire

    def training(self, facts: Facts, before: Iterable[tuple[int, Metrics]] = ()) -> Sink:
        """The sink that tells of evaluations."""
        return _Evaluations(self._wire)


class _Evaluations:
    """Tells of every evaluation."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def write(self, step: int, metrics: Metrics) -> None:
        """Tell of this update if it was evaluated."""
        mean = _evaluation(scalars(metrics))
        if mean:
            self._wire.tell("eval", step=step, mean=mean)

    def close(self) -> None:
        """Nothing was opened."""


def main() -> None:
    """Do jobs until there are no more."""
    faulthandler.enable(all_threads=False)
    _die_with(int(sys.argv[2]))
    wire = Wire(int(sys.argv[1]))
    with suppress(Exception):  # a job tells what fails in it
        import grpo_cli.config.trial  # noqa: F401 - torch, while the first job is still awaited
    for line in sys.stdin:
        job: Job = json.loads(line)
        _print_to(Path(job["log"]))
        try:
            _work(job, wire)
        except BaseException as error:
            if not isinstance(error, Exception):  # a second request to stop, or a worker's exit
                error = GrpoError(f"ended by {type(error).__name__}")
            told = describe(error)
            sys.stderr.write(told.pop("traceback"))
            sys.stderr.flush()
            wire.tell("error", **told)


def _work(job: Job, wire: Wire) -> None:
    """Train, or go on with what a predecessor began."""
    folder = Path(job["folder"])
    # Here, so that a job tells what fails in them: torch takes seconds, or is not installed.
    from grpo_cli.config.trial import train_trial

    view = Told(wire)
    with warnings_to(view.warn):
        until = time.monotonic() + LOCKED_S
        while True:
            try:
                summary = train_trial(job, folder, view, lambda: _tell_again(folder, wire))
                break
            except CheckpointError as error:
                if "another process" not in error.what or time.monotonic() > until:
                    raise
                time.sleep(0.1)
    wire.tell("done", summary=summary, last=_last(folder, job["metrics"]))


def _tell_again(folder: Path, wire: Wire) -> None:
    """Tell of the evaluations of a run that is gone on with."""
    for metrics in _lines(folder):
        mean = _evaluation(metrics)
        if mean:
            wire.tell("eval", step=metrics["step"], mean=mean)


def _last(folder: Path, names: list[str]) -> dict[str, Any]:
    """Return the last values of some metrics of a run."""
    last: dict[str, Any] = {}
    for metrics in _lines(folder) if names else ():
        last |= {name: metrics[name] for name in names if metrics.get(name) is not None}
    return last


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut


def _evaluation(metrics: dict[str, Any]) -> dict[str, float]:
    names = {mode: f"eval/{mode}/mean_reward" for mode in MODES}
    found = {mode: metrics[name] for mode, name in names.items() if name in metrics}
    return found if len(found) == len(MODES) else {}


def _print_to(path: Path) -> None:
    """Let everything that is printed from now on go to a file, what native code prints too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


def _die_with(parent: int) -> None:
    """End when the parent ends, however that is; only then is a trial nobody's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # where memory runs out it is the trial that goes, not the sweep
            Path("/proc/self/oom_score_adj").write_text("500")
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    """End within a second of the parent, where the system does not see to that."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()

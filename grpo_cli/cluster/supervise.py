"""What is lost on a cluster goes on from the last checkpoint, on what is left."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grpo_cli import manifest
from grpo_cli.errors import EnvError


class Lost(Exception):
    """A process or a computer is gone, and the training with it.

    Args:
        what: one line.
    """


@dataclass(frozen=True)
class Order:
    """What the processes of a training are asked to do.

    Attributes:
        config: the composed configuration, as YAML.
        words: of the command line, kept with the run.
        folder: where the command was typed; all computers must see it, and rank 0 write there.
        places: where Python finds modules of the person's own.
        note: a file into which rank 0 writes the name of the run folder.
        quiet: show nothing but warnings.
        resume: the run or checkpoint to go on with; None: begin.
        changed: keys in which the configuration differs from that of this run.
    """

    config: str
    words: tuple[str, ...]
    folder: str
    places: tuple[str, ...]
    note: str
    quiet: bool
    resume: str | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        summary: of the run; None where it failed, and on other ranks than 0.
        error: what, fix and exit code of its error; None where there was none.
        lost: another process was gone: the training can go on without it.
    """

    summary: dict[str, Any] | None = None
    error: tuple[str, str, int] | None = None
    lost: bool = False


def supervise(
    attempt: Callable[[Order], Outcome],
    order: Order,
    max_failures: int,
    say: Callable[[str], None],
) -> Outcome:
    """Run a training to its end, again from its last checkpoint where something was lost.

    Args:
        attempt: runs it once on what there is; raises `Lost`.
        order: what is asked for.
        max_failures: how often in a row it may be lost without a new checkpoint in between.
        say: says one line.

    Raises:
        EnvError: lost too often.
    """
    failures = 0
    while True:
        before = _steps(order)
        try:
            return attempt(order)
        except Lost as lost:
            run = _run(order)
            after = _steps(order)
            failures = 1 if after > before else failures + 1
            if failures > max_failures:
                go_on = f"grpo train resume={run} goes on" if run else ""
                raise EnvError(f"{lost}, {failures} times in a row", go_on) from lost
            where = f"going on at {after:,} env steps" if after >= 0 else "beginning again"
            say(f"{lost}; {where}")
            order = replace(order, resume=run if after >= 0 else None)


def _run(order: Order) -> str | None:
    note = Path(order.note)
    return note.read_text() if note.exists() else order.resume


def _steps(order: Order) -> int:
    """Return the env steps of the newest checkpoint; -1 where there is none."""
    run = _run(order)
    saved = manifest.saved(Path(run) / "checkpoints") if run else []
    return int(saved[-1].name.rpartition("-")[2]) if saved else -1

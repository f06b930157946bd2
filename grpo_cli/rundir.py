"""Run folders: `runs/<env>/<name>-s<seed>-<time>/`, made once, never shared, found again by name.

Nothing of a run is kept anywhere else.
"""

import difflib
import fcntl
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grpo_cli import manifest
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.versions import versions

ROOT = Path("runs")
TRAIN_ONE = "train one: grpo train env=CartPole-v1"
LOOKS = 20  # at a lock, 10 ms apart, before somebody else is said to have it
_LOCKS: set[int] = set()  # open files of this process that lock a run


def _unlock() -> None:
    """Let go of what a fork inherits: a worker that hangs outlives us, and would keep the lock."""
    while _LOCKS:
        os.close(_LOCKS.pop())


os.register_at_fork(after_in_child=_unlock)


@dataclass(frozen=True)
class RunFolder:
    """A run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        return (self.path / name).is_file()

    def discard_if_empty(self) -> None:
        """Remove a run that ended before its first update: it holds nothing but its config."""
        metrics = self.path / "metrics.jsonl"
        if metrics.exists() and metrics.stat().st_size:
            return
        if any(self.checkpoints.iterdir()) or any(self.path.glob("crash-*")):
            return
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in self.path.parents[:2]:  # runs/<env>, runs
            try:
                folder.rmdir()
            except OSError:  # other runs are in it
                return

    def write(self, name: str, text: str) -> None:
        """Write a small text file whole: a reader sees the old content or the new."""
        fresh = self.path / f".{name}.partial"
        fresh.write_text(text)
        fresh.replace(self.path / name)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file."""
        self.write(name, json.dumps(value, indent=1) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this run.

        Raises:
            CheckpointError: it is missing or no JSON object.
        """
        try:
            return dict(json.loads(self.read(name)))
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self.path}/{name} is damaged", "use another run, or a copy of this one"
            ) from error

    def read(self, name: str) -> str:
        """Read a text file of this run.

        Raises:
            CheckpointError: it is missing.
        """
        try:
            return manifest.read_file(self.path / name, manifest.SMALL).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"{self.path} is no complete run: {name} cannot be read",
                "give a folder that `grpo train` has made",
            ) from error

    def synced_size(self, name: str) -> int:
        """Let what was appended to a file survive a power cut; its size in bytes, 0 without it."""
        try:
            with (self.path / name).open("rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size
        except OSError:
            return 0

    def cut(self, name: str, size: int) -> bool:
        """Cut a file to so many bytes; says whether it had as many."""
        try:
            with (self.path / name).open("r+b") as file:
                had = os.fstat(file.fileno()).st_size
                file.truncate(min(size, had))
        except OSError:
            had = 0
        return had >= size

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from training in this folder; a dead process keeps nobody out.

        Raises:
            CheckpointError: another process does.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(handle)
            _LOCKS.add(handle)
            yield
        finally:
            _LOCKS.discard(handle)
            os.close(handle)

    def _lock(self, handle: int) -> None:
        for left in reversed(range(LOOKS)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if left:  # who only looks whether there is a lock has one for a moment
                    time.sleep(0.01)
                    continue
                raise CheckpointError(
                    f"another process is training in {self.path}", "wait for it, or end it"
                ) from error
            except OSError:  # a file system without locks
                pass
            return


def create(env_slug: str, name: str, seed: int, root: Path = ROOT) -> RunFolder:
    """Make a new run folder; runs that start in the same second get different ones.

    Raises:
        ConfigError: the folder cannot be made.
    """
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    stem = root / env_slug / f"{name}-s{seed}-{stamp}"
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
            try:
                path.mkdir(parents=True)  # a run that found nothing may just have tidied up
            except FileExistsError:
                continue
            run = RunFolder(path)
            run.checkpoints.mkdir()
            return run
    except OSError as error:
        raise ConfigError(
            f"no run folder can be made in {stem.parent}: {error.strerror or error}",
            "run grpo in a folder that you may write to",
        ) from error
    raise ConfigError(f"there are too many runs named {stem.name}", "give another name=")


def create_at(path: Path) -> RunFolder:
    """Make a run folder where somebody else gives it its name.

    Raises:
        ConfigError: it cannot be made, or is there.
    """
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made: {error.strerror or error}", "give another sweep.name"
        ) from error
    run = RunFolder(path)
    run.checkpoints.mkdir()
    return run


def metadata(env_id: str, seed: int) -> dict[str, Any]:
    """Return what identifies a run and the programs that made it."""
    return {
        "schema": 1,
        "env": env_id,
        "seed": seed,
        "started": datetime.now(UTC).isoformat(),
        "command": sys.argv[1:],
        "python": platform.python_version(),
        "versions": versions(),
    }


def find(ckpt: str, root: Path = ROOT) -> tuple[RunFolder, Path]:
    """Find a run and one of its checkpoints.

    Args:
        ckpt: `last` or `best` (of the newest run), a run folder (its last), `<run>/best`,
            `<run>/last`, or a checkpoint folder.
        root: where runs are.

    Raises:
        CheckpointError: there is no such thing; names what is near.
    """
    if ckpt in ("last", "best"):
        return _linked(_newest(root), ckpt)
    path = Path(ckpt)
    if path.name in ("last", "best") and (path.parent / "checkpoints").is_dir():
        return _linked(RunFolder(path.parent), path.name)
    if (path / "checkpoints").is_dir():
        return _linked(RunFolder(path), "last")
    if path.is_dir() and path.parent.name == "checkpoints":
        return RunFolder(path.parent.parent), path
    raise CheckpointError(f"there is no run or checkpoint {ckpt}", _near(path, root))


def find_to_resume(word: str, root: Path = ROOT) -> tuple[RunFolder, Path]:
    """Find a run and the checkpoint to go on from: the newest, unless one is named.

    Args:
        word: what `find` takes.
        root: where runs are.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(word)
    if word != "last" and not (path / "checkpoints").is_dir():
        return find(word, root)
    # Not the link: a crash may have come between a checkpoint and its link.
    run = _newest(root) if word == "last" else RunFolder(path)
    saved = manifest.saved(run.checkpoints)
    if not saved:
        raise CheckpointError(f"{run.path} has no checkpoint", "train it again from the start")
    return run, saved[-1]


def newest_first(root: Path = ROOT) -> list[RunFolder]:
    """Return all runs, the one that was started last first."""
    started = {}
    for file in root.glob("*/*/meta.json"):
        try:
            started[file.parent] = str(RunFolder(file.parent).read_json(file.name)["started"])
        except (CheckpointError, KeyError):
            continue  # not a run of ours
    order = sorted(started, key=lambda path: (started[path], path.name), reverse=True)
    return [RunFolder(path) for path in order]


def _linked(run: RunFolder, link: str) -> tuple[RunFolder, Path]:
    target = run.checkpoints / link
    if not target.exists():
        raise CheckpointError(
            f"{run.path} has no {link} checkpoint", "give another run, or train this one longer"
        )
    return run, run.checkpoints / target.resolve().name


def _newest(root: Path) -> RunFolder:
    runs = newest_first(root)
    if not runs:
        raise CheckpointError(f"there are no runs in {root}/", TRAIN_ONE)
    return runs[0]


def _near(path: Path, root: Path) -> str:
    runs = [str(file.parent) for file in sorted(root.glob("*/*/meta.json"))]
    close = difflib.get_close_matches(str(path), runs, n=3, cutoff=0.4) or runs[-3:]
    return f"did you mean {', '.join(close)}?" if close else TRAIN_ONE

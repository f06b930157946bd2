"""Run folders: `runs/<env>/<name>-s<seed>-<time>/`, made once, never shared, found again by name.

Nothing of a run is kept anywhere else.
"""

import difflib
import json
import platform
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from grpo_cli.errors import CheckpointError, ConfigError

ROOT = Path("runs")
PACKAGES = ("grpo-cli", "torch", "numpy", "gymnasium", "hydra-core")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    def discard_if_empty(self) -> None:
        """Remove a run that ended before its first update: it holds nothing but its config."""
        metrics = self.path / "metrics.jsonl"
        if any(self.checkpoints.iterdir()) or (metrics.exists() and metrics.stat().st_size):
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
            return (self.path / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"{self.path} is no complete run: {name} cannot be read",
                "give a folder that `grpo train` has made",
            ) from error


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


def metadata(env_id: str, seed: int) -> dict[str, Any]:
    """Return what identifies a run and the programs that made it."""
    return {
        "schema": 1,
        "env": env_id,
        "seed": seed,
        "started": datetime.now(UTC).isoformat(),
        "command": sys.argv[1:],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
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


def _linked(run: RunFolder, link: str) -> tuple[RunFolder, Path]:
    target = run.checkpoints / link
    if not target.exists():
        raise CheckpointError(
            f"{run.path} has no {link} checkpoint", "give another run, or train this one longer"
        )
    return run, run.checkpoints / target.resolve().name


def _newest(root: Path) -> RunFolder:
    started = {}
    for file in root.glob("*/*/meta.json"):
        try:
            started[file.parent] = json.loads(file.read_text())["started"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a run of ours
    if not started:
        raise CheckpointError(
            f"there are no runs in {root}/", "train one: grpo train env=CartPole-v1"
        )
    return RunFolder(max(started, key=lambda path: (started[path], path.name)))


def _near(path: Path, root: Path) -> str:
    runs = [str(file.parent) for file in sorted(root.glob("*/*/meta.json"))]
    close = difflib.get_close_matches(str(path), runs, n=3, cutoff=0.4) or runs[-3:]
    return f"did you mean {', '.join(close)}?" if close else "train one: grpo train env=CartPole-v1"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

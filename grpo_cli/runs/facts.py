"""What a list of runs says about each of them, read from the files of its folder."""

import fcntl
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from grpo_cli import manifest
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.rundir import RunFolder

FILES = ("meta.json", "overrides.yaml", "summary.json", "metrics.jsonl", "tags.json")
"""The files that facts come from; when none of them has changed, neither have the facts."""

State = Literal["finished", "running", "stopped"]
TAIL = 2**16  # bytes; a line of metrics.jsonl has less than 4,096
_NAME = re.compile(r"(.+)-s\d+-\d{8}-\d{6}(-\d+)?")


@dataclass(frozen=True)
class Run:
    """A run in a list.

    Attributes:
        path: its folder.
        env: environment id.
        name: first part of the folder's name.
        seed: of the run.
        started: ISO 8601, UTC.
        finished: trained to its end, and scored.
        env_steps: env steps so far.
        updates: so far.
        ret: mean return of the last update that had one.
        greedy: mean return of the final evaluation, greedy; None before it.
        sampled: the same, sampled.
        solved: whether `stop_at` was reached; None: there is none, or the run has not ended.
        wall_s: seconds of the command; None before its end.
        words: of the command line.
        tags: given by a person.
    """

    path: str
    env: str
    name: str
    seed: int
    started: str
    finished: bool
    env_steps: int = 0
    updates: int = 0
    ret: float | None = None
    greedy: float | None = None
    sampled: float | None = None
    solved: bool | None = None
    wall_s: float | None = None
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    @property
    def folder(self) -> RunFolder:
        """Its folder."""
        return RunFolder(Path(self.path))

    def as_json(self) -> dict[str, Any]:
        """Return the facts for programs."""
        return {**asdict(self), "state": state(self)}


def look(path: Path) -> Run | None:
    """Read the facts of a run folder; None where it is no run of ours."""
    folder = RunFolder(path)
    meta = _json(folder, "meta.json")
    if not isinstance(meta.get("env"), str) or "started" not in meta:
        return None
    summary, last = _json(folder, "summary.json"), last_line(folder)
    named = _NAME.fullmatch(path.name)
    means = {
        mode: _number((summary.get("eval") or {}).get(mode, {}).get("mean"))
        for mode in ("greedy", "sampled")
    }
    steps = summary.get("env_steps") or last.get("time/total_timesteps") or 0
    return Run(
        path=str(path),
        env=meta["env"],
        name=named[1] if named else path.name,
        seed=int(meta.get("seed") or 0),
        started=str(meta["started"]),
        finished=bool(summary),
        env_steps=int(steps),
        updates=int(summary.get("updates") or last.get("time/iterations") or 0),
        ret=_number(last.get("rollout/ep_rew_mean")),
        **means,
        solved=summary.get("solved"),
        wall_s=_number(summary.get("wall_s")),
        words=_words(folder),
        tags=_tags(folder),
    )


def state(run: Run) -> State:
    """Say how a run stands; `running` is asked of its lock, since that can end without a trace."""
    if run.finished:
        return "finished"
    return "running" if is_locked(Path(run.path)) else "stopped"


def is_locked(path: Path) -> bool:
    """Say whether a process of this computer trains in the folder now."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


def last_line(folder: RunFolder) -> dict[str, Any]:
    """Return the last whole line of `metrics.jsonl`; empty where there is none."""
    try:
        with (folder.path / "metrics.jsonl").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            whole = file.read().rpartition(b"\n")[0]
        return dict(json.loads(whole.rpartition(b"\n")[2]))
    except (OSError, ValueError, TypeError):
        return {}


def retag(run: Run, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Give a run tags and take others from it; returns those it has then.

    Raises:
        ConfigError: they cannot be written.
    """
    tags = sorted(({*run.tags} | {*add}) - {*remove})
    try:
        run.folder.write_json("tags.json", {"tags": tags})
    except OSError as error:
        raise ConfigError(
            f"{run.path} cannot be tagged: {error.strerror or error}", "is the folder yours?"
        ) from error
    return tags


def _json(folder: RunFolder, name: str) -> dict[str, Any]:
    try:
        return folder.read_json(name)
    except CheckpointError:
        return {}


def _tags(folder: RunFolder) -> list[str]:
    tags = _json(folder, "tags.json").get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _words(folder: RunFolder) -> list[str]:
    """Return the words of the command line: a YAML list of plain texts."""
    from yaml import SafeLoader, YAMLError, load

    try:
        text = manifest.read_file(folder.path / "overrides.yaml", manifest.SMALL).decode()
        words = load(text, Loader=SafeLoader) if "&" not in text else None
    except (OSError, ValueError, YAMLError, RecursionError):
        return []
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _number(value: Any) -> float | None:  # noqa: ANN401 - whatever the file holds
    return float(value) if isinstance(value, int | float) and value == value else None

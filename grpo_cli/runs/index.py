"""The list of all runs, kept in `runs/.index.json` and made anew wherever a folder has changed.

The index saves time and holds nothing of its own: delete it, copy it or break it, and the next list
is right again.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from grpo_cli import rundir
from grpo_cli.runs.facts import FILES, Run, look

NAME = ".index.json"
DEPTHS = ("meta.json", "*/meta.json", "*/*/meta.json", "*/*/*/meta.json")
# Another layout of the rows is another version.
VERSION = [1, *(entry.name for entry in fields(Run))]


def folders(root: Path) -> list[Path]:
    """Return the run folders at or below a folder."""
    return sorted({file.parent for depth in DEPTHS for file in root.glob(depth)})


def listed(root: Path = rundir.ROOT) -> list[Run]:
    """Return all runs of a root, the one that was started first first."""
    before = _load(root / NAME)
    after: dict[str, Any] = {}
    found = []
    for path in folders(root):
        row = before.get(str(path), {})
        stamp = _stamp(path)
        run = _run(row.get("run")) if row.get("stamp") == stamp else None
        run = run or look(path)
        if run is not None:
            found.append(run)
            after[str(path)] = {"stamp": stamp, "run": asdict(run)}
    if after != before:
        _save(root / NAME, after)
    return in_order(found)


def read(paths: Iterable[Path]) -> list[Run]:
    """Return the runs in these folders, wherever they are."""
    return in_order(run for run in (look(path) for path in paths) if run is not None)


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Sort runs by their start."""
    return sorted(runs, key=lambda run: (run.started, run.path))


def _stamp(path: Path) -> list[int]:
    """Return sizes and times of the files that the facts come from."""
    stamp = []
    for name in FILES:
        try:
            found = os.stat(path / name)
            stamp += [found.st_mtime_ns, found.st_size]
        except OSError:
            stamp += [0, 0]
    return stamp


def _load(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text())
        return kept["runs"] if kept["version"] == VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _run(row: Any) -> Run | None:  # noqa: ANN401 - whatever the file holds
    try:
        return Run(**row)
    except TypeError:
        return None


def _save(path: Path, rows: dict[str, Any]) -> None:
    fresh = path.with_name(f"{NAME}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a folder that may only be read
        try:
            fresh.write_text(json.dumps({"version": VERSION, "runs": rows}))
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

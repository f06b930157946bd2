"""What is in a run, a checkpoint or a crash bundle, read without importing torch.

Nothing is executed and nothing is followed: JSON, and the headers of safetensors files.
"""

import json
import math
from pathlib import Path
from typing import Any

from grpo_cli import manifest, rundir
from grpo_cli.errors import CheckpointError
from grpo_cli.rundir import RunFolder

Facts = dict[str, Any]


def inspect(word: str) -> Facts:
    """Describe what a word names.

    Args:
        word: a run, a checkpoint, a crash bundle, `last`, `best` or `<run>/best`.

    Returns:
        JSON-ready facts: path, and for a run what made it, where it stands, its checkpoints, its
        last metrics and its config; for a checkpoint its facts and tensors. Damage is described,
        not raised.

    Raises:
        CheckpointError: there is nothing of that name.
    """
    path = Path(word)
    if (path / "checkpoints").is_dir():
        return describe_run(RunFolder(path))
    if (path / manifest.NAME).is_file():
        return describe_checkpoint(path)
    if word == "last" and (runs := rundir.newest_first()):
        return describe_run(runs[0])
    return describe_checkpoint(rundir.find(word)[1])


def describe_run(run: RunFolder) -> Facts:
    """Describe a run folder."""
    saved = manifest.saved(run.checkpoints)
    links = {name: _target(run.checkpoints / name) for name in ("last", "best")}
    return {
        "path": str(run.path),
        "kind": "run",
        "made": _read(run, "meta.json"),
        "summary": _read(run, "summary.json"),
        "checkpoints": [
            {
                "name": path.name,
                "marks": [name for name, target in links.items() if target == path.name],
                **_state_of(path),
            }
            for path in saved
        ],
        "crashes": sorted(path.name for path in run.path.glob("crash-*")),
        "metrics": last_metrics(run),
        "config": _text(run, "config.yaml"),
    }


def describe_checkpoint(path: Path) -> Facts:
    """Describe a checkpoint or crash bundle."""
    described: Facts = {"path": str(path), "kind": "checkpoint", **_state_of(path)}
    if described["damage"]:
        return described
    content = manifest.verified(path)
    described["facts"] = json.loads(content["state.json"])
    described["tensors"] = {
        name: header(data) for name, data in content.items() if name.endswith(".safetensors")
    }
    return described


def header(data: bytes) -> dict[str, Facts]:
    """Read the header of a safetensors file: dtype and shape of each tensor by name.

    Source: the format's description, https://github.com/huggingface/safetensors#format.

    Raises:
        CheckpointError: it is no such file.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        entries = json.loads(data[8 : 8 + size])
        return {
            name: {"dtype": entry["dtype"], "shape": entry["shape"]}
            for name, entry in sorted(entries.items())
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError("a tensor file has no header", "use another checkpoint") from error


def count(tensors: dict[str, Facts]) -> int:
    """Return how many numbers the tensors of a header hold."""
    return sum(math.prod(entry["shape"]) for entry in tensors.values())


def last_metrics(run: RunFolder) -> Facts:
    """Return the last whole line of `metrics.jsonl`, empty where there is none."""
    try:
        data = manifest.read_file(run.path / "metrics.jsonl")
        return dict(json.loads(data.rstrip().rpartition(b"\n")[2]))
    except (OSError, ValueError, TypeError):
        return {}


def _state_of(path: Path) -> Facts:
    try:
        entries = manifest.read(path)
        sizes = {name: len(data) for name, data in manifest.verified(path).items()}
    except CheckpointError as error:
        return {"step": None, "bytes": None, "damage": error.what}
    return {"step": entries.get("step"), "bytes": sum(sizes.values()), "damage": None}


def _target(link: Path) -> str:
    return link.resolve().name if link.is_symlink() else ""


def _read(run: RunFolder, name: str) -> Facts:
    try:
        return run.read_json(name)
    except CheckpointError:
        return {}


def _text(run: RunFolder, name: str) -> str:
    try:
        return run.read(name)
    except CheckpointError as error:
        return f"# {error.what}\n"

"""Checkpoints: safetensors and JSON, whole or not there at all.

A checkpoint is a folder. It is written beside its final name, every file is synced, the manifest
with sizes and SHA-256 comes last, and one rename makes it appear. Loading checks every byte first
and runs no code: no pickle, no imports.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from grpo_cli.adam import Adam
from grpo_cli.errors import CheckpointError

SCHEMA = 1
FILES = ("policy.safetensors", "state.safetensors", "state.json")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        policy: the policy's tensors by name.
        state: further tensors (optimizer, reference) by name.
        facts: plain numbers and words (counters, environment, scalings).
    """

    policy: dict[str, Tensor]
    state: dict[str, Tensor]
    facts: dict[str, Any]


def optimizer_tensors(optimizer: Adam | torch.optim.Optimizer) -> dict[str, Tensor]:
    """Flatten an optimizer's state: `optimizer/<parameter>/<name>`."""
    return {
        f"optimizer/{number}/{name}": torch.as_tensor(value)
        for number, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def save(folder: Path, step: int, checkpoint: Checkpoint, *, keep: int, best: bool) -> Path:
    """Write a checkpoint and point `last` (and `best`) at it.

    Args:
        folder: the run's `checkpoints/`.
        step: env steps so far; names the checkpoint.
        checkpoint: what to write.
        keep: how many of the newest stay; the best stays as well.
        best: this one is the best so far.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: it could not be written; older checkpoints are untouched.
    """
    final = folder / f"step-{step:09d}"
    try:
        if not final.exists():
            _write(folder, final, checkpoint, step)
        _link(folder / "last", final.name)
        if best:
            _link(folder / "best", final.name)
        _prune(folder, keep)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {final} could not be written: {error.strerror or error}",
            "free some space or mend the folder's permissions; older checkpoints are untouched",
        ) from error
    return final


def load(path: Path) -> Checkpoint:
    """Read a checkpoint after checking every byte.

    Raises:
        CheckpointError: it is missing, damaged, or of a newer schema.
    """
    manifest = _manifest(path)
    content = {name: _checked(path / name, manifest["files"].get(name)) for name in FILES}
    return Checkpoint(
        policy=load_tensors(content["policy.safetensors"]),
        state=load_tensors(content["state.safetensors"]),
        facts=json.loads(content["state.json"]),
    )


def _write(folder: Path, final: Path, checkpoint: Checkpoint, step: int) -> None:
    # The name must not look like a checkpoint: a crash may leave it behind.
    partial = folder / f".partial-{os.getpid()}-{step}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        content = {
            "policy.safetensors": save_tensors(_plain(checkpoint.policy)),
            "state.safetensors": save_tensors(_plain(checkpoint.state)),
            "state.json": _json(checkpoint.facts),
        }
        for name, data in content.items():
            _write_synced(partial / name, data)
        files = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in content.items()
        }
        manifest = {"schema": SCHEMA, "step": step, "files": files}
        _write_synced(partial / "manifest.json", _json(manifest))
        _sync_folder(partial)
        partial.rename(final)
        _sync_folder(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link(link: Path, target: str) -> None:
    """Point a relative link at a checkpoint; there is always either the old or the new one."""
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _prune(folder: Path, keep: int) -> None:
    best = (folder / "best").resolve().name
    for old in sorted(folder.glob("step-*"))[:-keep]:
        if old.name != best:
            shutil.rmtree(old, ignore_errors=True)


def _manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_bytes())
        schema, files = manifest["schema"], manifest["files"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is no checkpoint: it has no manifest.json",
            "give a run folder or one of its checkpoints/step-* folders",
        ) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _damaged(file, "it cannot be read") from error
    if not isinstance(files, dict) or not isinstance(schema, int):
        raise _damaged(file, "it is not a manifest")
    if schema > SCHEMA:
        raise CheckpointError(
            f"{path} was written by a newer grpo (schema {schema}, this one reads {SCHEMA})",
            "upgrade grpo-cli",
        )
    return manifest


def _checked(path: Path, entry: object) -> bytes:
    """Read a file and compare it with its manifest entry."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, "it is missing") from error
    if not isinstance(entry, dict):
        raise _damaged(path, "the manifest does not name it")
    if len(data) != entry.get("bytes"):
        raise _damaged(path, f"it has {len(data)} bytes, not {entry.get('bytes')}")
    if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
        raise _damaged(path, "its SHA-256 differs from the manifest")
    return data


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint is damaged: {path}: {why}", "use another checkpoint of this run, or a copy"
    )

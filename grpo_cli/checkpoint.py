"""Checkpoints: safetensors and JSON, whole or not there at all.

A checkpoint is a folder. It is written beside its final name, every file is synced, the manifest
with sizes and SHA-256 comes last, and one rename makes it appear. Loading checks every byte first
and runs no code: no pickle, no imports.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from grpo_cli import manifest
from grpo_cli.adam import Adam
from grpo_cli.errors import CheckpointError

FILES = ("policy.safetensors", "state.safetensors", "state.json")
BATCH = "batch.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        policy: the policy's tensors by name.
        state: further tensors (optimizer, reference) by name.
        facts: plain numbers and words (counters, environment, scalings).
        batch: what an update was about to learn from; only in a crash bundle.
    """

    policy: dict[str, Tensor]
    state: dict[str, Tensor]
    facts: dict[str, Any]
    batch: dict[str, Tensor] = field(default_factory=dict)


def optimizer_tensors(optimizer: Adam | torch.optim.Optimizer) -> dict[str, Tensor]:
    """Flatten an optimizer's state: `optimizer/<parameter>/<name>`."""
    return {
        f"optimizer/{number}/{name}": torch.as_tensor(value)
        for number, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def load_optimizer(optimizer: Adam, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer the state that `optimizer_tensors` returned.

    Raises:
        KeyError, RuntimeError: it belongs to other parameters.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            number, _, column = rest.partition("/")
            state.setdefault(int(number), {})[column] = tensor
    optimizer.load_state_dict({"state": state})


def save(
    folder: Path,
    step: int,
    checkpoint: Checkpoint,
    *,
    keep: int,
    best: bool,
    anchor: int = 0,
) -> Path:
    """Write a checkpoint and point `last` (and `best`) at it.

    Args:
        folder: the run's `checkpoints/`.
        step: env steps so far; names the checkpoint.
        checkpoint: what to write.
        keep: how many of the newest stay; the best stays as well.
        best: this one is the best so far.
        anchor: env steps of a further one that stays; 0: none.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: it could not be written; older checkpoints are untouched.
    """
    final = folder / manifest.name(step)
    try:
        if not final.exists():
            write(final, step, checkpoint)
        _link(folder / "last", final.name)
        if best:
            _link(folder / "best", final.name)
        _prune(folder, keep, anchor)
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
    content = manifest.verified(path)
    try:
        return Checkpoint(
            policy=load_tensors(content["policy.safetensors"]),
            state=load_tensors(content["state.safetensors"]),
            facts=dict(json.loads(content["state.json"])),
            batch=load_tensors(content[BATCH]) if BATCH in content else {},
        )
    except KeyError as error:
        raise manifest.damaged(path, f"{error.args[0]} is missing from the manifest") from error
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise manifest.damaged(path, f"it holds something else: {error}") from error


def write(final: Path, step: int, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside its final name, then make it appear by one rename.

    Raises:
        OSError: disk full, no permission; nothing is left behind.
    """
    content = {
        "policy.safetensors": save_tensors(_plain(checkpoint.policy)),
        "state.safetensors": save_tensors(_plain(checkpoint.state)),
        "state.json": manifest.as_json(checkpoint.facts),
    }
    if checkpoint.batch:
        content[BATCH] = save_tensors(_plain(checkpoint.batch))
    # The name must not look like a checkpoint: a crash may leave it behind.
    partial = final.parent / f".partial-{os.getpid()}-{final.name}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        manifest.write(partial, step, content)
        partial.rename(final)
        manifest.sync_folder(final.parent)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def take_up(folder: Path, chosen: Path, best: int | None) -> list[str]:
    """Make `chosen` the last checkpoint of its run again, before the run goes on from it.

    What a crash left half written is removed. Newer checkpoints would mix with those that are now
    to come: they are renamed, never deleted.

    Args:
        folder: the run's `checkpoints/`.
        chosen: one of its checkpoints.
        best: env steps of the checkpoint that was the best then, if any.

    Returns:
        The new names of the newer checkpoints.

    Raises:
        OSError: the folder cannot be changed.
    """
    for remains in folder.glob(".[pl]*-*"):  # .partial-, .pruned-, .last-
        shutil.rmtree(remains, ignore_errors=True) if remains.is_dir() else remains.unlink()
    aside = []
    for newer in [
        p for p in manifest.saved(folder) if manifest.step_of(p) > manifest.step_of(chosen)
    ]:
        to = newer.with_name(f"aside-{newer.name}")
        shutil.rmtree(to, ignore_errors=True)
        newer.rename(to)
        aside.append(to.name)
    _link(folder / "last", chosen.name)
    if best is not None and (folder / manifest.name(best)).exists():
        _link(folder / "best", manifest.name(best))
    else:
        (folder / "best").unlink(missing_ok=True)
    return aside


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _link(link: Path, target: str) -> None:
    """Point a relative link at a checkpoint; there is always either the old or the new one."""
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _prune(folder: Path, keep: int, anchor: int) -> None:
    """Delete all but the newest, the best and one; a deletion cut short leaves no damage."""
    stay = {(folder / "best").resolve().name, manifest.name(anchor)}
    for old in manifest.saved(folder)[:-keep]:
        if old.name not in stay:
            doomed = old.with_name(f".pruned-{old.name}")
            old.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

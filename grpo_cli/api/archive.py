"""A saved model: the files of a checkpoint in one zip. No pickle; loading runs no code."""

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from grpo_cli import checkpoint
from grpo_cli.checkpoint import FILES, Checkpoint
from grpo_cli.errors import CheckpointError, ConfigError


def write(path: str | Path, content: Checkpoint) -> Path:
    """Write a model; `.zip` is added where the name has no ending.

    Returns:
        The file.

    Raises:
        CheckpointError: it could not be written; an older file of the name is untouched.
    """
    final = _with_ending(path)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".grpo-") as scratch:
            folder = checkpoint.save(Path(scratch), 0, content, keep=1, best=False)
            partial = Path(scratch, "model.zip")
            with zipfile.ZipFile(partial, "w") as archive:
                for name in (*FILES, "manifest.json"):
                    archive.write(folder / name, name)
            os.replace(partial, final)
    except OSError as error:
        raise CheckpointError(
            f"{final} could not be written: {error.strerror or error}", "choose another place"
        ) from error
    return final


def read(path: str | Path) -> Checkpoint:
    """Read a model after checking every byte.

    Raises:
        CheckpointError: it is missing, damaged, or no model of ours.
    """
    final = Path(path) if Path(path).is_file() else _with_ending(path)
    try:
        with zipfile.ZipFile(final) as archive, tempfile.TemporaryDirectory() as scratch:
            for name in (*FILES, "manifest.json"):
                Path(scratch, name).write_bytes(archive.read(name))
            return checkpoint.load(Path(scratch))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{final} cannot be read as a saved model: {error}",
            "models of Stable-Baselines3 hold pickled code and cannot be loaded here",
        ) from error


def _with_ending(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix else path.with_suffix(".zip")


def space_words(space: spaces.Space) -> dict[str, Any]:
    """Describe a space in JSON."""
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Box):
        bounds = {"low": space.low.tolist(), "high": space.high.tolist()}
        return {"kind": "Box", **bounds, "dtype": str(space.dtype)}
    raise ConfigError(f"a {type(space).__name__} space cannot be saved yet")


def space_of(words: dict[str, Any]) -> spaces.Space:
    """Return the space that `space_words` described."""
    if words["kind"] == "Discrete":
        return spaces.Discrete(words["n"], start=words["start"])
    dtype = np.dtype(words["dtype"])
    low, high = np.array(words["low"], dtype), np.array(words["high"], dtype)
    return spaces.Box(low, high, dtype=dtype.type)

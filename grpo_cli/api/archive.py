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
    """Describe a space in JSON.

    Raises:
        ConfigError: it has a part that policies cannot read, or a key that is no text or number.
    """
    if isinstance(space, spaces.Discrete):
        counted = {"n": int(space.n), "start": int(space.start)}
        # Older Gymnasium knows no other.
        kept = {} if space.dtype == np.int64 else {"dtype": str(space.dtype)}
        return {"kind": "Discrete", **counted, **kept}
    if isinstance(space, spaces.Box):
        bounds = {"low": _bound(space.low), "high": _bound(space.high)}
        return {"kind": "Box", **bounds, "shape": list(space.shape), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiDiscrete):
        counted = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        return {"kind": "MultiDiscrete", **counted, "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    if isinstance(space, spaces.Tuple):
        return {"kind": "Tuple", "spaces": [space_words(part) for part in space.spaces]}
    if isinstance(space, spaces.Dict) and all(isinstance(key, str | int) for key in space.spaces):
        # Pairs: an object of JSON would turn keys into texts.
        pairs = [[key, space_words(part)] for key, part in space.spaces.items()]
        return {"kind": "Dict", "spaces": pairs}
    raise ConfigError(
        f"a model of the space {space} cannot be saved", "name the entries of a Dict by texts"
    )


def space_of(words: dict[str, Any]) -> spaces.Space:
    """Return the space that `space_words` described."""
    said = {key: value for key, value in words.items() if key != "kind"}
    if "dtype" in said:
        said["dtype"] = np.dtype(said["dtype"]).type
    match words["kind"]:
        case "Box":
            low, high = (np.full(said["shape"], said[k], said["dtype"]) for k in ("low", "high"))
            return spaces.Box(low, high, dtype=said["dtype"])
        case "Tuple":
            return spaces.Tuple([space_of(part) for part in said["spaces"]])
        case "Dict":
            return spaces.Dict([(key, space_of(part)) for key, part in said["spaces"]])
        case "Discrete" | "MultiDiscrete" | "MultiBinary" as kind:
            return getattr(spaces, kind)(**said)
    raise CheckpointError(f"the model was made for an unknown space, {words['kind']}")


def _bound(bound: np.ndarray) -> Any:
    """Return a Box's bound as lists; one number where all are the same, as in images."""
    return bound.flat[0].item() if np.unique(bound).size == 1 else bound.tolist()

"""What makes a folder of files whole: every file, its size and SHA-256, written last.

The manifest guards itself as well: it holds its own SHA-256 and has one spelling only, so not even
a blank in it can change unseen. Nothing here imports torch.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpo_cli.errors import CheckpointError

SCHEMA = 1
NAME = "manifest.json"
SMALL = 2**24  # bytes; no JSON or YAML file of a run comes near, and a stranger's may be anything


def read_file(path: Path, limit: int | None = None) -> bytes:
    """Read a regular file; never through a link, never from a pipe or device that would hang.

    Args:
        path: the file.
        limit: largest size that is read, bytes.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger.
    """
    # O_NONBLOCK: opening a pipe waits for its other end.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no regular file")
        if limit is not None and found.st_size > limit:
            raise OSError(f"it has {found.st_size:,} bytes, more than the {limit:,} allowed")
        return file.read()


def write(folder: Path, step: int, content: Mapping[str, bytes]) -> None:
    """Write files and their manifest into a folder, each synced, the manifest last.

    Args:
        folder: exists.
        step: env steps so far.
        content: bytes by file name.

    Raises:
        OSError: disk full, no permission.
    """
    for name, data in content.items():
        _write_synced(folder / name, data)
    files = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
    }
    _write_synced(folder / NAME, _spelled({"schema": SCHEMA, "step": step, "files": files}))
    sync_folder(folder)


def read(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder: schema, step, files.

    Raises:
        CheckpointError: there is none, it is damaged, or of a newer schema.
    """
    file = folder / NAME
    try:
        data = read_file(file, SMALL)
        manifest = json.loads(data)
        schema = manifest["schema"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} is no checkpoint: it has no {NAME}",
            "give a run folder or one of its checkpoints/step-* folders",
        ) from error
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise damaged(file, "it cannot be read") from error
    if isinstance(schema, int) and schema > SCHEMA:
        raise CheckpointError(
            f"{folder} was written by a newer grpo (schema {schema}, this one reads {SCHEMA})",
            "upgrade grpo-cli",
        )
    if data != _spelled({key: manifest[key] for key in manifest if key != "sha256"}):
        raise damaged(file, "its SHA-256 differs from what it holds")
    return manifest


def verified(folder: Path) -> dict[str, bytes]:
    """Read every file that the manifest of a folder names, comparing size and SHA-256.

    Raises:
        CheckpointError: the manifest or a file is missing or damaged.
    """
    files = read(folder)["files"]
    if not isinstance(files, dict):
        raise damaged(folder / NAME, "it names no files")
    return {name: _checked(folder, str(name), entry) for name, entry in files.items()}


def name(step: int) -> str:
    """Return the name of the checkpoint after so many env steps."""
    return f"step-{step:09d}"


def step_of(path: Path) -> int:
    """Return the env steps that a name like `step-000001000.mp4` tells; -1: it tells none.

    From a billion steps on names do not sort as these do.
    """
    told = path.name.partition("-")[2].partition(".")[0]
    return int(told) if told.isdecimal() else -1


def saved(folder: Path) -> list[Path]:
    """Return the checkpoints in a run's `checkpoints/`, the oldest first; they may be damaged."""
    return sorted((p for p in folder.glob("step-*") if not p.is_symlink()), key=step_of)


def damaged(path: Path, why: str) -> CheckpointError:
    """Return the error for a file that is not what was written."""
    return CheckpointError(
        f"checkpoint is damaged: {path}: {why}",
        "name an older checkpoint of this run, or continue with resume=auto, which finds one",
    )


def sync_folder(path: Path) -> None:
    """Let the names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checked(folder: Path, name: str, entry: object) -> bytes:
    if name != Path(name).name or name in ("", ".", ".."):
        raise damaged(folder / NAME, f"it names a file elsewhere: {name}")
    path = folder / name
    if not isinstance(entry, dict) or not isinstance(entry.get("bytes"), int):
        raise damaged(folder / NAME, f"it says nothing of {name}")
    if name.endswith(".json") and entry["bytes"] > SMALL:
        raise damaged(path, f"it claims {entry['bytes']:,} bytes")
    try:
        data = read_file(path, entry["bytes"])
    except FileNotFoundError as error:
        raise damaged(path, "it is missing") from error
    except (OSError, MemoryError) as error:
        raise damaged(path, f"it cannot be read: {error}") from error
    if len(data) != entry["bytes"]:
        raise damaged(path, f"it has {len(data)} bytes, not {entry['bytes']}")
    if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
        raise damaged(path, "its SHA-256 differs from the manifest")
    return data


def _spelled(manifest: dict[str, Any]) -> bytes:
    """Return the only spelling of a manifest, with the digest of the rest at its end."""
    digest = hashlib.sha256(as_json(manifest)).hexdigest()
    return as_json({**manifest, "sha256": digest})


def as_json(value: object) -> bytes:
    """Return JSON, indented, with a newline at its end."""
    return (json.dumps(value, indent=1) + "\n").encode()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

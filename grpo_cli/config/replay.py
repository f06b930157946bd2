"""Runs that are made again: a crash bundle's update, or a whole run from its start."""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from grpo_cli import checkpoint, manifest, rundir
from grpo_cli.config import build
from grpo_cli.config.built import Built, build_all
from grpo_cli.config.jobs import train_job
from grpo_cli.config.mending import unpacked
from grpo_cli.config.saved import open_config
from grpo_cli.errors import CheckpointError, NonFinite
from grpo_cli.groups.packing import finite
from grpo_cli.rollout import Rollout, Scored
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks.view import View
from grpo_cli.train import Progress

MEASURED = ("time/", "sys/")
"""Beginnings of the metrics that no two runs share."""


def replay(bundle: str, *, view: View, trusted: bool) -> dict[str, Any]:
    """Make the update of a crash bundle again.

    Args:
        bundle: `<run>/crash-<update>`.
        view: what a person sees.
        trusted: code that the run names may be imported.

    Returns:
        update; error, what was not finite, or None where it was this time; sampled, where the
        rollout itself was not: the same of one sampled again; columns: of each column of the batch
        the smallest and largest finite number and how many are not finite.

    Raises:
        CheckpointError: it is no crash bundle, damaged or untrusted.
    """
    path = Path(bundle)
    saved = checkpoint.load(path)
    if not saved.batch:
        raise CheckpointError(f"{path} is no crash bundle", "give a <run>/crash-<update> folder")
    cfg = open_config(RunFolder(path.parent), trusted=trusted, named=set(), to_train=True)
    words = build.plain(cfg)
    built = build_all(words, view)
    try:
        at = built.load(saved, path)
        try:
            sampled = unpacked(saved.batch, saved.facts["batch"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{path} lacks {error}", "use another bundle") from error
        error = _raised(lambda: _learn(built, sampled, at, words["total_steps"]))
        again = None
        if isinstance(sampled, Rollout) and _raised(lambda: finite(sampled)):
            again = _raised(lambda: built.sampler.sample(built.policy, at.update))
    finally:
        built.backend.close()
    columns = {name: _range(tensor.double().numpy()) for name, tensor in saved.batch.items()}
    return {
        "bundle": bundle,
        "update": at.update,
        "error": error,
        "sampled": again,
        "columns": columns,
    }


def _learn(built: Built, sampled: Rollout | Scored, at: Progress, total_steps: int) -> None:
    """Do with a rollout what training does, from where it stopped."""
    scored = built.score(finite(sampled)) if isinstance(sampled, Rollout) else sampled
    built.learner(scored, at.update, at.steps / total_steps)


def _raised(work: Callable[[], object]) -> str | None:
    """Return what was not finite, in words."""
    try:
        work()
    except NonFinite as error:
        return error.what
    return None


def _range(values: np.ndarray) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    return {
        "low": float(finite.min()) if finite.size else None,
        "high": float(finite.max()) if finite.size else None,
        "not_finite": int(values.size - finite.size),
    }


def repro(word: str, *, view: View, trusted: bool) -> dict[str, Any]:
    """Train a run again from its start, and compare.

    Args:
        word: the run.
        view: what a person sees.
        trusted: code that the run names may be imported.

    Returns:
        run; updates compared; difference, the first in words, or None; weights, whether those of
        the last checkpoint are equal, or None where they cannot be compared.

    Raises:
        CheckpointError: the run is missing, damaged, untrusted, or has no updates.
    """
    run, last = rundir.find_to_resume(word)
    cfg = open_config(run, trusted=trusted, named=set(), to_train=True)
    before = _metrics(run)
    if not before:
        raise CheckpointError(f"{run.path} has no metrics", "give a run that has made an update")
    view.notice(f"training {run.path} again, {len(before):,} updates")
    with tempfile.TemporaryDirectory(prefix="grpo-repro-") as scratch:
        cfg.sinks = {}
        make_run = partial(rundir.create, root=Path(scratch))
        summary = train_job(cfg, overrides=[], view=view, make_run=make_run)
        again = RunFolder(Path(summary["run"]))
        difference = _difference(before, _metrics(again))
        twin = again.checkpoints / last.name
        weights = _policy(last) == _policy(twin) if twin.is_dir() else None
    return {
        "run": str(run.path),
        "updates": len(before),
        "difference": difference,
        "weights": weights,
        "same": difference is None and weights is not False,
    }


def _metrics(run: RunFolder) -> list[dict[str, Any]]:
    lines = manifest.read_file(run.path / "metrics.jsonl").splitlines()
    kept = (json.loads(line) for line in lines)
    return [{k: v for k, v in line.items() if not k.startswith(MEASURED)} for line in kept]


def _difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str | None:
    """Say where two lists of metrics part; the run may have ended before this one did."""
    for number, (one, two) in enumerate(zip(before, after, strict=False)):
        for name in [*one, *two]:
            if one.get(name) != two.get(name):
                return f"update {number}: {name} was {one.get(name)}, is {two.get(name)}"
    missing = len(before) - len(after)
    return f"the last {missing} updates did not come again" if missing > 0 else None


def _policy(path: Path) -> bytes:
    return manifest.verified(path)["policy.safetensors"]

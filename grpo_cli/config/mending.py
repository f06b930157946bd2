"""What follows an update that was not finite: nothing of it stays, and it can be made again."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grpo_cli import checkpoint, manifest
from grpo_cli.checkpoint import Checkpoint
from grpo_cli.config.built import Built
from grpo_cli.errors import NonFinite
from grpo_cli.frames import Frames
from grpo_cli.rollout import Episodes, Rollout, Scored
from grpo_cli.rundir import RunFolder
from grpo_cli.tokens import Tokens
from grpo_cli.train import Progress

PATIENCE = 5  # updates in a row; what breaks more often than that will not mend itself


class Mender:
    """Follows `nan=halt|skip|rollback`; the learner, if it came to that, has undone the update.

    Args:
        built: the parts of the run.
        run: its folder; a crash bundle goes there.
        warn: says one line.
    """

    def __init__(self, built: Built, run: RunFolder, warn: Callable[[str], None]) -> None:
        self.built = built
        self.run = run
        self.warn = warn

    def __call__(
        self, error: NonFinite, sampled: Rollout | Scored, at: Progress
    ) -> dict[str, float]:
        """Go on without the update; returns its metrics.

        Raises:
            NonFinite: the run is to halt; says where the crash bundle is.
        """
        word = self.built.words["nan"]
        if word == "halt" or at.broken >= PATIENCE:
            bundle = self._bundle(sampled, at) if self.built.ranks.rank == 0 else ""
            raise NonFinite(error.what, f"{error.fix}{bundle}") from error
        back = self._roll_back(at) if word == "rollback" else ""
        if self.built.ranks.rank == 0:
            self.warn(f"{error.what}; update {at.update} is undone{back}")
        return {"train/epochs": 0.0, "train/n_updates": float(self.built.learner.gradient_steps)}

    def _roll_back(self, at: Progress) -> str:
        """Go back to the checkpoint to which this run would go back had nobody interrupted it."""
        path, ranks = self.run.checkpoints / manifest.name(at.anchor), self.built.ranks
        saved = checkpoint.load(path) if ranks.rank == 0 and path.exists() else None
        saved = ranks.decide(saved)
        if saved is None:
            return ""
        self.built.load(saved, path)
        return f", and all since {path.name}"

    def _bundle(self, sampled: Rollout | Scored, at: Progress) -> str:
        """Write what is needed to see it again; returns the words that say how."""
        content = self.built.checkpoint(at, 0)
        bundle = self.run.path / f"crash-{at.update:06d}"
        tensors, facts = packed(sampled)
        try:
            checkpoint.write(
                bundle,
                at.steps,
                Checkpoint(
                    content.policy, content.state, content.facts | {"batch": facts}, tensors
                ),
            )
        except OSError as error:
            return f"; its crash bundle cannot be written ({error.strerror or error})"
        return f"; grpo doctor replay={bundle} shows it again"


def packed(sampled: Rollout | Scored) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the columns of a rollout as tensors, scored or not, and its single numbers."""
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    rollout = sampled.rollout if isinstance(sampled, Scored) else sampled
    parts = {"": rollout, "episodes.": rollout.episodes}
    if isinstance(sampled, Scored):
        parts["scored."] = sampled
    for prefix, part in parts.items():
        for entry in fields(part):
            value = getattr(part, entry.name)
            if isinstance(value, Frames | Tokens):  # kept once, and where each row is in them
                kept = {f"obs:{f.name}": getattr(value, f.name).clone() for f in fields(value)}
                tensors |= kept
            elif isinstance(value, np.ndarray) and value.dtype == object:  # words: only to be read
                facts[prefix + entry.name] = None
            elif isinstance(value, np.ndarray):
                tensors[prefix + entry.name] = torch.tensor(value)
            elif isinstance(value, Tensor):
                tensors[prefix + entry.name] = value.clone()  # files share no memory
            elif entry.name == "obs":  # of several entries
                tensors |= {f"{entry.name}.{path}": each.clone() for path, each in value.items()}
            elif isinstance(value, int | float) or value is None:
                facts[prefix + entry.name] = value
    return tensors, facts


def _parts(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def unpacked(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Rollout | Scored:
    """Return the rollout that `packed` was given.

    Raises:
        KeyError: a column is missing.
    """
    rollout_is_tensor = ("obs", "action")

    def column(name: str) -> Any:
        if name in facts:
            return facts[name]
        if name == "obs" and (parts := _parts(tensors, "obs:")):
            return (Frames if "frames" in parts else Tokens)(**parts)
        if name == "obs" and name not in tensors:
            return _parts(tensors, "obs.")
        return tensors[name] if name in rollout_is_tensor else tensors[name].numpy()

    episodes = Episodes(**{f.name: column(f"episodes.{f.name}") for f in fields(Episodes)})
    names = [f.name for f in fields(Rollout) if f.name not in ("episodes", "ranks")]
    rollout = Rollout(**{name: column(name) for name in names}, episodes=episodes)
    if "scored.advantage" not in tensors:
        return rollout
    cut = [f.name for f in fields(Scored) if f.name not in ("rollout", "measured")]
    return Scored(rollout, **{name: column(f"scored.{name}") for name in cut})

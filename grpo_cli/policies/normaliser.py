"""Observation normalisation that belongs to the policy: saved with it, frozen while it acts."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from grpo_cli.observations import entries
from grpo_cli.ranks import ALONE, Moments, Ranks

LIMIT = 10.0  # standard deviations; a first sight of something rare must not saturate the network
EPS = 1e-8


class Normaliser(nn.Module):
    """Running mean and variance of each entry of an observation.

    Only `observe` changes them, which training calls between updates; so a policy that acts,
    scores or is loaded from a file cannot drift.

    Args:
        shape: of one observation.
    """

    mean: Tensor
    std: Tensor
    squares: Tensor
    exact_mean: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))
        # Float64: the sums of a hundred million observations would stand still in float32.
        self.register_buffer("squares", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("exact_mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, obs: Tensor) -> Tensor:
        """[B, *O] -> [B, *O], mean about 0, standard deviation about 1, within +-10."""
        return ((obs.float() - self.mean) / self.std).clamp(-LIMIT, LIMIT)

    def numpy(self, obs: NDArray) -> NDArray[np.float32]:
        """Do the same in NumPy."""
        x = obs.astype(np.float32, copy=False)
        return np.clip((x - self.mean.numpy()) / self.std.numpy(), -LIMIT, LIMIT, dtype=np.float32)

    @torch.no_grad()
    def observe(self, obs: Tensor, ranks: Ranks = ALONE) -> None:
        """Take a batch [N, *O] of every rank into the moments, by Chan et al.'s pooled update."""
        batch = obs.double()
        # Of a rank that has none left while others have: a mean of nothing is not a number.
        mean = batch.mean(dim=0) if len(batch) else torch.zeros_like(self.exact_mean)
        seen = ranks.pooled(Moments(len(batch), mean, ((batch - mean) ** 2).sum(dim=0)))
        count, mean = seen.count, torch.as_tensor(seen.mean, device=obs.device)
        total = self.count + count
        gap = mean - self.exact_mean
        self.squares += torch.as_tensor(seen.squares, device=obs.device)
        self.squares += gap**2 * (self.count * count / total)
        self.exact_mean += gap * (count / total)
        self.count.copy_(total)
        # In place: the NumPy twin of a policy looks at these very numbers.
        self.mean.copy_(self.exact_mean)
        self.std.copy_((self.squares / total).sqrt().clamp_min(EPS))


class EntryNormaliser(nn.Module):
    """A `Normaliser` for each entry that holds numbers; choices and bits pass as they are.

    Args:
        shapes: of the entries to normalise, by path.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self._paths = list(shapes)  # a path has dots, which names of modules cannot have
        self.entries = nn.ModuleList(Normaliser(shape) for shape in shapes.values())

    def _each(self, obs: Any, change: str, *given: Ranks) -> dict[str, Any]:  # noqa: ANN401
        paths = obs.keys() if isinstance(obs, dict) else obs.dtype.names
        changed = zip(self._paths, self.entries, strict=True)
        return {
            **{path: obs[path] for path in paths},
            **{path: getattr(entry, change)(obs[path], *given) for path, entry in changed},
        }

    def forward(self, obs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Normalise the entries of a batch."""
        return self._each(obs, "forward")

    def numpy(self, obs: Any) -> dict[str, NDArray]:  # noqa: ANN401 - a record, or by path
        """Do the same in NumPy."""
        return self._each(obs, "numpy")

    def observe(self, obs: dict[str, Tensor], ranks: Ranks = ALONE) -> None:
        """Take a batch of every rank into the moments."""
        self._each(obs, "observe", ranks)


Normalises = Normaliser | EntryNormaliser


def make_normaliser(space: spaces.Space) -> Normalises | None:
    """Return what normalises observations of a space; None where it holds no numbers."""
    boxes = {path: s.shape for path, s in entries(space).items() if isinstance(s, spaces.Box)}
    if not boxes:
        return None
    return Normaliser(boxes[""]) if "" in boxes else EntryNormaliser(boxes)

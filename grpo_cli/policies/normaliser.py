"""Observation normalisation that belongs to the policy: saved with it, frozen while it acts."""

import torch
from torch import Tensor, nn

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

    @torch.no_grad()
    def observe(self, obs: Tensor) -> None:
        """Take a batch [N, *O] into the moments, by Chan et al.'s pooled update."""
        batch = obs.double()
        count, mean = len(batch), batch.mean(dim=0)
        total = self.count + count
        gap = mean - self.exact_mean
        self.squares += ((batch - mean) ** 2).sum(dim=0)
        self.squares += gap**2 * (self.count * count / total)
        self.exact_mean += gap * (count / total)
        self.count.copy_(total)
        # In place: the NumPy twin of a policy looks at these very numbers.
        self.mean.copy_(self.exact_mean)
        self.std.copy_((self.squares / total).sqrt().clamp_min(EPS))

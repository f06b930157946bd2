"""Distributions of a policy of the person's own, known only at the actions taken."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampled:
    """Distributions that are known only at the actions taken.

    The parameters are [B, 2]: the log-probability of the row's action now, and when it was taken
    (a constant). Entropy and divergence are estimates whose plain gradient is unbiased: they carry
    the ratio r = now / then inside. A bare -logp or logp - logp_ref, put into a loss, has a
    gradient of expectation zero where the policy still is the one that acted.
    """

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return what is known; the action is not needed."""
        return params[:, 0]

    def entropy(self, params: Tensor) -> Tensor:
        """Return -r logp + (r - 1), whose gradient is -r logp grad(logp)."""
        ratio = (params[:, 0] - params[:, 1]).exp()
        return ratio - 1 - ratio * params[:, 0]

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Return r (exp(-d) - 1 + d), d = logp - logp_ref, whose gradient is r d grad(logp).

        Source: Schulman 2020, "Approximating KL divergence"; the ratio makes k3's gradient that of
        the reverse divergence (DeepSeek-V3.2, arXiv:2512.02556, section 3.1).
        """
        ratio = (params[:, 0] - params[:, 1]).exp()
        gap = params[:, 0] - other[:, 0]
        return ratio * (torch.expm1(-gap) + gap)

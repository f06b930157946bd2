"""Divergence of the policy from a reference: estimators, and the coefficient before them.

Each estimator is `f(new, batch) -> [B]` in nats. The sampled ones look at the actions of the batch,
drawn from the policy as it was before the update, with d = log pi_new - log pi_ref at each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Batch

# What can be chosen by name.
__all__ = ["exact", "k1", "k2", "k3", "straight_through"]

DIRECTIONS = ("reverse", "forward")


def exact(new: Outlook, batch: Batch, *, direction: str = "reverse") -> Tensor:
    """Return the exact divergence of the action distributions, nats, [B].

    Unlike the sampled estimators it has no variance and the right gradient; every Gymnasium policy
    here has a closed form.

    Args:
        new: what the policy now thinks.
        batch: with parameters of the reference.
        direction: `reverse` is KL(new || reference), `forward` KL(reference || new).

    Raises:
        ConfigError: an unknown direction.
    """
    reference = _reference(batch)
    if _is_reverse(direction):
        return new.kl(reference)
    return new.family.kl(reference, new.params)


def k1(new: Outlook, batch: Batch, *, direction: str = "reverse") -> Tensor:
    """Return the plain estimate, d or -d exp(-d): unbiased, of high variance, of either sign.

    In the loss its gradient is zero on average (reverse): it belongs into the reward.

    Source: Schulman 2020, "Approximating KL divergence"; arguments as for `exact`.
    """
    gap = _gap(new, batch)
    return gap if _is_reverse(direction) else -gap * (-gap).exp()


def k2(new: Outlook, batch: Batch, *, direction: str = "reverse") -> Tensor:
    """Return d^2 / 2: biased, of low variance, with the gradient of the reverse divergence.

    To second order both directions are equal, so the number is the same for both.

    Source: Schulman 2020; arguments as for `exact`.
    """
    _is_reverse(direction)
    return 0.5 * _gap(new, batch).square()


def k3(new: Outlook, batch: Batch, *, direction: str = "reverse") -> Tensor:
    """Return exp(-d) - 1 + d (reverse) or 1 - (1 + d) exp(-d) (forward): unbiased, never negative.

    The gradient of the reverse one, put into a loss, is that of the forward divergence.

    Source: Schulman 2020; Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), equation 4; arguments
    as for `exact`.
    """
    gap = _gap(new, batch)
    if _is_reverse(direction):
        return torch.expm1(-gap) + gap
    return -torch.expm1(-gap) - gap * (-gap).exp()


def straight_through(new: Outlook, batch: Batch, *, direction: str = "reverse") -> Tensor:
    """Return the value of `k3` with the right gradient: that of `k2`, forward of reverse `k3`.

    Source: verl's `k3+` (straight-through); arguments as for `exact`.
    """
    value = k3(new, batch, direction=direction).detach()
    right = k2(new, batch) if direction == "reverse" else k3(new, batch)
    return value + right - right.detach()


def _gap(new: Outlook, batch: Batch) -> Tensor:
    return new.logprob - new.family.logprob(_reference(batch), batch.action)


def _reference(batch: Batch) -> Tensor:
    if batch.reference is None:
        raise ValueError("a KL penalty needs reference parameters in the batch")
    return batch.reference


def _is_reverse(direction: str) -> bool:
    if direction not in DIRECTIONS:
        raise ConfigError(
            f"kl.direction={direction} does not exist", f"choose one of {', '.join(DIRECTIONS)}"
        )
    return direction == "reverse"


Estimator = Callable[[Outlook, Batch], Tensor]


@dataclass
class KlCoef:
    """The coefficient, fixed or led towards a target.

    Source: Ziegler et al. 2019 (arXiv:1909.08593), 2.2.

    Attributes:
        value: the coefficient now.
        target: divergence that is wanted, nats; None: the coefficient stays.
        horizon: rows over which a divergence that is too large by a fifth, or more, makes the
            coefficient grow by a fifth.
    """

    value: float
    target: float | None = None
    horizon: float = 10_000

    def observe(self, kl: float, rows: int) -> None:
        """Take the divergence measured over so many rows, nats."""
        if self.target is not None:
            error = float(np.clip(kl / self.target - 1, -0.2, 0.2))
            # A rollout of many horizons at once must not make it 0 or negative.
            self.value *= max(1 + error * rows / self.horizon, 0.5)

    def state(self) -> dict[str, float]:
        """Return what a later `load` needs."""
        return {"value": self.value}

    def load(self, state: dict[str, float]) -> None:
        """Go on where a saved coefficient stood."""
        self.value = float(state["value"])

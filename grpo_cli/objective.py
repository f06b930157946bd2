"""What an update minimises, and what it asks of a policy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor

from grpo_cli.clock import part
from grpo_cli.distributions import Density, Outlook
from grpo_cli.losses import needs_members, needs_rows_only
from grpo_cli.losses.aggregate import aggregated
from grpo_cli.losses.clip import drift
from grpo_cli.rollout import Batch, Mean, Obs

Loss = Callable[[Outlook, Batch], tuple[Tensor, dict[str, Mean]]]


class Learns(Protocol):
    """What an update asks of a policy."""

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        ...

    @property
    def family(self) -> Density:
        """Its action distribution."""
        ...

    @property
    def by_member(self) -> bool:
        """It must be shown whole members, for it remembers what came before."""
        ...

    def __call__(self, obs: Obs, lengths: Sequence[int] = ()) -> Tensor:
        """Observations [B, *O], rows of each member in them -> distribution parameters [B, P]."""
        ...

    def outlook(self, batch: Batch) -> Outlook:
        """Return what it now thinks of a batch, with gradient."""
        ...

    def parameters(self) -> Iterable[Tensor]:
        """Return what is learned."""
        ...


@dataclass(frozen=True)
class Objective:
    """What is minimised: loss + kl_coef * KL - entropy_coef * entropy.

    The penalty is summed up as the loss is (`aggregate`), as in DeepSeekMath's equation 3; the
    bonus is a mean over rows.

    Attributes:
        loss: the policy loss.
        kl: divergence from the reference at each row, nats.
        entropy: of the policy at each row, nats.
        kl_coef: 0: no penalty in the loss, and no reference.
        entropy_coef: 0: no bonus.
        top_quantile: share of the rows, those with the most entropy, that keep their advantage.
    """

    loss: Loss
    kl: Callable[[Outlook, Batch], Tensor]
    entropy: Callable[[Outlook], Tensor]
    kl_coef: float = 0.0
    entropy_coef: float = 0.0
    top_quantile: float = 1.0

    @cached_property
    def by_member(self) -> bool:
        """Minibatches must hold whole members."""
        return needs_members(self.loss)

    @cached_property
    def by_row(self) -> bool:
        """A minibatch may be computed part by part."""
        return needs_rows_only(self.loss)

    @cached_property
    def _aggregate(self) -> dict[str, Any]:
        given = signature(self.loss).parameters
        return {name: given[name].default for name in ("aggregate", "length") if name in given}

    @part("forward and loss")
    def __call__(self, new: Outlook, batch: Batch) -> tuple[Tensor, dict[str, Mean]]:
        """Return the scalar to minimise and what was measured."""
        total, measured = self.loss(new, batch)
        if "approx_kl" not in measured:  # a loss of one's own: without it the KL stop cannot act
            measured["approx_kl"] = drift(new.logprob - batch.old_logprob, batch)
        if self.kl_coef:
            penalty = self.kl(new, batch)
            measured["kl"] = batch.mean(penalty)
            total = total + self.kl_coef * aggregated(penalty, batch, **self._aggregate)[0]
        if self.entropy_coef:
            entropy = self.entropy(new)
            measured["entropy"] = batch.mean(entropy)
            total = total - self.entropy_coef * batch.weighted(entropy)
        return total, measured

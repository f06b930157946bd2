"""Divergence of the policy from a reference, as a penalty in the loss."""

from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.rollout import Batch

__all__ = ["exact"]


def exact(new: Outlook, batch: Batch) -> Tensor:
    """Return the exact reverse KL(new || reference) of the action distributions, nats, [B].

    Unlike the sampled estimators (k1, k2, k3) it has no variance and the right gradient; every
    Gymnasium policy here has a closed form.
    """
    if batch.reference is None:
        raise ValueError("a KL penalty needs reference parameters in the batch")
    return new.kl(batch.reference)

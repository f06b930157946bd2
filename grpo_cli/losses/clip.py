"""The clipped surrogate and its relatives."""

import torch
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.rollout import Batch, Mean


def clip(
    new: Outlook, batch: Batch, *, eps_low: float = 0.2, eps_high: float | None = None
) -> tuple[Tensor, dict[str, Mean]]:
    """Clipped policy loss, averaged over the rows of the batch.

    Source: Schulman et al. 2017 (arXiv:1707.06347), equation 7; a separate upper bound
    ("clip-higher") is from Yu et al. 2025 (DAPO, arXiv:2503.14476), equation 10.

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows.
        eps_low: the ratio is not rewarded below 1 - eps_low.
        eps_high: nor above 1 + eps_high; None means eps_low.

    Returns:
        The scalar to minimise, and what was measured: `approx_kl` is the k3 estimate of
        KL(old || new) in nats, the clip shares count rows whose gradient was cut.
    """
    upper = eps_low if eps_high is None else eps_high
    log_ratio = new.logprob - batch.old_logprob
    ratio = log_ratio.exp()
    surrogate = torch.minimum(
        ratio * batch.advantage, ratio.clamp(1 - eps_low, 1 + upper) * batch.advantage
    )
    loss = -torch.dot(surrogate, batch.weight) / batch.weight.sum()
    with torch.no_grad():
        low = ((ratio < 1 - eps_low) & (batch.advantage < 0)).float()
        high = ((ratio > 1 + upper) & (batch.advantage > 0)).float()
        measured = {
            "policy_gradient_loss": Mean.of(-surrogate, batch.weight),
            "approx_kl": Mean.of(ratio - 1 - log_ratio, batch.weight),
            "clip_ratio/low_mean": Mean.of(low, batch.weight),
            "clip_ratio/high_mean": Mean.of(high, batch.weight),
            "clip_ratio/region_mean": Mean.of(low + high, batch.weight),
        }
    return loss, measured

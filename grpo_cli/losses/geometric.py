"""The geometric mean of a member's clipped ratios."""

import torch
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.losses.aggregate import aggregated
from grpo_cli.losses.clip import clip_shares, drift
from grpo_cli.losses.members import by_member, member_mean
from grpo_cli.rollout import Batch, Mean


@by_member()
def gmpo(
    new: Outlook, batch: Batch, *, eps_low: float = 0.4, eps_high: float | None = None
) -> tuple[Tensor, dict[str, Mean]]:
    """Geometric-mean policy loss: each step is clipped, then the member's ratio is their mean.

    Source: Zhao et al. 2025 (GMPO, arXiv:2507.20673).

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows of whole members.
        eps_low: log-ratios are clipped at -eps_low where the advantage is negative.
        eps_high: and at eps_high where it is positive; None means eps_low.
    """
    upper = eps_low if eps_high is None else eps_high
    log_ratio = new.logprob - batch.old_logprob
    # A row of advantage 0 has sign 0: it counts as one that has not moved.
    sign = batch.advantage.sign()
    clipped = sign * torch.minimum(sign * log_ratio, sign * log_ratio.clamp(-eps_low, upper))
    ratio = member_mean(clipped, batch).exp()[batch.member]
    loss, loss_mean = aggregated(-batch.advantage * ratio, batch, "member_mean")
    with torch.no_grad():
        shares = clip_shares(log_ratio, batch, -eps_low, upper)
    return loss, {
        "policy_gradient_loss": loss_mean,
        "approx_kl": drift(log_ratio, batch),
        **shares,
    }

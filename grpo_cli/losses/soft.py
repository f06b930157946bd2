"""A soft gate in place of the clip."""

import torch
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.losses.aggregate import BY_MEMBER, aggregated
from grpo_cli.losses.clip import drift
from grpo_cli.losses.members import by_member, by_row
from grpo_cli.rollout import Batch, Mean


@by_row
@by_member(aggregate=BY_MEMBER)
def sapo(
    new: Outlook,
    batch: Batch,
    *,
    tau_pos: float = 1.0,
    tau_neg: float = 1.05,
    aggregate: str = "member_mean",
    length: float | None = None,
) -> tuple[Tensor, dict[str, Mean]]:
    """Soft adaptive policy loss: -A sigmoid(tau (ratio - 1)) 4 / tau.

    Source: Gao et al. 2025 (SAPO, arXiv:2511.20347).

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows.
        tau_pos: how fast the gate closes for advantages > 0.
        tau_neg: how fast for the others.
        aggregate: see `aggregated`.
        length: see `aggregated`.
    """
    log_ratio = new.logprob - batch.old_logprob
    tau = torch.where(batch.advantage > 0, tau_pos, tau_neg)
    gate = torch.sigmoid(tau * (log_ratio.exp() - 1)) * 4 / tau
    loss, loss_mean = aggregated(-batch.advantage * gate, batch, aggregate, length)
    return loss, {"policy_gradient_loss": loss_mean, "approx_kl": drift(log_ratio, batch)}

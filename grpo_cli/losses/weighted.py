"""Losses of the form -w A log pi, with a weight w that carries no gradient."""

import math

import torch
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.losses.aggregate import BY_MEMBER, aggregated
from grpo_cli.losses.clip import clip_shares, drift
from grpo_cli.losses.members import by_member, by_row, member_log_ratio
from grpo_cli.rollout import Batch, Mean


def _score_loss(
    new: Outlook,
    batch: Batch,
    weight: Tensor | float,
    aggregate: str = "step_mean",
    length: float | None = None,
) -> tuple[Tensor, dict[str, Mean]]:
    """Return -weight * advantage * logprob, aggregated, and its measurements."""
    loss, loss_mean = aggregated(-weight * batch.advantage * new.logprob, batch, aggregate, length)
    return loss, {
        "policy_gradient_loss": loss_mean,
        "approx_kl": drift(new.logprob - batch.old_logprob, batch),
    }


@by_row
@by_member(aggregate=BY_MEMBER)
def reinforce(
    new: Outlook, batch: Batch, *, aggregate: str = "step_mean", length: float | None = None
) -> tuple[Tensor, dict[str, Mean]]:
    """Policy gradient without a ratio: right for one pass over fresh rows, biased after.

    Source: Williams 1992 (Machine Learning 8); Chu et al. 2025 (GPG, arXiv:2504.02546).

    Args:
        new: what the policy now thinks, B rows.
        batch: actions and advantages, B rows.
        aggregate: see `aggregated`.
        length: see `aggregated`.
    """
    return _score_loss(new, batch, 1.0, aggregate, length)


@by_row
@by_member(aggregate=BY_MEMBER)
def cispo(
    new: Outlook,
    batch: Batch,
    *,
    eps_low: float = 1.0,
    eps_high: float | None = 4.0,
    aggregate: str = "step_mean",
    length: float | None = None,
) -> tuple[Tensor, dict[str, Mean]]:
    """Policy gradient with a clipped importance weight: every row keeps a gradient.

    Source: MiniMax-M1 (arXiv:2506.13585).

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows.
        eps_low: the weight is at least 1 - eps_low; 1 sets no lower bound.
        eps_high: and at most 1 + eps_high; None means eps_low.
        aggregate: see `aggregated`.
        length: see `aggregated`.
    """
    low, high = 1 - eps_low, 1 + (eps_low if eps_high is None else eps_high)
    ratio = (new.logprob.detach() - batch.old_logprob).exp()
    loss, measured = _score_loss(new, batch, ratio.clamp(low, high), aggregate, length)
    return loss, measured | clip_shares(ratio, batch, low, high)


@by_member()
def vespo(
    new: Outlook,
    batch: Batch,
    *,
    k_pos: float = 2.0,
    lambda_pos: float = 3.0,
    k_neg: float = 3.0,
    lambda_neg: float = 2.0,
) -> tuple[Tensor, dict[str, Mean]]:
    """Policy gradient weighted by a smooth kernel of the whole member's importance weight.

    The kernel w^k exp(lambda (1 - w)) of the product w of the member's ratios is 1 at w = 1 and
    falls off to both sides.

    Source: VESPO (arXiv:2602.10693), as published in TRL.

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows of whole members.
        k_pos: power for advantages >= 0.
        lambda_pos: decay for advantages >= 0.
        k_neg: power for advantages < 0.
        lambda_neg: decay for advantages < 0.
    """
    with torch.no_grad():
        log_ratio = member_log_ratio(new.logprob - batch.old_logprob, batch, "trajectory")
        log_w = log_ratio.clamp(min=math.log(1e-8))  # TRL's bound; w = 0 has no logarithm
        gain = batch.advantage >= 0
        k = torch.where(gain, k_pos, k_neg)
        decay = torch.where(gain, lambda_pos, lambda_neg)
        phi = (k * log_w + decay * (1 - log_w.exp())).exp()
    loss, measured = _score_loss(new, batch, phi)
    return loss, measured | {"vespo/phi_seq_mean": batch.mean(phi)}

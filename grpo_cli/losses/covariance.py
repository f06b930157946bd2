"""Losses that hold back the rows whose log-probability and advantage vary together most.

Those rows drive the loss of entropy (Cui et al. 2025, arXiv:2505.22617, 3).
"""

import torch
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.losses.aggregate import aggregated
from grpo_cli.losses.clip import clip_shares, drift
from grpo_cli.rollout import Batch, Mean


def clip_cov(
    new: Outlook,
    batch: Batch,
    *,
    eps_low: float = 0.2,
    eps_high: float | None = None,
    cov_frac: float = 2e-4,
    cov_low: float = 1.0,
    cov_high: float = 5.0,
) -> tuple[Tensor, dict[str, Mean]]:
    """Clipped loss without a random few of the rows of large covariance.

    Which few is drawn by the shuffle of the minibatches: the first candidates in its order.

    Source: Cui et al. 2025 (arXiv:2505.22617), section 4.

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows in random order.
        eps_low: the ratio is not rewarded below 1 - eps_low.
        eps_high: nor above 1 + eps_high; None means eps_low.
        cov_frac: share of the rows held back, one row at least.
        cov_low: candidates have a covariance above this.
        cov_high: and below this.
    """
    low, high = 1 - eps_low, 1 + (eps_low if eps_high is None else eps_high)
    log_ratio = new.logprob - batch.old_logprob
    ratio = log_ratio.exp()
    plain, clipped = ratio * batch.advantage, ratio.clamp(low, high) * batch.advantage
    with torch.no_grad():
        cov = _covariance(new, batch)
        candidate = (cov > cov_low) & (cov < cov_high) & (batch.weight > 0) & (plain <= clipped)
        held = candidate & (candidate.cumsum(0) <= _count(batch, cov_frac))
    row = -torch.minimum(plain, clipped) * (~held)
    loss, loss_mean = aggregated(row, batch)
    return loss, {
        "policy_gradient_loss": loss_mean,
        "approx_kl": drift(log_ratio, batch),
        "clip_ratio/cov_mean": batch.mean(held.float()),
        **clip_shares(ratio.detach(), batch, low, high),
    }


def kl_cov(
    new: Outlook, batch: Batch, *, cov_frac: float = 2e-4, cov_coef: float = 1.0
) -> tuple[Tensor, dict[str, Mean]]:
    """Loss without a clip, with a penalty on moving the rows of the largest covariance.

    Source: Cui et al. 2025 (arXiv:2505.22617), section 4.

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows.
        cov_frac: share of the rows that are penalised, one row at least.
        cov_coef: times |log ratio| of those rows.
    """
    log_ratio = new.logprob - batch.old_logprob
    with torch.no_grad():
        cov = _covariance(new, batch).masked_fill(batch.weight <= 0, -torch.inf)
        rank = cov.argsort(descending=True).argsort()
        held = rank < _count(batch, cov_frac)
    row = -log_ratio.exp() * batch.advantage + cov_coef * held * log_ratio.abs()
    loss, loss_mean = aggregated(row, batch)
    return loss, {
        "policy_gradient_loss": loss_mean,
        "approx_kl": drift(log_ratio, batch),
        "clip_ratio/cov_mean": batch.mean(held.float()),
    }


def _covariance(new: Outlook, batch: Batch) -> Tensor:
    """Return each row's share of the covariance of advantage and log-probability, [B]."""
    weight = batch.weight / batch.total_weight
    logprob = new.logprob.detach()
    centred = logprob - (logprob * weight).sum()
    return (batch.advantage - (batch.advantage * weight).sum()) * centred


def _count(batch: Batch, share: float) -> Tensor:
    return ((batch.weight > 0).sum() * share).floor().clamp(min=1)

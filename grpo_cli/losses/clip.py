"""The clipped surrogate; GRPO, DAPO, Dr. GRPO, BNPO, GSPO and LUSPO are settings of it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.losses.aggregate import BY_MEMBER, aggregated
from grpo_cli.losses.members import by_member, by_row, member_log_ratio
from grpo_cli.rollout import Batch, Mean

Floats = NDArray[np.float32]
RATIOS = ("step", "sequence", "trajectory")


@by_row
@by_member(ratio=RATIOS[1:], aggregate=BY_MEMBER)
def clip(
    new: Outlook,
    batch: Batch,
    *,
    eps_low: float = 0.2,
    eps_high: float | None = None,
    delta: float | None = None,
    ratio: str = "step",
    aggregate: str = "step_mean",
    length: float | None = None,
) -> tuple[Tensor, dict[str, Mean]]:
    """Clipped policy loss.

    Source: Schulman et al. 2017 (arXiv:1707.06347), equation 7; a separate upper bound
    ("clip-higher") is from Yu et al. 2025 (DAPO, arXiv:2503.14476), 3.1. `delta` is the
    dual clip of Ye et al. 2020 (arXiv:1912.09729) and the two-sided clip of INTELLECT-2
    (arXiv:2505.07291): above 1 + eps_high the two are the same.

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages and old log-probabilities, B rows.
        eps_low: the ratio is not rewarded below 1 - eps_low.
        eps_high: nor above 1 + eps_high; None means eps_low.
        delta: nor punished above delta; None: without bound.
        ratio: of each `step` | of the `sequence`, the geometric mean over the member's steps (GSPO)
            | of the `trajectory`, their product. The last two let every row share its member's
            ratio, see `member_log_ratio`.
        aggregate: see `aggregated`.
        length: see `aggregated`.

    Returns:
        The scalar to minimise, and what was measured: `approx_kl` is the k3 estimate of
        KL(old || new) in nats, the clip shares count rows whose gradient was cut.

    Raises:
        ConfigError: a ratio or an aggregate that does not exist.
    """
    upper = eps_low if eps_high is None else eps_high
    row_log_ratio = new.logprob - batch.old_logprob
    row_ratio = rho = row_log_ratio.exp()
    if ratio != "step":
        if ratio not in RATIOS:
            raise ConfigError(
                f"loss.ratio={ratio} does not exist", f"choose one of {', '.join(RATIOS)}"
            )
        rho = member_log_ratio(row_log_ratio, batch, ratio).exp()
    row = -batch.advantage * within(rho, batch.advantage, 1 - eps_low, 1 + upper, delta)
    loss, loss_mean = aggregated(row, batch, aggregate, length)
    with torch.no_grad():
        measured = {
            "policy_gradient_loss": loss_mean,
            "approx_kl": batch.mean(row_ratio - 1 - row_log_ratio),
            **clip_shares(rho, batch, 1 - eps_low, 1 + upper),
        }
    return loss, measured


def clip_slope(
    logprob: Floats, batch: Batch, eps_low: float, eps_high: float | None, delta: float | None
) -> tuple[float, Floats, dict[str, Mean]]:
    """Return `clip` with a ratio of each step and their mean, and its derivative, in NumPy.

    Args:
        logprob: of the batch's actions, nats, [B].
        batch: see `clip`; on the CPU.
        eps_low: see `clip`.
        eps_high: see `clip`.
        delta: see `clip`.

    Returns:
        The scalar, its derivative with respect to `logprob` [B], and what `clip` measures.
    """
    low, high = 1 - eps_low, 1 + (eps_low if eps_high is None else eps_high)
    advantage, weight = batch.advantage.numpy(), batch.weight.numpy()
    log_ratio = logprob - batch.old_logprob.numpy()
    ratio = np.exp(log_ratio)
    good = advantage > 0
    bounded = np.where(good, np.minimum(ratio, high), np.maximum(ratio, low))
    if delta is not None:
        np.minimum(bounded, np.where(good, high, np.float32(delta)), out=bounded)
    row = advantage * bounded
    row *= weight
    own = float(weight.sum())
    everywhere = own if batch.totals is None else float(batch.totals[0])
    loss = -float(row.sum())
    below = float(np.dot((ratio < low) & (advantage < 0), weight))
    above = float(np.dot((ratio > high) & good, weight))
    kl = float(np.dot(ratio - 1 - log_ratio, weight))
    row *= bounded == ratio  # d ratio = ratio d logprob
    row /= -everywhere
    measured = {
        "policy_gradient_loss": Mean(loss, own),
        "approx_kl": Mean(kl, own),
        "clip_ratio/low_mean": Mean(below, own),
        "clip_ratio/high_mean": Mean(above, own),
        "clip_ratio/region_mean": Mean(below + above, own),
    }
    return loss / everywhere, row, measured


def within(
    ratio: Tensor, advantage: Tensor, low: float, high: float, delta: float | None
) -> Tensor:
    """Clamp the ratio where moving further would be rewarded, [B].

    min(r A, clamp(r) A) bounds r from above where A > 0 and from below where A < 0, and only there;
    said so, it takes a third of the operations.
    """
    good = advantage > 0
    lower = torch.where(good, -torch.inf, low)
    upper = torch.where(good, high, torch.inf if delta is None else delta)
    return torch.clamp(ratio, lower, upper)


def clip_shares(ratio: Tensor, batch: Batch, low: float, high: float) -> dict[str, Mean]:
    """Return the shares of rows whose gradient is cut, under TRL's names."""
    below = batch.mean(((ratio < low) & (batch.advantage < 0)).float())
    above = batch.mean(((ratio > high) & (batch.advantage > 0)).float())
    return {
        "clip_ratio/low_mean": below,
        "clip_ratio/high_mean": above,
        "clip_ratio/region_mean": Mean(below.total + above.total, below.count),
    }


def drift(row_log_ratio: Tensor, batch: Batch) -> Mean:
    """Return the k3 estimate of KL(old || new), nats: what stops an update that goes too far."""
    row_log_ratio = row_log_ratio.detach()
    return batch.mean(row_log_ratio.exp() - 1 - row_log_ratio)

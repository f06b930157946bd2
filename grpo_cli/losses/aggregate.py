"""From one number a row to the scalar that is minimised."""

import torch
from torch import Tensor

from grpo_cli.errors import ConfigError
from grpo_cli.losses.members import member_mean, per_member
from grpo_cli.rollout import Batch, Mean

BY_MEMBER = ("member_mean", "constant", "member_sum")
AGGREGATES = ("step_mean", *BY_MEMBER)


def aggregated(
    row: Tensor, batch: Batch, aggregate: str = "step_mean", length: float | None = None
) -> tuple[Tensor, Mean]:
    """Sum up the rows of a loss, each times its weight.

    Sources: `step_mean` is the policy gradient and DAPO's (arXiv:2503.14476, 3.3);
    `member_mean` is GRPO's (arXiv:2402.03300, equation 3); `constant` is Dr. GRPO's
    (arXiv:2503.20783, 3.2); `member_sum` is LUSPO's, a member's loss times its length.

    Args:
        row: loss of each row, [B].
        batch: weights, and for all but `step_mean` whole members.
        aggregate: `step_mean` over all rows | `member_mean`, the mean over members of the mean over
            their rows | `constant`, of the sum of their rows over `length` | `member_sum`, of the
            sum of their rows.
        length: rows; the largest number that a member can have.

    Returns:
        The scalar, and the same as a measurement.

    Raises:
        ConfigError: an unknown aggregate, `constant` without a length, or no whole members.
    """
    if aggregate == "step_mean":
        total = torch.dot(row, batch.weight)
        return total / batch.total_weight, Mean(total.detach(), batch.own_weight)
    if aggregate == "member_mean":
        member = member_mean(row, batch)
    elif aggregate == "member_sum":
        member = per_member(row * batch.weight, batch)
    elif aggregate == "constant" and length:
        member = per_member(row * batch.weight, batch) / length
    elif aggregate == "constant":
        raise ConfigError("loss.aggregate=constant needs a length", "set loss.length=500")
    else:
        raise ConfigError(
            f"loss.aggregate={aggregate} does not exist", f"choose one of {', '.join(AGGREGATES)}"
        )
    # A member of which nothing is learned does not count.
    count = (per_member(batch.weight, batch) > 0).sum()
    everywhere = count if batch.totals is None else batch.totals[1]
    return member.sum() / everywhere, Mean(member.detach().sum(), count)

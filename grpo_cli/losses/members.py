"""What a loss has to see at once: its rows one by one, whole members, or a whole minibatch."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Batch

Function = TypeVar("Function", bound=Callable[..., Any])

# The reference implementation (verl) bounds log-ratios so that exp stays finite in float32.
MAX_LOG_RATIO = 20.0


def by_member(**settings: tuple[str, ...]) -> Callable[[Function], Function]:
    """Declare that a loss needs whole members in its minibatches, for `per_member`.

    Args:
        settings: parameters of the loss with the values for which this holds; none: always.
    """

    def declare(loss: Function) -> Function:
        loss.by_member = settings  # type: ignore[attr-defined]
        return loss

    return declare


def needs_members(loss: Callable[..., Any]) -> bool:
    """Say whether a loss, with the settings that a `partial` has bound, needs whole members."""
    function = loss.func if isinstance(loss, partial) else loss
    settings = getattr(function, "by_member", None)
    if not settings:
        return settings is not None
    parameters = inspect.signature(loss).parameters
    return any(parameters[name].default in values for name, values in settings.items())


def by_row(loss: Function) -> Function:
    """Declare that a loss sums over rows that do not depend on each other.

    Such a loss divides by `batch.total_weight` only (`batch.weighted`), and so may be computed part
    by part. What is not declared gets its minibatch in one piece.
    """
    loss.by_row = True  # type: ignore[attr-defined]
    return loss


def needs_rows_only(loss: Callable[..., Any]) -> bool:
    """Say whether a loss, with the settings that a `partial` has bound, is a sum over rows."""
    function = loss.func if isinstance(loss, partial) else loss
    return getattr(function, "by_row", False) and not needs_members(loss)


def per_member(value: Tensor, batch: Batch) -> Tensor:
    """Sum a row quantity over each member: [B] -> [batch.num_members].

    Raises:
        ConfigError: the batch was cut by rows.
    """
    if batch.member is None:
        raise ConfigError(
            "this loss needs whole members in its minibatches",
            "decorate it with grpo_cli.losses.by_member()",
        )
    return value.new_zeros(batch.num_members).index_add(0, batch.member, value)


def member_mean(value: Tensor, batch: Batch) -> Tensor:
    """Return the weighted mean of a row quantity over each member; 0 where nothing has weight."""
    weight = per_member(batch.weight, batch)
    return per_member(value * batch.weight, batch) / weight.clamp_min(
        torch.finfo(weight.dtype).tiny
    )


def member_log_ratio(log_ratio: Tensor, batch: Batch, level: str) -> Tensor:
    """Give every row the log-ratio of its whole member, [B], with the gradient of the row alone.

    The value is the mean over the member's rows (`sequence`) or their sum (`trajectory`). Where all
    rows of a member have one advantage, the summed gradient is that of the member's ratio itself;
    where they do not, each row keeps its own credit.

    Source: Zheng et al. 2025 (GSPO, arXiv:2507.18071), 4.1, and 4.3 for the gradient (GSPO-token);
    the bounds 10 (sequence) and 20 (trajectory) are verl's.
    """
    fixed = log_ratio.detach()
    if level == "sequence":
        whole = member_mean(fixed, batch).clamp(max=10.0)
    else:
        whole = per_member(fixed * batch.weight, batch).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return whole[batch.member] + (log_ratio - fixed)

"""The gradient of an objective: by torch's graph, written out, or part by part.

For the small networks and minibatches of control, what torch does around its operations takes
longer than what they compute: written out in NumPy, a gradient step takes a third of the time. For
large networks the graph of a whole minibatch does not fit: it is made again for one part after
the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grpo_cli.clock import part
from grpo_cli.distributions import Differentiated, Outlook
from grpo_cli.entropy import bonus
from grpo_cli.losses.clip import clip, clip_slope
from grpo_cli.objective import Learns, Objective
from grpo_cli.policies import Policy
from grpo_cli.rollout import Batch, Mean, pooled

AT_ONCE = 4096  # rows; larger slices leave the processor's cache and are slower a row

Gradient = Callable[[Batch], tuple[Tensor | float, dict[str, Mean]]]
"""Sets the gradients of what is learned; returns the objective's value and what was measured.

Tensors, or floats where nothing was computed on a device: all of one kind.
"""

SlopeOf = Callable[..., tuple[float, NDArray, dict[str, Mean]]]
"""Gives a loss, its derivative by log-probabilities [B] and what was measured: `clip_slope`."""


@runtime_checkable
class InParts(Protocol):
    """A policy that can go back through a batch part by part."""

    @property
    def in_parts(self) -> bool:
        """It is to be gone back through that way."""
        ...

    def back(self, batch: Batch, slope: Tensor) -> None:
        """Add to the gradients of what is learned.

        Args:
            batch: B rows.
            slope: derivative of a scalar by the distribution parameters, [B, P].
        """
        ...


def gradient_of(policy: Learns, objective: Objective) -> Gradient:
    """Return what computes the gradient of an objective on a batch.

    It is written out for fully connected layers on the CPU with an activation that `NumpyMlp`
    knows, a distribution that is `Differentiated`, and `clip` of single steps, averaged over them,
    with no penalty.
    """
    settings = _settings_of_clip(objective)
    if settings is not None and isinstance(policy, Policy) and policy.is_written_out:
        family, names = policy.family, ("eps_low", "eps_high", "delta")
        if isinstance(family, Differentiated):
            slope = partial(clip_slope, **{name: settings[name] for name in names})
            return partial(written_out, policy, family, slope, objective.entropy_coef)
    if isinstance(policy, InParts) and policy.in_parts:
        return partial(by_parts, policy, policy.back, objective)
    return partial(by_graph, policy, objective)


def _settings_of_clip(objective: Objective) -> dict[str, object] | None:
    """Return the settings of the loss if it is the usual one, with no more than a bonus."""
    given = signature(objective.loss).parameters
    settings = {name: parameter.default for name, parameter in given.items()}
    usual = getattr(objective.loss, "func", objective.loss) is clip and (
        settings["ratio"],
        settings["aggregate"],
    ) == ("step", "step_mean")
    exact = getattr(objective.entropy, "func", objective.entropy) is bonus
    plain = not objective.kl_coef and (exact or not objective.entropy_coef)
    return settings if usual and plain else None


def in_slices(
    gradient: Gradient, parameters: Sequence[Tensor], batch: Batch
) -> tuple[Tensor | float, dict[str, Mean]]:
    """Compute the gradient of many rows slice by slice, on the CPU; see `Gradient`.

    Args:
        gradient: of an objective whose rows do not depend on each other.
        parameters: what is learned.
        batch: B rows.
    """
    count = -(-len(batch.weight) // AT_ONCE)
    if count <= 1:
        return gradient(batch)
    own = batch.own_weight
    totals = torch.stack([own, own]) if batch.totals is None else batch.totals
    values, measured = [], []
    sums: dict[Tensor, Tensor] = {}
    for piece in batch.split(count):
        value, found = gradient(replace(piece, totals=totals))
        values.append(value)
        measured.append(found)
        for parameter in parameters:
            if parameter.grad is not None:
                so_far = sums.get(parameter)
                sums[parameter] = parameter.grad + (0 if so_far is None else so_far)
    for parameter, summed in sums.items():
        parameter.grad.copy_(summed)  # type: ignore[union-attr]
    return sum(values[1:], values[0]), pooled(measured)


def by_graph(policy: Learns, objective: Objective, batch: Batch) -> tuple[Tensor, dict[str, Mean]]:
    """Let torch do it; see `Gradient`."""
    total, measured = objective(policy.outlook(batch), batch)
    for parameter in policy.parameters():
        parameter.grad = None
    total.backward()
    return total.detach(), measured


def by_parts(
    policy: Learns,
    back: Callable[[Batch, Tensor], None],
    objective: Objective,
    batch: Batch,
) -> tuple[Tensor, dict[str, Mean]]:
    """Go forward once without a graph, and once more with it, part by part; see `Gradient`.

    Between the two, the objective says how it depends on what the policy said of each row. So any
    objective is exact, one of whole members or minibatches too, and the graph is that of one part.
    """
    with torch.no_grad():
        params = policy(batch.obs, batch.lengths)
    params.requires_grad_()
    new = Outlook(policy.family, params, policy.family.logprob(params, batch.action))
    total, measured = objective(new, batch)
    [slope] = torch.autograd.grad(total, params)
    for parameter in policy.parameters():
        parameter.grad = None
    back(batch, slope)
    return total.detach(), measured


def written_out(
    policy: Policy,
    family: Differentiated,
    slope_of: SlopeOf,
    entropy_coef: float,
    batch: Batch,
) -> tuple[float, dict[str, Mean]]:
    """Follow the chain rule from the loss to the layers, in NumPy; see `Gradient`."""
    total, measured, g, back = _loss(policy, family, slope_of, entropy_coef, batch)
    back(g)
    return total, measured


@part("forward and loss")
def _loss(
    policy: Policy,
    family: Differentiated,
    slope_of: SlopeOf,
    entropy_coef: float,
    batch: Batch,
) -> tuple[float, dict[str, Mean], NDArray, Callable[[NDArray], None]]:
    params, back = policy.traced(batch.obs)
    logprob, g = family.score(params, batch.action.numpy())
    total, slope, measured = slope_of(logprob, batch)
    g *= slope[:, None]
    if entropy_coef:
        entropy, rise = family.entropy_slope(params)
        weight, everywhere = batch.weight.numpy(), float(batch.total_weight)
        summed = float(np.dot(entropy, weight))
        measured["entropy"] = Mean(summed, float(batch.own_weight))
        total -= entropy_coef * summed / everywhere
        g -= rise * (weight * np.float32(entropy_coef / everywhere))[:, None]
    return total, measured, g, back

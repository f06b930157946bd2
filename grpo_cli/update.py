"""One policy update: several passes over a scored rollout in minibatches.

Nothing in the minibatch loop waits for the device; the KL stop and the check for finite numbers
are made between epochs.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grpo_cli.adam import Adam, clip_grad_norm
from grpo_cli.distributions import Outlook
from grpo_cli.errors import NonFinite
from grpo_cli.policies import Policy
from grpo_cli.randomness import Purpose, rng
from grpo_cli.rollout import Batch, Mean, Scored, add_means, as_tensor

ROWS_AT_ONCE = 4096  # larger slices leave the processor's cache and are slower a row

Optimizer = Adam | torch.optim.Optimizer
Loss = Callable[[Outlook, Batch], tuple[Tensor, dict[str, Mean]]]


@dataclass(frozen=True)
class Objective:
    """What is minimised: loss + kl_coef * KL - entropy_coef * entropy."""

    loss: Loss
    kl: Callable[[Outlook, Batch], Tensor]
    entropy: Callable[[Outlook], Tensor]
    kl_coef: float = 0.0
    entropy_coef: float = 0.0

    def __call__(self, new: Outlook, batch: Batch) -> tuple[Tensor, dict[str, Mean]]:
        """Return the scalar to minimise and what was measured."""
        total, measured = self.loss(new, batch)
        if self.kl_coef:
            penalty = self.kl(new, batch)
            measured["kl"] = Mean.of(penalty, batch.weight)
            total = total + self.kl_coef * _mean(penalty, batch.weight)
        if self.entropy_coef:
            entropy = self.entropy(new)
            measured["entropy"] = Mean.of(entropy, batch.weight)
            total = total - self.entropy_coef * _mean(entropy, batch.weight)
        return total, measured


def _mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum() / weight.sum()


@dataclass(frozen=True)
class Schedule:
    """How an update walks through its rows.

    Attributes:
        epochs: passes over the rows.
        num_minibatches: gradient steps a pass, at least.
        minibatch_size: upper bound of rows a step, or None.
        target_kl: no further epoch once the measured KL(old || new) exceeds it, nats; None: never.
        max_grad_norm: gradients are scaled down to this norm; None: never.
    """

    epochs: int
    num_minibatches: int
    minibatch_size: int | None
    target_kl: float | None
    max_grad_norm: float | None

    def slices(self, rows: int) -> int:
        """Return the number of gradient steps in one pass over so many rows."""
        bound = self.minibatch_size or rows
        return min(rows, max(self.num_minibatches, -(-rows // bound)))


def update_policy(
    policy: Policy,
    optimizer: Optimizer,
    scored: Scored,
    objective: Objective,
    schedule: Schedule,
    *,
    seed: int,
    update: int,
    reference: Policy | None = None,
) -> dict[str, float]:
    """Improve the policy on a scored rollout.

    Args:
        policy: changed in place.
        optimizer: over the policy's parameters.
        scored: rows and their advantages.
        objective: what is minimised.
        schedule: epochs and minibatches.
        seed: the run's seed.
        update: number of this update, part of the shuffle's address.
        reference: whom the KL penalty is measured against; None where there is none.

    Returns:
        Metrics of `train/*`, averaged over the gradient steps taken; without a row none is.

    Raises:
        NonFinite: a loss or a gradient was nan or inf.
    """
    if not len(scored.advantage):
        return {"train/epochs": 0.0, "train/gradient_steps": 0.0}
    batch, entropy = _batch(policy, scored, reference)
    means: dict[str, Mean] = {}
    epochs = steps = 0
    for epoch in range(schedule.epochs):
        epoch_means: dict[str, Mean] = {}
        order = rng(seed, Purpose.SHUFFLE, update, epoch).permutation(len(batch.weight))
        # One gather an epoch: the minibatches are then slices without a copy.
        shuffled = batch.rows(torch.from_numpy(order).to(policy.device))
        for part in shuffled.split(schedule.slices(len(order))):
            taken = _step(policy, optimizer, part, objective, schedule.max_grad_norm)
            add_means(epoch_means, taken)
            steps += 1
        _check_finite(epoch_means)
        add_means(means, epoch_means)
        epochs += 1
        if _too_far(epoch_means, schedule.target_kl):
            break
    means.setdefault("entropy", entropy)
    metrics = {f"train/{name}": mean.item() for name, mean in means.items()}
    return {**metrics, "train/epochs": float(epochs), "train/gradient_steps": float(steps)}


def _batch(policy: Policy, scored: Scored, reference: Policy | None) -> tuple[Batch, Mean]:
    """Move the rows to the device, with log-probabilities and reference as torch sees them.

    Returns the batch, and the entropy of the policy that acted.
    """
    rollout = scored.rollout
    device = policy.device
    obs, action = rollout.obs.to(device), rollout.action.to(device)
    params = _rowwise(policy, obs)
    weight = as_tensor(rollout.weight, device)
    batch = Batch(
        obs=obs,
        action=action,
        old_logprob=policy.family.logprob(params, action),
        advantage=as_tensor(scored.advantage, device),
        weight=weight,
        reference=None if reference is None else _rowwise(reference, obs),
    )
    return batch, Mean.of(policy.family.entropy(params), weight)


@torch.no_grad()
def _rowwise(policy: Policy, obs: Tensor) -> Tensor:
    """Distribution parameters of all rows, [N, P], in slices that stay in the cache."""
    return torch.cat([policy(piece) for piece in obs.split(ROWS_AT_ONCE)])


def _step(
    policy: Policy,
    optimizer: Optimizer,
    batch: Batch,
    objective: Objective,
    max_grad_norm: float | None,
) -> dict[str, Mean]:
    """Take one gradient step; returns what was measured before it."""
    total, measured = objective(policy.outlook(batch), batch)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    moved = (p for group in optimizer.param_groups for p in group["params"])
    norm = clip_grad_norm(moved, max_grad_norm)
    optimizer.step()
    one = torch.ones((), device=total.device)
    measured["loss"] = Mean(total.detach(), one)
    measured["grad_norm"] = Mean(norm, one)
    return measured


def _check_finite(means: dict[str, Mean]) -> None:
    """Stop before numbers that are not finite reach a checkpoint."""
    for name in ("loss", "grad_norm"):
        if not np.isfinite(means[name].item()):
            raise NonFinite(
                f"train/{name} is not finite: this update has broken the policy",
                "lower lr, or set optim.max_grad_norm; the last checkpoint is still good",
            )


def _too_far(means: dict[str, Mean], target_kl: float | None) -> bool:
    if target_kl is None or "approx_kl" not in means:
        return False
    return means["approx_kl"].item() > target_kl


class Learner:
    """The optimizer, its learning rate and the reference policy, from one update to the next.

    Args:
        policy: who learns.
        optimizer: over the policy's parameters.
        objective: what is minimised.
        schedule: epochs and minibatches.
        lr: learning rate at the start.
        anneal: lower the learning rate linearly to 0 over the run.
        reference: `initial` (the policy as it was built) | `old` (as it was before each update).
        seed: the run's seed.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: Optimizer,
        objective: Objective,
        schedule: Schedule,
        *,
        lr: float,
        anneal: bool,
        reference: str,
        seed: int,
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.objective = objective
        self.schedule = schedule
        self.lr = lr
        self.anneal = anneal
        self.follows = reference == "old"
        self.seed = seed
        # Without a penalty no reference is built: it would only cost time and memory.
        self.reference = copy.deepcopy(policy) if objective.kl_coef else None
        self.gradient_steps = 0

    def __call__(self, scored: Scored, update: int, progress: float) -> dict[str, float]:
        """Learn from a scored rollout; `progress` runs from 0 to 1. Returns `train/*` metrics.

        Members whose rows all have weight 0 are left out here, and nowhere else.
        """
        lr = self.lr * (1.0 - progress) if self.anneal else self.lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self.reference is not None and self.follows:
            self.reference.load_state_dict(self.policy.state_dict())
        metrics = update_policy(
            self.policy,
            self.optimizer,
            scored.learned(),
            self.objective,
            self.schedule,
            seed=self.seed,
            update=update,
            reference=self.reference,
        )
        # After the update: its ratios compare with the policy that acted, old moments included.
        self.policy.observe(scored.rollout.obs)
        self.gradient_steps += int(metrics.pop("train/gradient_steps"))
        return {
            **metrics,
            "train/learning_rate": lr,
            "train/n_updates": float(self.gradient_steps),
        }

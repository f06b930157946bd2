"""One policy update: several passes over a scored rollout in minibatches.

Nothing in the minibatch loop waits for the device; the KL stop and the check for finite numbers
are made between epochs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from operator import methodcaller

import numpy as np
import torch
from torch import Tensor

from grpo_cli.adam import Adam, clip_grad_norm
from grpo_cli.clock import part
from grpo_cli.entropy import top_quantile
from grpo_cli.errors import NonFinite
from grpo_cli.gradient import AT_ONCE, Gradient, gradient_of, in_slices
from grpo_cli.minibatches import by_members, by_rows, of_all
from grpo_cli.objective import Learns, Objective
from grpo_cli.randomness import Purpose, rng
from grpo_cli.ranks import Ranks
from grpo_cli.rollout import Batch, Ints, Mean, Obs, Scored, as_tensor, each, pooled

Optimizer = Adam | torch.optim.Optimizer


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


@np.errstate(all="ignore")  # what is not finite is found between epochs, and said in words
def update_policy(
    policy: Learns,
    optimizer: Optimizer,
    scored: Scored,
    objective: Objective,
    schedule: Schedule,
    *,
    seed: int,
    update: int,
    reference: Learns | None = None,
    each_epoch: Callable[[dict[str, Mean]], None] | None = None,
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
        each_epoch: receives what every epoch measured.

    Returns:
        Metrics of `train/*`, averaged over the gradient steps taken; none are taken where no row
        has weight, or where nothing differs: see `_says_something`.

    Raises:
        NonFinite: a loss or a gradient was nan or inf.
    """
    ranks = scored.rollout.ranks
    batch, member, entropy = _batch(policy, scored, reference, objective.top_quantile)
    learned = len(member) if scored.rollout.weight.any() else 0
    rows, first = ranks.span(learned)
    nothing = {"train/epochs": 0.0, "train/gradient_steps": 0.0}
    if not rows:
        return nothing
    if not _says_something(scored, objective):
        (mean,) = pooled([{"entropy": entropy}], ranks).values()
        return {"train/entropy": mean.item(), **nothing}
    # Where all there is to learn from is with other ranks, every part of the epochs is empty.
    own = batch if learned else batch.rows(torch.arange(0, device=policy.device))
    parts, gradient = schedule.slices(rows), gradient_of(policy, objective)
    whole_members = objective.by_member or policy.by_member
    if policy.device.type == "cpu" and objective.by_row and not policy.by_member:
        gradient = partial(in_slices, gradient, list(policy.parameters()))
    of_epochs: list[dict[str, Mean]] = []
    steps = 0
    for epoch in range(schedule.epochs):
        shuffle = rng(seed, Purpose.SHUFFLE, update, epoch)
        if whole_members:
            minibatches = by_members(own, member[:learned], parts, shuffle, ranks)
        else:
            minibatches = by_rows(own, parts, shuffle, rows, first)
        taken = [
            _step(gradient, optimizer, part, schedule.max_grad_norm, ranks)
            for part in of_all(minibatches, batch, member, ranks)
        ]
        steps += len(taken)
        of_epochs.append(pooled(taken, ranks))
        _check_finite(of_epochs[-1])
        if each_epoch is not None:
            each_epoch(of_epochs[-1])
        if schedule.target_kl and ranks.any(_too_far(of_epochs[-1], schedule.target_kl)):
            break
    means = {**pooled([{"entropy": entropy}], ranks), **pooled(of_epochs)}
    metrics = {f"train/{name}": mean.item() for name, mean in means.items()}
    return {**metrics, "train/epochs": float(len(of_epochs)), "train/gradient_steps": float(steps)}


def _says_something(scored: Scored, objective: Objective) -> bool:
    """Whether any member did better or worse than its peers, or a term of the loss is without them.

    If not, every gradient is zero, and steps along it are no harmless ones: Adam goes on along the
    mean of earlier gradients, and forgets their size, so that the next one leads too far.
    """
    if objective.kl_coef or objective.entropy_coef:
        return True
    counted = scored.advantage * scored.rollout.weight
    return scored.rollout.ranks.any(bool(counted.any()))


@torch.no_grad()
def measure(
    policy: Learns, scored: Scored, objective: Objective, reference: Learns | None = None
) -> dict[str, Mean]:
    """Return what `update_policy` would measure before its first step, without taking it."""
    batch, _, _ = _batch(policy, scored, reference, objective.top_quantile)
    total, measured = objective(policy.outlook(batch), batch)
    return {**measured, "loss": Mean(total, torch.ones_like(total))}


@part("old log-probs")
def _batch(
    policy: Learns, scored: Scored, reference: Learns | None, share: float
) -> tuple[Batch, Ints, Mean]:
    """Move the rows to the device, with log-probabilities and reference as torch sees them.

    Returns the batch, the member of each row, and the entropy of the policy that acted.
    """
    rollout = scored.rollout
    device = policy.device
    obs, action, advantage = rollout.obs, rollout.action, scored.advantage
    # As the device will have it: what a float32 cannot hold would leave a minibatch without weight.
    weight, member = rollout.weight.astype(np.float32), rollout.member
    if not weight.all():  # rows of weight 0 are never learned from
        counts = np.bincount(member, weight)[member] if policy.by_member else weight
        kept = np.flatnonzero(counts) if counts.any() else np.flatnonzero(member == member[0])
        rows = torch.from_numpy(kept)
        obs, action = each(obs, lambda entry: entry[rows]), action[rows]
        advantage, weight, member = advantage[kept], weight[kept], member[kept]
    obs, action = each(obs, methodcaller("to", device)), action.to(device)
    params = rowwise(policy, obs, member)
    entropy = policy.family.entropy(params)
    batch = Batch(
        obs=obs,
        action=action,
        old_logprob=policy.family.logprob(params, action),
        advantage=as_tensor(advantage, device),
        weight=as_tensor(weight, device),
        reference=None if reference is None else rowwise(reference, obs, member),
    )
    if share < 1:
        whole, mine = rollout.ranks.whole(entropy)
        masked = batch.advantage * top_quantile(whole, share)[mine]
        batch = replace(batch, advantage=masked)
    return batch, member, batch.mean(entropy)


@torch.no_grad()
def rowwise(policy: Learns, obs: Obs, member: Ints) -> Tensor:
    """Distribution parameters of all rows, [N, P], in slices that stay in the cache."""
    edges = list(range(0, len(member), AT_ONCE))
    if policy.by_member:  # every slice begins with a member
        edges = np.unique(np.searchsorted(member, member[edges])).tolist()
    pieces = []
    for a, b in pairwise([*edges, len(member)]):
        piece = each(obs, lambda entry, a=a, b=b: entry[a:b])
        lengths = np.unique(member[a:b], return_counts=True)[1] if policy.by_member else member[:0]
        pieces.append(policy(piece, lengths.tolist()))
    return torch.cat(pieces)


@part("backward")
def _step(
    gradient: Gradient,
    optimizer: Optimizer,
    batch: Batch,
    max_grad_norm: float | None,
    ranks: Ranks,
) -> dict[str, Mean]:
    """Take one gradient step; returns what was measured before it."""
    total, measured = gradient(batch)
    gradients = _gradients(optimizer)
    ranks.add_gradients(gradients)
    norm = clip_grad_norm(gradients, max_grad_norm)
    optimizer.step()
    one = 1.0
    if isinstance(total, Tensor):
        norm = torch.as_tensor(norm, device=total.device)
        one = torch.ones_like(norm)
    # A loss is divided by the weights of all ranks: those of the ranks add up, not average.
    measured["loss"] = Mean(total, one / ranks.size if ranks.size > 1 else one)
    measured["grad_norm"] = Mean(norm, one)
    return measured


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    if isinstance(optimizer, Adam):
        return optimizer.gradients()
    moved = [p for group in optimizer.param_groups for p in group["params"]]
    return [grad for parameter in moved if (grad := parameter.grad) is not None]


def _check_finite(means: dict[str, Mean]) -> None:
    """Stop before numbers that are not finite reach a checkpoint."""
    for name in ("loss", "grad_norm"):
        if not np.isfinite(means[name].item()):
            raise NonFinite(
                f"train/{name} is not finite: this update has broken the policy",
                "lower lr, or set optim.max_grad_norm; the last checkpoint is still good",
            )


def _too_far(means: dict[str, Mean], target_kl: float) -> bool:
    return "approx_kl" in means and means["approx_kl"].item() > target_kl

"""What lasts from one update to the next: optimizer, learning rate, coefficients, reference."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from grpo_cli.clock import part
from grpo_cli.entropy import EntropyCoef
from grpo_cli.errors import NonFinite
from grpo_cli.kl import KlCoef
from grpo_cli.objective import Objective
from grpo_cli.policies import Policy
from grpo_cli.reference import Reference
from grpo_cli.rollout import Floats, Rollout, Scored
from grpo_cli.survey import survey
from grpo_cli.update import Optimizer, Schedule, update_policy

PLACES = ("loss", "reward", "advantage")


@dataclass(frozen=True)
class Penalty:
    """What distance from a reference costs.

    Attributes:
        reference: whom the policy is compared with.
        coef: the coefficient.
        where: added to the `loss`, taken from each row's `reward` (as in RLOO, arXiv:2402.14740),
            or from each row's `advantage`, less its mean (as in AgileRL).
    """

    reference: Reference
    coef: KlCoef
    where: str = "loss"


class Learner:
    """The optimizer and what it minimises, from one update to the next.

    Args:
        policy: who learns.
        optimizer: over the policy's parameters.
        objective: what is minimised; its coefficients are set before every update.
        schedule: epochs and minibatches.
        lr: learning rate at the start.
        anneal: lower the learning rate linearly to 0 over the run.
        seed: the run's seed.
        penalty: on distance from a reference; None: there is none, and no reference.
        entropy_coef: of the bonus; None: no bonus.
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
        seed: int,
        penalty: Penalty | None = None,
        entropy_coef: EntropyCoef | None = None,
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.objective = objective
        self.schedule = schedule
        self.lr = lr
        self.anneal = anneal
        self.seed = seed
        self.penalty = penalty
        self.entropy_coef = entropy_coef or EntropyCoef(0.0)
        self.gradient_steps = 0
        self._surveyed: dict[str, float] = {}

    @property
    def reference(self) -> Policy | None:
        """The policy that the penalty compares with, where there is one."""
        return None if self.penalty is None else self.penalty.reference.policy

    @property
    def in_loss(self) -> bool:
        """The penalty is part of the loss."""
        return self.penalty is not None and self.penalty.where == "loss"

    def survey(self, rollout: Rollout, needs: Collection[str] = ()) -> dict[str, Floats]:
        """Measure what scoring has to know of the policy, before it learns.

        Args:
            rollout: N rows.
            needs: `score_norm`, or nothing.

        Returns:
            What was asked for, and where the penalty is not in the loss `reward_penalty` or
            `advantage_penalty`, [N], to be subtracted.
        """
        penalty = None if self.in_loss else self.penalty
        wanted = {*needs, "kl"} if penalty is not None else set(needs)
        if not wanted:
            return {}
        found = survey(self.policy, self.reference, rollout, wanted, self.objective.kl)
        if penalty is not None:
            kl = found.pop("kl")
            weight = rollout.weight
            sums = rollout.ranks.sum(np.array([(kl * weight).sum(), weight.sum()]))
            mean = float(sums[0] / sums[1]) if sums[1] else 0.0
            self._surveyed = {"train/kl": mean}
            excess = kl - mean if penalty.where == "advantage" else kl
            found[f"{penalty.where}_penalty"] = penalty.coef.value * excess
        return found

    @part("update")
    def __call__(self, scored: Scored, update: int, progress: float) -> dict[str, float]:
        """Learn from a scored rollout; `progress` runs from 0 to 1. Returns `train/*` metrics.

        Raises:
            NonFinite: a loss or a gradient was nan or inf; policy and optimizer are as before.
        """
        lr = self.lr * (1.0 - progress) if self.anneal else self.lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        kl_coef = self.penalty.coef.value if self.penalty is not None else 0.0
        entropy_coef = self.entropy_coef.effective
        before = _copy(self._learned())
        try:
            metrics = update_policy(
                self.policy,
                self.optimizer,
                scored,
                replace(
                    self.objective,
                    kl_coef=kl_coef if self.in_loss else 0.0,
                    entropy_coef=entropy_coef,
                ),
                self.schedule,
                seed=self.seed,
                update=update,
                reference=self.reference if self.in_loss else None,
            )
        except NonFinite:
            self.policy.load_state_dict(before["policy"])
            self.optimizer.load_state_dict(before["optimizer"])
            raise
        metrics |= self._surveyed
        # After the update: its ratios compare with the policy that acted, old moments included.
        ranks = scored.rollout.ranks
        self.policy.observe(scored.rollout.obs, ranks)
        self.gradient_steps += int(metrics.pop("train/gradient_steps"))
        if self.penalty is not None:
            self.penalty.reference.follow(self.policy, update)
            if self.penalty.coef.target is not None:
                metrics["train/kl_coef"] = kl_coef
                if "train/kl" in metrics:
                    rows, _ = ranks.span(len(scored.reward))
                    self.penalty.coef.observe(metrics["train/kl"], rows)
        if self.entropy_coef.target is not None:
            metrics["train/entropy_coef"] = entropy_coef
            if "train/entropy" in metrics:
                self.entropy_coef.observe(metrics["train/entropy"])
        return {
            **metrics,
            "train/learning_rate": lr,
            "train/n_updates": float(self.gradient_steps),
        }

    def _learned(self) -> dict[str, Any]:
        return {"policy": self.policy.state_dict(), "optimizer": self.optimizer.state_dict()}

    def state(self) -> dict[str, Any]:
        """Return counters and coefficients as plain numbers, for a later `load`."""
        return {
            "gradient_steps": self.gradient_steps,
            "kl_coef": None if self.penalty is None else self.penalty.coef.state(),
            "entropy_coef": self.entropy_coef.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on where a saved learner stood; optimizer and reference have states of their own.

        A coefficient that is not led towards a target is a setting, and stays as it is set.
        """
        self.gradient_steps = int(state["gradient_steps"])
        coef = None if self.penalty is None else self.penalty.coef
        if coef is not None and coef.target is not None and state["kl_coef"] is not None:
            coef.load(state["kl_coef"])
        if self.entropy_coef.target is not None:
            self.entropy_coef.load(state["entropy_coef"])


def _copy(state: Any) -> Any:  # noqa: ANN401 - nested dicts of tensors and plain values
    """Copy the tensors of a state; `copy.deepcopy` takes ten times as long."""
    if isinstance(state, dict):
        return {key: _copy(value) for key, value in state.items()}
    return state.clone() if isinstance(state, Tensor) else state

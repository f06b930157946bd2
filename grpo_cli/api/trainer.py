"""`GRPOTrainer`: group relative policy optimization of a person's own policy and reward model.

The names are those of document 003 (CarlosArguilar/GRPO); advantages, loss and update are the
ones that `grpo train` uses.
"""

import copy
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from grpo_cli.advantages import Estimate, peer, score
from grpo_cli.api.asked import Asked, PolicyModel, RewardModel
from grpo_cli.api.settings import GRPOConfig
from grpo_cli.entropy import bonus
from grpo_cli.errors import ConfigError
from grpo_cli.groups import one_step, win_rates
from grpo_cli.kl import exact
from grpo_cli.losses import clip
from grpo_cli.objective import Objective
from grpo_cli.rollout import Floats, Mean, Rollout, Scored
from grpo_cli.update import Optimizer, Schedule, measure, update_policy

log = logging.getLogger(__name__)


class GRPOTrainer:
    """Learns from groups of actions at a person's own states.

    Args:
        config: settings; None takes the defaults.
        policy: who acts and learns, a `PolicyModel`.
        reference_policy: whom the KL penalty is measured against; None: the policy as it is now.
        reward_model: who judges, a `RewardModel`.
        optimizer: over the policy's parameters; None makes AdamW.
        checkpoint_dir: where parameters are saved; None saves nothing.

    Raises:
        ConfigError: a method is missing.
    """

    def __init__(
        self,
        config: GRPOConfig | None = None,
        policy: PolicyModel | None = None,
        reference_policy: PolicyModel | None = None,
        reward_model: RewardModel | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        checkpoint_dir: str | Path | None = None,
    ) -> None:
        self.config = config or GRPOConfig()
        self.device = torch.device(self.config.device)
        _require("policy", policy, PolicyModel)
        _require("reward_model", reward_model, RewardModel)
        self.policy: PolicyModel = _moved(policy, self.device)
        self.reward_model: RewardModel = _moved(reward_model, self.device)
        self.reference_policy: PolicyModel | None = None
        if self.config.kl_coeff:
            reference = reference_policy or copy.deepcopy(self.policy)
            _require("reference_policy", reference, PolicyModel)
            self.reference_policy = _moved(reference, self.device)
        self.checkpoint_dir = None if checkpoint_dir is None else Path(checkpoint_dir)
        self.step_count = 0
        self._asked = Asked(self.policy, self.device)
        self.optimizer: Optimizer | None = optimizer
        if optimizer is None and (learned := self._asked.parameters()):
            self.optimizer = torch.optim.AdamW(learned, lr=self.config.learning_rate)
        self._learns: bool | None = None  # known once there is something to ask

    def step(self, states: Sequence[Any], **generation_kwargs: Any) -> dict[str, float]:
        """Try actions at each state, judge them, and learn from the comparison.

        Args:
            states: at least one.
            generation_kwargs: passed to `generate_actions`.

        Returns:
            step_loss, grad_norm, advantage_mean, advantage_std, reward_mean, reward_std,
            total_samples, gradient_steps, kl, entropy (nats), the seconds collection_time,
            advantage_time and step_time, and for each epoch i epoch_{i}_policy_loss, _kl_penalty,
            _entropy_bonus (both times their coefficient) and _total_loss.

        Raises:
            ConfigError: a model returned something of another shape.
            NonFinite: a reward, a loss or a gradient is nan or inf.
        """
        started = time.perf_counter()
        rollout = self._collect(list(states), generation_kwargs)
        collected = time.perf_counter()
        scored = score(rollout, self.config.scaling, "group", self._advantage, 1.0)
        scored_at = time.perf_counter()
        epochs = list(self._learn(scored))
        self.step_count += 1
        self._follow()
        return {
            **_by_epoch(epochs, self.config.kl_coeff, self.config.entropy_coeff),
            "step_loss": epochs[-1]["loss"],
            "grad_norm": epochs[-1]["grad_norm"],
            "gradient_steps": sum(epoch["gradient_steps"] for epoch in epochs),
            "kl": epochs[-1].get("kl", 0.0),
            "entropy": float(-rollout.logprob.mean()),
            "advantage_mean": float(scored.advantage.mean()),
            "advantage_std": float(scored.advantage.std()),
            "reward_mean": float(rollout.reward.mean()),
            "reward_std": float(rollout.reward.std()),
            "total_samples": float(len(rollout.reward)),
            "collection_time": collected - started,
            "advantage_time": scored_at - collected,
            "step_time": time.perf_counter() - started,
        }

    @torch.no_grad()
    def _collect(self, states: list[Any], kwargs: dict[str, Any]) -> Rollout:
        """Let the policy act and the reward model judge."""
        size = self.config.group_size
        if not states:
            raise ConfigError("step() got no states", "give one state or more")
        self.policy.eval()
        self.reward_model.eval()
        groups = self.policy.generate_actions(states, size, **kwargs)
        if [len(group) for group in groups] != [size] * len(states):
            raise ConfigError(
                f"generate_actions did not return {size} actions for each of {len(states)} states",
                "return one list of num_actions_per_state actions for each state",
            )
        flat_states = [state for state in states for _ in range(size)]
        flat_actions = [action for group in groups for action in group]
        number = torch.arange(len(flat_states))[:, None]
        group = np.repeat(np.arange(len(states)), size)
        reward = _reward(self.reward_model.compute_rewards(flat_states, flat_actions), group)
        self.policy.train()
        logprob = self._asked.ask(flat_states, flat_actions)
        return one_step(number, number, logprob.float().cpu(), reward, group)

    def _advantage(self, rollout: Rollout, reward: Floats, gamma: float) -> Estimate:
        scale = "batch" if self.config.normalize_advantages else "none"
        return peer(
            rollout, reward, gamma, value="return", key="group", baseline="mean", fallback=(),
            scale=scale,
        )  # fmt: skip

    def _learn(self, scored: Scored) -> Iterator[dict[str, float]]:
        """Update the policy, where it can be; yields what each epoch measured."""
        config = self.config
        objective = Objective(
            loss=partial(clip, eps_low=config.clip_epsilon),
            kl=exact,
            entropy=bonus,
            kl_coef=config.kl_coeff,
            entropy_coef=config.entropy_coeff,
        )
        reference = self._reference()
        seen: list[dict[str, Mean]] = []
        if self._learns is None:
            self._learns = self._can_learn()
        if self.optimizer is not None and self._learns:
            schedule = Schedule(
                epochs=config.num_epochs_per_update,
                num_minibatches=1,
                minibatch_size=config.batch_size * config.group_size,
                target_kl=None,
                max_grad_norm=config.max_grad_norm,
            )
            update_policy(
                self._asked, self.optimizer, scored, objective, schedule, seed=config.seed,
                update=self.step_count, reference=reference, each_epoch=seen.append,
            )  # fmt: skip
        else:
            seen = [measure(self._asked, scored, objective, reference)]
            seen *= config.num_epochs_per_update
        for means in seen:
            steps = float(means["grad_norm"].count) if "grad_norm" in means else 0.0
            numbers = {name: mean.item() for name, mean in means.items()}
            yield {"grad_norm": 0.0, **numbers, "gradient_steps": steps}

    def _reference(self) -> Asked | None:
        """Ask the reference about the pairs that the policy was just asked about."""
        if self.reference_policy is None:
            return None
        self.reference_policy.eval()
        reference = Asked(self.reference_policy, self.device)
        reference.ask(*self._asked.pairs)
        return reference

    def _can_learn(self) -> bool:
        if self.optimizer is not None and self._asked.has_gradient():
            return True
        lacks = "gradient" if self._asked.parameters() else "parameters"
        log.warning("the policy has no %s to learn by: metrics only, no step is taken", lacks)
        return False

    def _follow(self) -> None:
        """Renew the reference and save the parameters, when it is time."""
        config = self.config
        every = config.reference_update_freq
        if self.reference_policy is not None and every and self.step_count % every == 0:
            self.reference_policy = _renewed(self.reference_policy, self.policy)
        if self.checkpoint_dir is not None and self.step_count % config.checkpoint_freq == 0:
            self.checkpoint_dir.mkdir(parents=True, exist_ok=True)
            tensors = self.policy.get_parameters()
            final = self.checkpoint_dir / f"step-{self.step_count:09d}.safetensors"
            partial_file = final.with_suffix(".partial")
            save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, partial_file)
            partial_file.replace(final)


def _require(name: str, model: object, contract: type) -> None:
    missing = [
        method
        for method in dir(contract)
        if not method.startswith("_") and not callable(getattr(model, method, None))
    ]
    if missing:
        raise ConfigError(
            f"{name} lacks {', '.join(missing)}", f"give it the methods of {contract.__name__}"
        )


def _moved(model: Any, device: torch.device) -> Any:
    """Move a model; one that returns nothing has moved itself."""
    moved = model.to(device)
    return model if moved is None else moved


def _renewed(reference: PolicyModel, policy: PolicyModel) -> PolicyModel:
    """Return a reference that is the policy; modules are overwritten in place."""
    if isinstance(reference, nn.Module) and isinstance(policy, nn.Module):
        reference.load_state_dict(policy.state_dict())
        return reference
    return copy.deepcopy(policy)


def _reward(given: Any, group: np.ndarray) -> Floats:
    """Return rewards [n] in float64; pairwise wins become win rates."""
    reward = torch.as_tensor(given).detach().double().cpu().numpy()
    count = len(group)
    if reward.shape == (count, count):
        return win_rates(reward, group)
    if reward.shape != (count,):
        raise ConfigError(
            f"compute_rewards returned shape {reward.shape} for {count} actions",
            "return one reward for each action, [n], or pairwise wins, [n, n]",
        )
    return reward


def _by_epoch(
    epochs: list[dict[str, float]], kl_coeff: float, entropy_coeff: float
) -> dict[str, float]:
    return {
        f"epoch_{number}_{name}": value
        for number, epoch in enumerate(epochs)
        for name, value in (
            ("policy_loss", epoch["policy_gradient_loss"]),
            ("kl_penalty", kl_coeff * epoch.get("kl", 0.0)),
            ("entropy_bonus", entropy_coeff * epoch.get("entropy", 0.0)),
            ("total_loss", epoch["loss"]),
        )
    }

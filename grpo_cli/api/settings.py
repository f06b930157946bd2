"""`GRPOConfig`: the settings of a `GRPOTrainer`, under the names of document 003."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from grpo_cli import rewards
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Floats


@dataclass(frozen=True)
class GRPOConfig:
    """Settings of a `GRPOTrainer`; the defaults are the document's.

    Attributes:
        group_size: actions tried at each state, at least 2.
        batch_size: states per gradient step.
        learning_rate: of the optimizer that is made when none is given.
        num_epochs_per_update: passes over the actions in one step.
        clip_epsilon: the ratio is not rewarded beyond 1 -+ this.
        kl_coeff: weight of KL(policy || reference); 0 asks no reference.
        entropy_coeff: weight of the entropy bonus.
        normalize_advantages: divide by the standard deviation over the batch.
        max_grad_norm: gradients are scaled down to this norm; None: never.
        device: a torch device.
        reference_update_freq: the reference becomes the policy after every so many steps; None:
            it stays what it was.
        checkpoint_freq: parameters are saved after every so many steps.
        reward_scaling: a name of `reward_scaling=` or `f(reward) -> same shape`, within each
            group; with `rank` only the order of rewards counts.
        seed: of the shuffles.

    Raises:
        ConfigError: a value is out of range.
    """

    group_size: int = 64
    batch_size: int = 1024
    learning_rate: float = 1e-6
    num_epochs_per_update: int = 1
    clip_epsilon: float = 0.2
    kl_coeff: float = 0.04
    entropy_coeff: float = 0.0
    normalize_advantages: bool = True
    max_grad_norm: float | None = 1.0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    reference_update_freq: int | None = 1
    checkpoint_freq: int = 100
    reward_scaling: str | Callable[..., Floats] = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = {"group_size": 2, "kl_coeff": 0, "entropy_coeff": 0, "seed": 0}
        for entry in fields(self):
            value, low = getattr(self, entry.name), least.get(entry.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if value < low if low is not None else value <= 0:
                bound = "above 0" if low is None else f"at least {low}"
                raise ConfigError(f"{entry.name} must be {bound}, got {value}")
        if isinstance(self.reward_scaling, str) and self.reward_scaling not in rewards.__all__:
            raise ConfigError(
                f"reward_scaling={self.reward_scaling} does not exist",
                f"choose one of {', '.join(rewards.__all__)}, or give a function",
            )

    @property
    def scaling(self) -> Callable[..., Floats]:
        """The reward scaling as a function."""
        if isinstance(self.reward_scaling, str):
            return getattr(rewards, self.reward_scaling)
        return self.reward_scaling

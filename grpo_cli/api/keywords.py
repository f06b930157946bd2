"""The keywords of `GRPO`: those of Stable-Baselines3's PPO, in its order, and a few of its own."""

import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from grpo_cli.errors import ConfigError

# They steer a value network, its advantage estimate or its buffer; there is none here.
IGNORED = (
    "gae_lambda", "clip_range_vf", "vf_coef", "use_sde", "sde_sample_freq",
    "rollout_buffer_class", "rollout_buffer_kwargs", "stats_window_size",
)  # fmt: skip
Scheduled = float | Callable[[float], float]


def _key(default: Any, low: float | None = None, above: float | None = None) -> Any:
    return field(default=default, metadata={"low": low, "above": above})


@dataclass(frozen=True)
class Keywords:
    """What `GRPO` takes besides policy and environment.

    Attributes:
        learning_rate: a number, or `f(remaining) -> number` with remaining from 1 to 0.
        n_steps: env steps per environment and update, about: groups of whole episodes are sampled.
        batch_size: rows per gradient step.
        n_epochs: passes over the rows in an update.
        gamma: discount per step.
        clip_range: of the probability ratio; a number or `f(remaining)`.
        normalize_advantage: divide advantages by their standard deviation over the rollout.
        ent_coef: weight of the entropy bonus.
        max_grad_norm: gradients are scaled down to this norm.
        target_kl: no further epoch once KL(old || new) exceeds it, nats; None: never.
        tensorboard_log: a folder for event files; None writes none.
        policy_kwargs: net_arch, activation_fn, log_std_init; ortho_init is always so.
        verbose: 1 shows the training on stderr.
        seed: every random number follows from it; None draws one.
        device: a torch device; auto is the CPU.
        samples_per_time_step: the group's size, at least 2: episodes from one start.
        reward_function: `f(state, action, next_state)` or `f(obs, action)`, torch tensors with a
            row for each environment -> [B] or [B, 1]; replaces the environment's reward.
        reward_scaling_fn: `f(rewards [N]) -> [N]`, NumPy, over all rewards of a rollout.
        run_dir: a folder for metrics.jsonl and, at the end, model.zip; None writes neither.

    The others are accepted and ignored with one warning.

    Raises:
        ConfigError: a value is out of range.
    """

    learning_rate: Scheduled = _key(3e-4, above=0)
    n_steps: int = _key(2048, low=1)
    batch_size: int = _key(64, low=1)
    n_epochs: int = _key(10, low=1)
    gamma: float = _key(0.99, low=0)
    gae_lambda: float = 0.95
    clip_range: Scheduled = _key(0.2, above=0)
    clip_range_vf: Any = None
    normalize_advantage: bool = True
    ent_coef: float = _key(0.0, low=0)
    vf_coef: float = 0.5
    max_grad_norm: float | None = _key(0.5, above=0)
    use_sde: bool = False
    sde_sample_freq: int = -1
    rollout_buffer_class: Any = None
    rollout_buffer_kwargs: Any = None
    target_kl: float | None = _key(None, above=0)
    stats_window_size: int = 100
    tensorboard_log: str | Path | None = None
    policy_kwargs: dict[str, Any] | None = None
    verbose: int = 0
    seed: int | None = _key(None, low=0)
    device: str = "auto"
    _init_setup_model: bool = True
    samples_per_time_step: int = _key(8, low=2)
    reward_function: Callable[..., Any] | None = None
    reward_scaling_fn: Callable[..., Any] | None = None
    run_dir: str | Path | None = None

    def __post_init__(self) -> None:
        """Check the ranges, draw a seed, and say what is ignored."""
        for entry in fields(self):
            _check(entry.name, getattr(self, entry.name), **entry.metadata)
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(2**31))
        defaults = {entry.name: entry.default for entry in fields(self)}
        given = [name for name in IGNORED if getattr(self, name) != defaults[name]]
        if given:
            warnings.warn(
                f"{', '.join(given)}: ignored, there is no value network and no rollout buffer",
                stacklevel=4,
            )

    def saved(self) -> dict[str, Any]:
        """Return what a file can hold; functions cannot, and are named instead."""
        words = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        kept = {name: v for name, v in words.items() if isinstance(v, bool | int | float | str)}
        for name in ("device", "tensorboard_log", "run_dir", "seed"):
            kept.pop(name, None)
        kept |= {"functions": [name for name, value in words.items() if callable(value)]}
        return kept | {"policy_kwargs": _as_words(self.policy_kwargs)}


def at(value: Scheduled, remaining: float) -> float:
    """Return a number that may follow a schedule; `remaining` runs from 1 to 0."""
    return float(value(remaining)) if callable(value) else float(value)


def body_words(policy_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Turn `policy_kwargs` into the parameters of a policy body, and its log_std.

    Raises:
        ConfigError: a keyword that means nothing here.
    """
    given = {**(_as_words(policy_kwargs) or {})}
    arch = given.pop("net_arch", [64, 64])
    words = {
        "hidden": list(arch["pi"] if isinstance(arch, dict) else arch),
        "activation": given.pop("activation_fn", "tanh"),
        "log_std": given.pop("log_std_init", 0.0),
    }
    given.pop("ortho_init", None)
    if given:
        raise ConfigError(
            f"policy_kwargs={', '.join(given)} is not known here",
            "net_arch, activation_fn, log_std_init and ortho_init are",
        )
    return words


def _as_words(policy_kwargs: dict[str, Any] | None) -> dict[str, Any] | None:
    """Name the activation instead of holding its class."""
    if policy_kwargs is None:
        return None
    named = dict(policy_kwargs)
    if isinstance(kind := named.get("activation_fn"), type):
        named["activation_fn"] = kind.__name__.lower()
    return named


def _check(name: str, value: Any, low: float | None = None, above: float | None = None) -> None:
    if not isinstance(value, int | float):
        return
    if low is not None and value < low:
        raise ConfigError(f"{name} must be at least {low:g}, got {value}")
    if above is not None and value <= above:
        raise ConfigError(f"{name} must be above {above:g}, got {value}")

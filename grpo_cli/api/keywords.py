"""The keywords of `GRPO`: those of Stable-Baselines3's PPO, in its order, and a few of its own."""

import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from grpo_cli.api.bodies import WITHOUT_EFFECT, as_words
from grpo_cli.errors import ConfigError

# They steer a value network, its advantage estimate or its buffer; there is none here.
IGNORED = (
    "gae_lambda", "clip_range_vf", "vf_coef", "use_sde", "sde_sample_freq",
    "rollout_buffer_class", "rollout_buffer_kwargs", "stats_window_size",
)  # fmt: skip
Scheduled = float | Callable[[float], float]

# What a keyword is where nothing was said, by what is compared with what; as in conf/preset/.
DEFAULTS: dict[str, dict[str, Any]] = {
    # Whole episodes from one start; the figures are PPO's.
    "episodes": {
        "learning_rate": 3e-4, "n_steps": 2048, "batch_size": 64, "samples_per_time_step": 8,
        "target_kl": None, "normalize_advantage": True,
    },
    # Actions drawn at a visited state: preset=sb3_contrib.
    "drawn": {
        "learning_rate": 2e-3, "n_steps": 32, "batch_size": 40, "samples_per_time_step": 5,
        "target_kl": 0.03, "normalize_advantage": False,
    },
    # All actions of a visited state: preset=sb3_grpo.
    "all": {
        "learning_rate": 3e-4, "n_steps": 256, "batch_size": 64, "target_kl": None,
        "normalize_advantage": True,
    },
}  # fmt: skip
GROUPS = ("auto", "episodes", "candidates")


def _key(default: Any, low: float | None = None, above: float | None = None) -> Any:
    return field(default=default, metadata={"low": low, "above": above})


@dataclass(frozen=True)
class Keywords:
    """What `GRPO` takes besides policy and environment; None is the default of `DEFAULTS`.

    Attributes:
        learning_rate: a number, or `f(remaining) -> number` with remaining from 1 to 0.
        n_steps: per environment and update: visited states, or, with group=episodes, env steps,
            about, because groups of whole episodes are sampled.
        batch_size: rows per gradient step.
        n_epochs: passes over the rows in an update.
        gamma: discount per step.
        clip_range: of the probability ratio; a number or `f(remaining)`.
        normalize_advantage: divide advantages by their standard deviation, over the rollout, or
            over the actions of a state where all are tried; None: not where actions are drawn.
        ent_coef: weight of the entropy bonus.
        max_grad_norm: gradients are scaled down to this norm.
        target_kl: no further epoch once KL(old || new) exceeds it, nats; None: never,
            but 0.03 where actions are drawn.
        tensorboard_log: a folder for event files; None writes none.
        policy_kwargs: net_arch, activation_fn, log_std_init, ortho_init, normalize_images and
            features_extractor_kwargs; see `bodies`.
        verbose: 1 shows the training on stderr.
        seed: every random number follows from it; None draws one.
        device: a torch device; auto is the CPU.
        samples_per_time_step: the group's size, at least 2: actions drawn at a visited state, or
            episodes from one start.
        reward_function: `f(state, action, next_state)` or `f(obs, action)`, torch tensors with a
            row for each transition -> [B] or [B, 1]; replaces the environment's reward.
        reward_scaling_fn: `f(rewards [N]) -> [N]`, NumPy, over all rewards of a rollout; None:
            none, but tanh of the standardised rewards where actions are drawn.
        run_dir: a folder for metrics.jsonl and, at the end, model.zip; None writes neither.
        group: what is compared: `candidates`, actions tried at a visited state, or whole
            `episodes`; `auto`: candidates where one of the three keywords above is given and the
            environment can go back to a state, else episodes.

    The others are accepted and ignored with one warning.

    Raises:
        ConfigError: a value is out of range.
    """

    learning_rate: Scheduled = _key(None, above=0)
    n_steps: int = _key(None, low=1)
    batch_size: int = _key(None, low=1)
    n_epochs: int = _key(10, low=1)
    gamma: float = _key(0.99, low=0)
    gae_lambda: float = 0.95
    clip_range: Scheduled = _key(0.2, above=0)
    clip_range_vf: Any = None
    normalize_advantage: bool = _key(None)
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
    seed: int = _key(None, low=0)
    device: str = "auto"
    _init_setup_model: bool = True
    samples_per_time_step: int = _key(None, low=2)
    reward_function: Callable[..., Any] | None = None
    reward_scaling_fn: Callable[..., Any] | None = None
    run_dir: str | Path | None = None
    group: str = "auto"

    def __post_init__(self) -> None:
        """Take NumPy's numbers as Python's, check the ranges, and draw a seed."""
        for entry in fields(self):
            if isinstance(value := getattr(self, entry.name), np.generic):
                object.__setattr__(self, entry.name, value.item())
            _check(entry.name, getattr(self, entry.name), **entry.metadata)
        if self.group not in GROUPS:
            raise ConfigError(
                f"group={self.group} does not exist", f"choose one of {', '.join(GROUPS)}"
            )
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(2**31))

    def kind(self, discrete: bool) -> str:
        """Say what is compared: `episodes`, or `drawn` or `all` actions of a visited state.

        Args:
            discrete: the action space is.
        """
        judged = self.reward_function is not None
        drawn = self.samples_per_time_step is not None
        asked = judged or drawn or self.reward_scaling_fn is not None
        if self.group == "episodes" or (self.group == "auto" and not asked):
            return "episodes"
        return "all" if judged and discrete and not drawn else "drawn"

    def settled(self, kind: str) -> "Keywords":
        """Return the keywords without None where `DEFAULTS` of the kind have something to say."""
        unsaid = {name: v for name, v in DEFAULTS[kind].items() if getattr(self, name) is None}
        group = "episodes" if kind == "episodes" else "candidates"
        return replace(self, group=group, **unsaid)

    def warn_of_ignored(self) -> None:
        """Say which of the given keywords are ignored."""
        defaults = {entry.name: entry.default for entry in fields(self)}
        given = [name for name in IGNORED if getattr(self, name) != defaults[name]]
        given += [name for name in WITHOUT_EFFECT if name in (self.policy_kwargs or {})]
        if given:
            warnings.warn(
                f"{', '.join(given)}: ignored, there is no value network and no rollout buffer",
                stacklevel=3,
            )

    def saved(self) -> dict[str, Any]:
        """Return what a file can hold; functions cannot, and are named instead."""
        words = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain = bool | int | float | str | None
        kept = {name: value for name, value in words.items() if isinstance(value, plain)}
        for name in ("device", "tensorboard_log", "run_dir", "seed"):
            kept.pop(name, None)
        kept |= {"functions": [name for name, value in words.items() if callable(value)]}
        return kept | {"policy_kwargs": as_words(self.policy_kwargs)}


def at(value: Scheduled, remaining: float) -> float:
    """Return a number that may follow a schedule; `remaining` runs from 1 to 0."""
    return float(value(remaining)) if callable(value) else float(value)


def _check(name: str, value: Any, low: float | None = None, above: float | None = None) -> None:
    if not isinstance(value, int | float):
        return
    if low is not None and value < low:
        raise ConfigError(f"{name} must be at least {low:g}, got {value}")
    if above is not None and value <= above:
        raise ConfigError(f"{name} must be above {above:g}, got {value}")

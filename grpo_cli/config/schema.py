"""What may be configured: keys, types, units, ranges and one sentence of help for each.

Only the standard library is imported here, so that `grpo train --help` stays fast.
"""

from dataclasses import Field, dataclass, field, fields
from typing import Any

MISSING = "???"
"""OmegaConf's mark for a value that must be given."""

DURATION = r"(?=\d)(\d+h)?(\d+m)?(\d+s)?"
"""A time to wait, as a regular expression: hours, minutes, seconds."""


@dataclass(frozen=True)
class Rule:
    """What a value has to satisfy beyond its type.

    Attributes:
        kind: `int`, `float`, `bool` or `str`; None takes the type of the shipped default.
        low: smallest value allowed.
        above: the value must be larger than this.
        high: largest value allowed.
        choices: the only texts allowed, besides numbers where `kind` is a number; for a list,
            the only elements.
        pattern: what a text has to match, as a whole.
        says: `pattern` in words.
        optional: null is allowed as well.
    """

    kind: type | None = None
    low: float | None = None
    above: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    says: str = ""
    optional: bool = False


def _key(default: Any, help: str, unit: str = "", **rule: Any) -> Any:
    return field(default=default, metadata={"help": help, "unit": unit, "rule": Rule(**rule)})


def _node() -> Any:
    return field(default_factory=dict)


def _list(help: str, says: str) -> Any:
    rule = Rule(says=says)
    return field(default_factory=list, metadata={"help": help, "unit": "", "rule": rule})


def _device() -> Any:
    says = "auto, cpu, cuda or cuda:N"
    return _key("auto", says, pattern=r"auto|cpu|cuda(:\d+)?", says=says)


@dataclass
class EnvConf:
    """The environment: its id, what `gymnasium.make` gets besides it, and what is around it."""

    id: str = MISSING
    kwargs: dict[str, Any] = _node()
    max_steps: int | None = _key(
        None, "time limit; null takes the environment's own", "steps", kind=int, low=1,
        optional=True,
    )  # fmt: skip
    wrappers: list[Any] = _list(
        "Gymnasium's wrappers or your own around it, the first innermost",
        "a list of Name, {Name: value} or {name: Name, parameter: value}",
    )
    fresh: str = _key(
        "auto", "make it anew for every episode; auto: where a used one is not the same",
        choices=("auto", "always", "never"),
    )  # fmt: skip


@dataclass
class TrainConf:
    """The configuration tree of `grpo train`: everyday keys, then one node per component."""

    env: EnvConf = field(default_factory=EnvConf)
    group_size: int = _key(8, "attempts compared with each other", "members", low=2)
    num_groups: int = _key(4, "groups sampled for each update", "groups", low=1)
    total_steps: int = _key(1_000_000, "training budget", "env steps", low=1)
    seed: int = _key(0, "every random number follows from it", low=0)
    lr: float = _key(1e-3, "step size of the optimizer", above=0)
    gamma: float = _key(0.99, "discount of later rewards", low=0, high=1)
    epochs: int = _key(4, "passes over the rollout in one update", "passes", low=1)
    num_minibatches: int = _key(4, "parts the rollout is cut into in each epoch", "parts", low=1)
    minibatch_size: int | None = _key(
        None, "upper bound; splits the minibatches further", "rows", low=1, optional=True
    )
    device: str = _device()
    threads: int = _key(1, "of torch on the CPU; small networks are fastest on one", low=1)
    tune: str = _key(
        "none", "auto: take what grpo bench recommends on this computer; words typed here win",
        choices=("none", "auto"),
    )  # fmt: skip
    name: str = _key(
        "grpo", "first part of the run folder's name", pattern=r"(?!\.)[^/\\\x00-\x1f]+",
        says="a text without slashes that does not begin with a dot",
    )  # fmt: skip
    stop_at: Any = _key(
        "auto", "mean reward that ends training: auto (the env's threshold), a number, none",
        "reward", kind=float, choices=("auto", "none"), optional=True,
    )  # fmt: skip
    eval_every: int = _key(50_000, "distance between evaluations", "env steps", low=1)
    save_every: int = _key(50_000, "distance between checkpoints", "env steps", low=1)
    video_every: int | None = _key(
        None, "film an episode at each multiple", "env steps", low=1, optional=True
    )
    log_every: int = _key(1, "distance between TensorBoard points", "updates", low=1)
    profile: bool = _key(
        False, "write where the time goes: a table of an update's parts, and a trace"
    )
    max_time: str | None = _key(
        None, "save and stop after so long, such as 30m or 1h30m", pattern=DURATION,
        says="a duration such as 30m or 1h30m", optional=True,
    )  # fmt: skip
    nan: str = _key(
        "halt", "an update that is not finite: undone and the run ended, undone, or back to the "
        "last checkpoint", choices=("halt", "skip", "rollback"),
    )  # fmt: skip
    resume: str | None = _key(
        None, "go on with a run: its folder, a checkpoint, last; auto: start, or go on",
        optional=True,
    )  # fmt: skip
    resume_changes: str = _key(
        "ask", "allow: the resumed run may learn otherwise than before", choices=("ask", "allow")
    )
    group: dict[str, Any] = _node()
    reward: dict[str, Any] = _node()
    reward_scaling: dict[str, Any] = _node()
    advantage: dict[str, Any] = _node()
    loss: dict[str, Any] = _node()
    kl: dict[str, Any] = _node()
    entropy: dict[str, Any] = _node()
    policy: dict[str, Any] = _node()
    optim: dict[str, Any] = _node()
    backend: dict[str, Any] = _node()
    eval: dict[str, Any] = _node()
    checkpoint: dict[str, Any] = _node()
    sinks: dict[str, Any] = _node()


@dataclass
class BenchConf:
    """The word of `grpo bench` beside those of `grpo train`."""

    says = "a duration such as 20s or 1m"
    budget: str = _key("1m", "how long to measure, such as 20s", pattern=DURATION, says=says)


@dataclass
class EvalConf:
    """The words of `grpo eval`."""

    ckpt: str = _key(MISSING, "a run, a checkpoint, <run>/best, or last or best of the newest run")
    episodes: int = _key(100, "how many in each mode", "episodes", low=1)
    mode: str = _key(
        "both", "how the policy acts: greedy, sampled, both", choices=("greedy", "sampled", "both")
    )
    seed: int | None = _key(
        None, "null takes the evaluation seeds of the run", low=0, optional=True
    )
    min_reward: float | None = _key(
        None, "exit 5 when the mean of any mode is below it", "reward", kind=float, optional=True
    )
    env: str | None = _key(
        None, "must be the run's env; naming it allows its own code to be imported", optional=True
    )
    device: str = _device()
    video: str | None = _key(
        None, "film of the first episodes, a .mp4 or .gif file; greedy unless mode=sampled",
        pattern=r"(?is).*[^/\\]\.(mp4|gif)", says="a file ending in .mp4 or .gif", optional=True,
    )  # fmt: skip
    video_episodes: int = _key(1, "how many are filmed, one after the other", "episodes", low=1)


def is_own(name: str) -> bool:
    """Say whether a choice names a person's own code: it contains `.` or `:`."""
    return "." in name or ":" in name


COMPONENTS = (
    "group", "reward", "reward_scaling", "advantage", "loss", "kl", "entropy", "policy", "optim",
    "backend", "eval", "checkpoint", "sinks",
)  # fmt: skip
"""Top-level nodes that are filled by a choice: `loss=clip`."""

GROUPS = ("env", *COMPONENTS, "preset", "experiment")
"""Every config group a person may choose from."""

NAMED = tuple(group for group in COMPONENTS if group not in ("eval", "checkpoint"))
"""Components whose `name` says which code runs; a person's own code may take the place."""

LISTS_OF_CODE = ("reward.functions",)
"""Keys that list components by name; a person's own code may be among them."""

ALIASES = {"samples_per_time_step": "group_size", "reward_scaling_fn": "reward_scaling"}
"""Other names accepted on the command line."""

_POSITIVE = Rule(above=0)
_POSITIVE_OR_NULL = Rule(kind=float, above=0, optional=True)
_COUNT = Rule(low=1)
_COUNT_OR_NULL = Rule(kind=int, low=1, optional=True)

COMPONENT_RULES: dict[str, Rule] = {
    "group.noise_steps": _COUNT,
    "group.slots": _COUNT_OR_NULL,
    "group.actions": Rule(choices=("drawn", "all")),
    "group.horizon": _COUNT_OR_NULL,
    "group.commit": Rule(choices=("sampled", "best")),
    "group.weighting": Rule(choices=("policy", "uniform")),
    "group.learn": Rule(choices=("branches", "walk")),
    "group.state_frac": Rule(above=0, high=1),
    "group.walks": _COUNT,
    "group.candidates": Rule(kind=int, low=2, optional=True),
    "group.selector": Rule(choices=("spread", "uniform", "first")),
    "group.max_resample": Rule(low=0),
    "reward.weights": Rule(kind=float),
    "reward.aggregate": Rule(choices=("sum_then_normalise", "normalise_then_sum")),
    "reward.overlong_limit": _COUNT_OR_NULL,
    "reward.overlong_buffer": _COUNT_OR_NULL,
    "reward.overlong_factor": Rule(low=0),
    "group.tail": Rule(choices=("zero", "mask", "finish")),
    "reward_scaling.scope": Rule(choices=("batch", "group")),
    "reward_scaling.eps": _POSITIVE,
    "reward_scaling.gamma": Rule(low=0, high=1),
    "reward_scaling.limit": _POSITIVE,
    "advantage.value": Rule(choices=("return_to_go", "return", "process", "step")),
    "advantage.key": Rule(choices=("group_step", "group", "state", "bin", "batch")),
    "advantage.baseline": Rule(
        choices=("loo", "mean", "length_weighted", "score_norm", "shrunk", "greedy", "none")
    ),
    "advantage.scale": Rule(
        choices=("batch", "group", "none", "timestep", "max_abs", "batch_value", "whiten")
    ),
    "advantage.fallback": Rule(choices=("neighbour_step", "all_groups")),
    "advantage.adjust": Rule(choices=("none", "linear")),
    "advantage.min_peers": _COUNT,
    "advantage.eps": _POSITIVE,
    "advantage.ddof": Rule(low=0, high=1),
    "advantage.bin_size": _POSITIVE,
    "loss.eps_low": Rule(above=0, high=1),
    "loss.eps_high": _POSITIVE_OR_NULL,
    "loss.delta": Rule(kind=float, above=1, optional=True),
    "loss.ratio": Rule(choices=("step", "sequence", "trajectory")),
    "loss.aggregate": Rule(choices=("step_mean", "member_mean", "constant", "member_sum")),
    "loss.length": _POSITIVE_OR_NULL,
    "loss.tau_pos": _POSITIVE,
    "loss.tau_neg": _POSITIVE,
    "loss.k_pos": Rule(low=0),
    "loss.k_neg": Rule(low=0),
    "loss.lambda_pos": Rule(low=0),
    "loss.lambda_neg": Rule(low=0),
    "loss.cov_frac": Rule(above=0, high=1),
    "loss.cov_coef": Rule(low=0),
    "kl.coef": Rule(low=0),
    "kl.direction": Rule(choices=("reverse", "forward")),
    "kl.where": Rule(choices=("loss", "reward", "advantage")),
    "kl.reference": Rule(pattern=r".+", says="initial, old, or a run or checkpoint"),
    "kl.sync_every": Rule(kind=int, low=1, optional=True),
    "kl.sync_alpha": Rule(above=0, high=1),
    "kl.target": _POSITIVE_OR_NULL,
    "kl.horizon": _POSITIVE,
    "entropy.coef": Rule(low=0),
    "entropy.target": Rule(kind=float, optional=True),
    "entropy.step": _POSITIVE,
    "entropy.low": Rule(low=0),
    "entropy.high": Rule(low=0),
    "entropy.top_quantile": Rule(above=0, high=1),
    "policy.hidden": _COUNT,
    "policy.activation": Rule(choices=("tanh", "relu", "silu")),
    "policy.bounds": Rule(choices=("clip", "tanh")),
    "policy.std": Rule(choices=("parameter", "state")),
    "policy.init": Rule(choices=("orthogonal", "torch")),
    "policy.head_gain": Rule(low=0),
    "policy.architecture": Rule(choices=("auto", "nature", "impala", "small")),
    "policy.image_features": _COUNT,
    "policy.cell": Rule(choices=("lstm", "gru")),
    "policy.size": _COUNT,
    "optim.eps": _POSITIVE,
    "optim.schedule": Rule(choices=("constant", "linear")),
    "optim.max_grad_norm": _POSITIVE_OR_NULL,
    "optim.target_kl": _POSITIVE_OR_NULL,
    "backend.timeout_s": _POSITIVE,
    "eval.episodes": _COUNT,
    "eval.final_episodes": _COUNT,
    "checkpoint.keep": Rule(low=2),  # one may be lost while the next is written
}
"""Ranges and choices of the shipped components; types come from their YAML files."""


def everyday(conf: type = TrainConf) -> dict[str, Field[Any]]:
    """Return the fields of `conf` that carry help, by name, in the order they are written."""
    return {entry.name: entry for entry in fields(conf) if "help" in entry.metadata}

"""What may be configured: keys, types, units, ranges and one sentence of help for each.

Only the standard library is imported here, so that `grpo train --help` stays fast.
"""

from dataclasses import Field, dataclass, field, fields
from typing import Any

from grpo_cli.config.rules import Rule

MISSING = "???"
"""OmegaConf's mark for a value that must be given."""

DURATION = r"(?=\d)(\d+h)?(\d+m)?(\d+s)?"
"""A time to wait, as a regular expression: hours, minutes, seconds."""


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
    num_groups: int = _key(2, "groups sampled for each update", "groups", low=1)
    total_steps: int = _key(1_000_000, "training budget", "env steps", low=1)
    seed: int = _key(0, "every random number follows from it", low=0)
    lr: float = _key(2e-3, "step size of the optimizer", above=0)
    gamma: float = _key(0.99, "discount of later rewards", low=0, high=1)
    epochs: int = _key(10, "passes over the rollout in one update", "passes", low=1)
    num_minibatches: int = _key(16, "parts the rollout is cut into in each epoch", "parts", low=1)
    minibatch_size: int | None = _key(
        None, "upper bound; splits the minibatches further", "rows", low=1, optional=True
    )
    device: str = _device()
    processes: int = _key(
        1, "that train together, each with its own groups, as if they were one", low=1
    )
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
    cluster: dict[str, Any] = _node()
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
    k: int = _key(8, "text: answers to each prompt, for pass@k", "answers", low=1)
    pass_at: float = _key(
        1.0, "text: from this reward on an answer passes, where the task does not say", "reward"
    )
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
    "backend", "eval", "checkpoint", "cluster", "sinks",
)  # fmt: skip
"""Top-level nodes that are filled by a choice: `loss=clip`."""

GROUPS = ("env", *COMPONENTS, "preset", "experiment")
"""Every config group a person may choose from."""

NAMED = tuple(group for group in COMPONENTS if group not in ("eval", "checkpoint", "cluster"))
"""Components whose `name` says which code runs; a person's own code may take the place."""

LISTS_OF_CODE = ("reward.functions",)
"""Keys that list components by name; a person's own code may be among them."""

ALIASES = {"samples_per_time_step": "group_size", "reward_scaling_fn": "reward_scaling"}
"""Other names accepted on the command line."""


def everyday(conf: type = TrainConf) -> dict[str, Field[Any]]:
    """Return the fields of `conf` that carry help, by name, in the order they are written."""
    return {entry.name: entry for entry in fields(conf) if "help" in entry.metadata}

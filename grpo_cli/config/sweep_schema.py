"""The words of `grpo sweep` beside those of `grpo train`: `sweep.trials=40`."""

from dataclasses import dataclass, field
from typing import Any

from grpo_cli.config.schema import DURATION, Rule

OBJECTIVES = ("eval_mean", "eval_iqm", "steps_to_threshold")


def _key(default: Any, help: str, unit: str = "", **rule: Any) -> Any:
    return field(default=default, metadata={"help": help, "unit": unit, "rule": Rule(**rule)})


@dataclass
class SweepConf:
    """How a sweep goes about it."""

    trials: int | None = _key(
        None, "how many in all; null: the full grid, where there is one, else 20", "trials",
        low=1, optional=True,
    )  # fmt: skip
    workers: int = _key(1, "trials at the same time", low=1)
    budget: str | None = _key(
        None, "no trial begins after so long, such as 30m; those that run are finished",
        pattern=DURATION, says="a duration such as 30m or 1h30m", optional=True,
    )  # fmt: skip
    seeds: int = _key(1, "runs of a trial, on seed, seed + 1, ...", "runs", low=1)
    name: str | None = _key(
        None, "of the sweep; null: one that follows from its words",
        pattern=r"(?!\.)[^/\\\x00-\x1f]+", says="a text without slashes that begins with no dot",
        optional=True,
    )  # fmt: skip
    objective: str = _key(
        "eval_mean", "eval_mean: score after total_steps; eval_iqm: interquartile mean over seeds; "
        "steps_to_threshold: env steps until stop_at; or a metric such as rollout/ep_rew_mean",
        pattern=r"eval_mean|eval_iqm|steps_to_threshold|\w+(/\w+)+",
        says="eval_mean, eval_iqm, steps_to_threshold, or a metric such as rollout/ep_rew_mean",
    )  # fmt: skip
    direction: str = _key(
        "auto", "auto: steps_to_threshold is minimized, everything else maximized",
        choices=("auto", "maximize", "minimize"),
    )  # fmt: skip
    mode: str = _key(
        "worse", "which score counts: greedy, sampled, or the worse of both",
        choices=("worse", "greedy", "sampled"),
    )  # fmt: skip
    constraint: str | None = _key(
        None, "what must hold of the best, such as train_s<=60 or time/fps>=5000", optional=True
    )
    sampler: str = _key(
        "tpe", "what proposes settings, where not the full grid is asked for",
        choices=("tpe", "gp", "random"),
    )  # fmt: skip
    pruner: str = _key(
        "median", "what ends hopeless trials early, by their evaluations",
        choices=("median", "asha", "none"),
    )  # fmt: skip
    prune_after: int = _key(5, "trials that are left alone by pruner=median first", low=0)
    confirm: int = _key(
        3,
        "fresh seeds on which the finalists are run again before one is called best",
        "runs",
        low=0,
    )
    finalists: int = _key(3, "best trials among which those runs decide", "trials", low=1)
    reuse: bool = _key(False, "trials share warm processes, started anew after any failure")
    storage: str | None = _key(
        None, "URL of a database that several computers share, such as postgresql://host/name; "
        "null: a file in the sweep's folder",
        pattern=r"(sqlite|postgresql)(\+\w+)?://.*", says="sqlite:///... or postgresql://...",
        optional=True,
    )  # fmt: skip

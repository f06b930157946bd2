"""What a sweep is to do, as plain data."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_cli.errors import ConfigError
from grpo_cli.sweep.claims import TRIAL
from grpo_cli.sweep.space import Params, Space

FRESH_SEED = 10_000
"""Added to the seed for the runs that decide: no trial has seen those seeds."""

LIMIT = re.compile(r"\s*([\w/.]+)\s*(<=|>=)\s*([-+.\deE]+)\s*")


@dataclass(frozen=True)
class Limit:
    """A constraint: what must hold for a trial to be called best.

    Attributes:
        name: a metric, or a fact of the summary: `train_s`, `fps`, `env_steps`.
        sign: 1: at most, -1: at least.
        bound: in the unit of what is named.
    """

    name: str
    sign: int
    bound: float

    @classmethod
    def read(cls, text: str) -> "Limit":
        """Read `train_s<=60`.

        Raises:
            ConfigError: it is written otherwise.
        """
        parts = LIMIT.fullmatch(text)
        try:
            name, sign, bound = parts.groups() if parts else ("", "", "")
            return cls(name, 1 if sign == "<=" else -1, float(bound))
        except ValueError as error:
            raise ConfigError(
                f"sweep.constraint={text} is no constraint", "write a name, <= or >=, and a number"
            ) from error

    def excess(self, value: float) -> float:
        """Return how far a value is beyond the bound; 0 or less where it holds."""
        return self.sign * (value - self.bound)


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do.

    Attributes:
        name: of the study.
        folder: of its files.
        storage: SQLAlchemy's URL of the database.
        words: those that all trials share.
        dirs: the person's own config folders, absolute.
        space: what varies.
        trials: how many; None: as many as begin within the budget.
        grid: trials are the points of the full grid, in their order.
        workers: trials at the same time, in this process's care.
        budget_s: no trial begins later, seconds; None: no limit.
        seeds: runs of a trial.
        seed: the first of them.
        objective: `eval_mean`, `eval_iqm`, `steps_to_threshold`, or a metric.
        maximize: larger is better.
        mode: which mode's evaluation counts: `worse`, `greedy`, `sampled`.
        constraint: what must hold of the best, or None.
        sampler: `tpe`, `gp`, `random` or `grid`.
        pruner: `median`, `asha` or `none`.
        prune_after: trials that are left alone before any is pruned.
        confirm: fresh seeds on which finalists are run again.
        finalists: how many of the best trials are.
        reuse: trials share processes.
        total_steps: of a run, env steps.
        eval_every: of a run, env steps.
        cluster: settings of the Ray cluster on which trials run; None: this computer.
        trusted: the person said `--trust`.
        command: as it was typed.
    """

    name: str
    folder: Path
    storage: str
    words: tuple[str, ...]
    space: Space
    dirs: tuple[str, ...] = ()
    trials: int | None = None
    grid: bool = False
    workers: int = 1
    budget_s: float | None = None
    seeds: int = 1
    seed: int = 0
    objective: str = "eval_mean"
    maximize: bool = True
    mode: str = "worse"
    constraint: Limit | None = None
    sampler: str = "tpe"
    pruner: str = "median"
    prune_after: int = 5
    confirm: int = 3
    finalists: int = 3
    reuse: bool = False
    total_steps: int = 0
    eval_every: int = 1
    cluster: Mapping[str, Any] | None = None
    trusted: bool = False
    command: tuple[str, ...] = field(default=(), compare=False)

    def identity(self) -> str:
        """Return what must stay the same for a sweep to be gone on with, as JSON."""
        return json.dumps(
            {
                "words": sorted(self.words),
                "space": self.space.described(),
                "grid": self.grid,
                "seeds": self.seeds,
                "objective": self.objective,
                "maximize": self.maximize,
                "mode": self.mode,
                "constraint": None if self.constraint is None else vars(self.constraint),
            },
            sort_keys=True,
        )

    @property
    def checks(self) -> int:
        """Evaluations of a whole run, at least one."""
        return max(1, self.total_steps // self.eval_every)

    def run_words(self, params: Params, seed: int) -> list[str]:
        """Return the words of one run of a trial."""
        return [*self.words, *self.space.words(params), f"seed={seed}"]

    def run_seeds(self, kind: str, part: int) -> list[int]:
        """Return the seeds of a trial's runs, or that of a run on a fresh one."""
        if kind == TRIAL:
            return [self.seed + index for index in range(self.seeds)]
        return [self.seed + FRESH_SEED + part]

    def run_folder(self, kind: str, number: int, seed: int) -> Path:
        """Return where a run's files are."""
        return self.folder / f"{kind}-{number:04d}" / f"seed-{seed}"

    def asked(self) -> list[str]:
        """Return the names of metrics that a run has to tell in the end."""
        names = {self.objective} if "/" in self.objective else set()
        if self.constraint is not None and "/" in self.constraint.name:
            names.add(self.constraint.name)
        return sorted(names)

    def better(self, one: float, other: float) -> bool:
        """Say whether a value is better than another."""
        return one > other if self.maximize else one < other


Facts = Mapping[str, Any]

"""One trial on its way: a run for each of its seeds, one after the other."""

import time
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from grpo_cli.sweep.child import Event
from grpo_cli.sweep.claims import COMPLETE, FAILED, PRUNED, TRIAL, WAITING, Row
from grpo_cli.sweep.objective import Outcome, excess_of, score_of, value_of
from grpo_cli.sweep.plan import Plan
from grpo_cli.sweep.study import Study

STOPPED = (130, 143)
"""Exit codes of a run that was asked to end."""
MOST = 8
"""Times that a trial is begun whose computers are lost; perhaps it is what ends them."""


class Attempt:
    """What is known of a trial while it runs.

    Args:
        plan: of the sweep.
        study: is asked whether the trial is worth going on with.
        row: its claim, with what it tries.

    Attributes:
        step: env steps of the current run, at its last evaluation.
        score: mean return at that evaluation; None before the first.
        asked: it was asked to end: `hopeless`, `sweep` (that is to end), or nothing.
    """

    def __init__(self, plan: Plan, study: Study, row: Row) -> None:
        self.row = row
        self.step = 0
        self.score: float | None = None
        self.asked = ""
        self._plan, self._study = plan, study
        self._started = time.monotonic()
        self._outcomes: list[Outcome] = []
        self._job_s = 0.0
        self._seeds = plan.run_seeds(row.kind, row.part)
        row.facts.setdefault("started", datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def name(self) -> str:
        """What a person calls it."""
        number = f"{self.row.kind} {self.row.number}"
        return number if len(self._seeds) == 1 else f"{number}, seed {self.seed}"

    @property
    def seed(self) -> int:
        """Of the current run."""
        return self._seeds[len(self._outcomes)]

    def job(self) -> Event:
        """Return what the process is to do next."""
        plan, row = self._plan, self.row
        folder = plan.run_folder(row.kind, row.number, self.seed)
        return {
            "words": plan.run_words(row.params or {}, self.seed),
            "dirs": list(plan.dirs),
            "folder": str(folder),
            "log": str(folder.parent / "log.txt"),
            "metrics": plan.asked(),
            "swept": plan.space.shown(row.params or {}),
            "trusted": plan.trusted,
        }

    def hear(self, event: Event) -> str | None:
        """Take an event in.

        Returns:
            `next`: the process is to get the next job; `stop`: it is to be asked to end; a state of
            a claim: the trial is over; None: it goes on.
        """
        if event["event"] == "eval":
            return self._evaluated(event)
        if event["event"] == "done":
            return self._ran(event)
        stopped = event["exit_code"] in STOPPED
        if stopped and self.asked:
            return self._over(PRUNED if self.asked == "hopeless" else WAITING)
        self.row.facts["error"] = event["what"]
        self.row.facts["exit_code"] = event["exit_code"]
        return self._over(FAILED)

    def died(self, how: str, lost: bool = False) -> str:
        """Take in that the process is gone; returns the state of the trial.

        Args:
            how: it ended.
            lost: its computer did: the trial goes on elsewhere.
        """
        if self.asked:
            return self._over(PRUNED if self.asked == "hopeless" else WAITING)
        if lost and self.row.attempt < MOST:
            return self._over(WAITING)
        self.row.facts["error"] = f"the process ended: {how}"
        return self._over(FAILED)

    def _evaluated(self, event: Event) -> str | None:
        self.step, self.score = event["step"], score_of(event["mean"], self._plan.mode)
        if self.row.kind != TRIAL or self.asked:
            return None
        plan, before = self._plan, [outcome.score for outcome in self._outcomes]
        check = min(max(1, self.step // plan.eval_every), plan.checks)
        step = len(before) * plan.checks + check
        mean = fmean([*before, self.score])
        self.row.facts["score"] = mean
        hopeless = self._study.is_hopeless(self.row.number, step, mean)
        last = self.step >= plan.total_steps and len(before) + 1 == len(self._seeds)
        if not hopeless or last:
            return None
        self.asked = "hopeless"
        return "stop"

    def _ran(self, event: Event) -> str:
        summary: dict[str, Any] = event["summary"]
        self._outcomes.append(Outcome.of(summary, event["last"], self._plan.mode))
        self._job_s += summary["wall_s"]
        self.step, self.score = 0, None
        if len(self._outcomes) == len(self._seeds):
            return self._over(COMPLETE)
        if self.asked:
            return self._over(PRUNED if self.asked == "hopeless" else WAITING)
        return "next"

    def _over(self, state: str) -> str:
        """Note what came of it."""
        row, outcomes = self.row, self._outcomes
        row.state = state
        if outcomes:
            row.facts["seeds"] = [outcome.seed for outcome in outcomes]
            row.facts["scores"] = [outcome.score for outcome in outcomes]
            row.facts["env_steps"] = [outcome.steps for outcome in outcomes]
            row.facts["train_s"] = sum(outcome.train_s for outcome in outcomes)
        if state == COMPLETE:
            value = value_of(self._plan, outcomes)
            row.value = value if value == value and abs(value) != float("inf") else None
            row.facts["score"] = fmean(row.facts["scores"])
            row.facts["excess"] = excess_of(self._plan, outcomes)
            if row.value is None:
                row.facts["error"] = f"it has no {self._plan.objective}"
                row.state = FAILED
        row.facts["wall_s"] = time.monotonic() - self._started
        row.facts["job_s"] = self._job_s
        row.facts["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        return row.state

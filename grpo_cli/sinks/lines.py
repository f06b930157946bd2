"""Progress as plain lines: for log files, pipes, and terminals that cannot move the cursor."""

import time
from collections.abc import Callable, Iterable

from grpo_cli.sinks.advice import advise
from grpo_cli.sinks.format import count, number, percent
from grpo_cli.sinks.history import Facts, History
from grpo_cli.sinks.protocol import Metrics
from grpo_cli.sinks.stderr import say

# So many lines a run, beside one per evaluation.
PARTS = 10
COLUMNS = (
    "steps", "done", "return", "spread", "dead", "KL", "entropy", "steps/s", "greedy", "sampled",
)  # fmt: skip
WIDTHS = (9, 6, 9, 8, 7, 8, 8, 8, 9, 9)


def header(facts: Facts) -> str:
    """What runs, in one line."""
    members = f"{facts.num_groups} groups x {facts.group_size} members"
    goal = "" if facts.stop_at is None else f"  stop at {facts.stop_at:g}"
    return f"{facts.env}  seed {facts.seed}  {members}  {facts.backend}{goal}  {facts.run}"


class Lines:
    """One aligned line per evaluation and per tenth of the run, and advice when it is new.

    Args:
        facts: what is known about the run.
        clock: seconds, only differences count.
    """

    def __init__(self, facts: Facts, clock: Callable[[], float] = time.monotonic) -> None:
        self._history = History(facts, clock=clock)
        self._part = 0
        self._begun = False
        self._printed = 0
        self._advised: set[str] = set()
        say(header(facts))
        say(_aligned(COLUMNS))

    def write(self, step: int, metrics: Metrics) -> None:
        """Print a line if this update has an evaluation or completes a tenth."""
        history = self._history
        history.add(step, metrics)
        evaluated = history.evaluated_at == step
        part = self._part_at(step)
        if not evaluated and part == self._part and self._begun:
            return
        self._part, self._begun = part, True
        self._line(evaluated)
        advice = advise(history)
        if advice is not None and advice[0] not in self._advised:
            self._advised.add(advice[0])
            say(f"advice: {advice[1]}")

    def replay(self, updates: Iterable[tuple[int, Metrics]]) -> None:
        """Take in what was measured elsewhere."""
        for step, metrics in updates:
            self.write(step, metrics)

    def remember(self, updates: Iterable[tuple[int, Metrics]]) -> None:
        """Take in, without a line, what was measured before a run goes on."""
        self._history.remember(updates)
        self._part = self._part_at(self._history.step)
        self._printed = self._history.updates

    def close(self, how: str = "") -> None:
        """Print the last update if it has not been, and how the run ended."""
        if how:
            say(how)
        if self._printed != self._history.updates:
            self._line(evaluated=False)

    def _part_at(self, step: int) -> int:
        return PARTS * step // max(1, self._history.facts.total_steps)

    def _line(self, evaluated: bool) -> None:
        self._printed = self._history.updates
        say(_aligned(self._cells(evaluated)))

    def _cells(self, evaluated: bool) -> tuple[str, ...]:
        now, evaluation = self._history.now, self._history.evaluation if evaluated else {}
        return (
            f"{self._history.step:,}",
            percent(self._history.progress),
            number(now("rollout/ep_rew_mean")),
            number(now("group/reward_std")),
            percent(now("group/frac_reward_zero_std")),
            number(now("train/approx_kl")),
            number(now("train/entropy")),
            count(self._history.pace or now("time/fps") or 0),
            number(evaluation.get("greedy/mean_reward")),
            number(evaluation.get("sampled/mean_reward")),
        )


def _aligned(cells: tuple[str, ...]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))

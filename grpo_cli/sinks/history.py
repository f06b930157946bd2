"""What a view remembers of a run: bounded curves, recent means, pace and where the time goes.

Both the dashboard and the plain lines show it; neither adds to it.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from grpo_cli.sinks.protocol import Metrics, scalars

# Curves are drawn from at most so many points: twice what a wide terminal's braille can show.
MOST_POINTS = 512
# "Now" is the mean over the last fifth of the updates, but over no more than this: one update of a
# long run is noise, and half of a short run is not now.
RECENT = 20
# A pace is measured over about ten seconds, so that one evaluation does not shake the ETA.
PACE_POINTS, PACE_EVERY_S = 20, 0.5
# Old updates fade from the time bar; about the last hundred count.
TIME_KEPT = 0.99

SPENT = ("env", "act", "update", "eval", "other")


@dataclass(frozen=True)
class Facts:
    """What is known before the first update.

    Args:
        env: environment id.
        run: the run folder.
        total_steps: env steps after which training ends.
        stop_at: mean evaluation reward that ends training earlier; None: no threshold.
        seed: the run's seed.
        group_size: members per group.
        num_groups: groups per update.
        backend: what steps the environments.
        epochs: passes over each rollout; None: not known (no advice about the KL stop).
        horizon: steps of a look-ahead; None: there is none, or it goes to the end.
        noise_steps: for which a member keeps its action noise; None: its group mode knows no such
            thing.
    """

    env: str
    run: str
    total_steps: int
    stop_at: float | None
    seed: int
    group_size: int
    num_groups: int
    backend: str
    epochs: int | None = None
    horizon: int | None = None
    noise_steps: int | None = None


@dataclass
class Curve:
    """A curve of bounded size: when it is full, neighbours are merged and it goes on coarser."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    _stride: int = 1
    _sum: float = 0.0
    _count: int = 0

    def add(self, x: float, y: float) -> None:
        """Add a point, x not smaller than the one before; a non-finite y is left out."""
        if not math.isfinite(y):
            return
        self._sum += y
        self._count += 1
        if self._count < self._stride:
            return
        self.x.append(x)
        self.y.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self.x) >= MOST_POINTS:
            self.x = self.x[1::2]
            self.y = [(a + b) / 2 for a, b in zip(self.y[::2], self.y[1::2], strict=True)]
            self._stride *= 2


class History:
    """Everything shown, kept up to date at a few microseconds an update.

    Args:
        facts: what is known about the run.
        curves: names of the metrics to keep a curve of.
        clock: seconds, only differences count.
    """

    def __init__(
        self,
        facts: Facts,
        curves: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.facts = facts
        self.step = 0
        self.updates = 0
        self.curves = {name: Curve() for name in curves}
        self.first: dict[str, float] = {}
        self.evaluation: dict[str, float] = {}
        self.evaluated_at: int | None = None
        self.advantages: np.ndarray | None = None  # of the last update that had some
        self.ended = ""  # how; empty while it goes on
        self._recent: deque[dict[str, float]] = deque(maxlen=RECENT)
        self._clock = clock
        self._pace: deque[tuple[float, int]] = deque(maxlen=PACE_POINTS)
        self._spent: dict[str, float] = dict.fromkeys(SPENT, 0.0)

    def add(self, step: int, metrics: Metrics) -> None:
        """Take in what one update measured."""
        numbers = scalars(metrics)
        self.step = step
        self.updates += 1
        if not self.first:
            self.first = numbers
        self._recent.append(numbers)
        for name, curve in self.curves.items():
            if name in numbers:
                curve.add(step, numbers[name])
        if "hist/advantage" in metrics:
            self.advantages = np.asarray(metrics["hist/advantage"])
        evaluation = {n[5:]: v for n, v in numbers.items() if n.startswith("eval/")}
        if evaluation:
            self.evaluation, self.evaluated_at = evaluation, step
        self._keep_time(numbers)
        now = self._clock()
        if not self._pace or now - self._pace[-1][0] >= PACE_EVERY_S:
            self._pace.append((now, step))

    def remember(self, updates: Iterable[tuple[int, Metrics]]) -> None:
        """Take in what was measured before a run goes on; none of it was done at this pace."""
        for step, metrics in updates:
            self.add(step, metrics)
        self._pace.clear()
        if self.updates:
            self._pace.append((self._clock(), self.step))

    def now(self, name: str) -> float | None:
        """Mean of a metric over the recent updates that have it; None if none has."""
        recent = islice(reversed(self._recent), 1 + self.updates // 5)
        values = [m[name] for m in recent if math.isfinite(m.get(name, math.nan))]
        return sum(values) / len(values) if values else None

    def least(self, name: str, updates: int) -> float | None:
        """Smallest value of a metric in the last so many updates; None if one of them lacks it."""
        recent = islice(reversed(self._recent), updates)
        values = [numbers[name] for numbers in recent if name in numbers]
        return min(values) if len(values) == updates else None

    @property
    def progress(self) -> float:
        """Share of the env steps that are done, 0 to 1."""
        return min(1.0, self.step / max(1, self.facts.total_steps))

    @property
    def pace(self) -> float | None:
        """Env steps per second over the last ten seconds or so."""
        if not self._pace:
            return None
        seconds = self._clock() - self._pace[0][0]
        steps = self.step - self._pace[0][1]
        return steps / seconds if seconds > 0 and steps > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds until total_steps at the present pace."""
        pace = self.pace
        return (self.facts.total_steps - self.step) / pace if pace else None

    @property
    def spent(self) -> dict[str, float]:
        """Shares of the recent time by what it went into, in the order of SPENT; they sum to 1."""
        total = sum(self._spent.values())
        return {name: t / total for name, t in self._spent.items()} if total > 0 else {}

    def _keep_time(self, numbers: dict[str, float]) -> None:
        new = {name: numbers.get(f"time/{name}_s", 0.0) for name in SPENT}
        # Sampling is more than stepping and acting; its rest is neither.
        new["other"] += max(0.0, numbers.get("time/sample_s", 0.0) - new["env"] - new["act"])
        for name, seconds in new.items():
            self._spent[name] = TIME_KEPT * self._spent[name] + seconds

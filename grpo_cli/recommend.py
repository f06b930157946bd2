"""Which settings suit a computer, from what was measured there; pure arithmetic.

Only settings that leave the learning as it is are recommended freely; see `recommend`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

# Gains below it are not worth a change: a computer that others use differs by as much.
WORTH = 1.1
# What a change must gain that learning may feel: it could need as many more env steps.
WORTH_OTHER_LEARNING = 1.5

Curve = dict[int, float]  # members or rows -> seconds for each env step, action or row


@dataclass(frozen=True)
class Settings:
    """What a recommendation is about; named as on the command line."""

    backend: str
    num_groups: int
    num_minibatches: int
    minibatch_size: int | None
    threads: int


@dataclass(frozen=True)
class Case:
    """What is to be run.

    Attributes:
        settings: as they are; `backend` is what `auto` takes.
        fixed: settings that the person chose; they stay.
        members: that live side by side.
        rows: of an update, expected once it has learned something.
        most: rows that an update can have.
        epochs: passes over the rows.
        scales: more groups are more members, and memory has room for twice as many.
        backends: that may be taken; none where environments are stepped in another way.
        threads: that may be taken.
    """

    settings: Settings
    fixed: frozenset[str]
    members: int
    rows: float
    most: int
    epochs: int
    scales: bool
    backends: tuple[str, ...]
    threads: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """Seconds of each part.

    Attributes:
        env: for an env step, by backend and members.
        act: for an action, by threads and members.
        update: for a row of a gradient step, by threads and rows of that step.
        notes: backends that were not measured, and why.
    """

    env: Mapping[str, Curve]
    act: Mapping[int, Curve]
    update: Mapping[int, Curve]
    notes: Mapping[str, str]


def step_s(case: Case, measured: Measured, settings: Settings) -> float:
    """Predict the seconds of training for each env step: stepping, acting, gradient steps.

    Scoring, logging, evaluations and checkpoints are left out; no setting here changes them.
    """
    times = settings.num_groups / case.settings.num_groups
    members, rows = case.members * times, case.rows * times
    part = min(rows / settings.num_minibatches, settings.minibatch_size or rows)
    env = at(measured.env[settings.backend], members) if case.backends else 0.0
    act = at(measured.act[settings.threads], members)
    return env + act + case.epochs * at(measured.update[settings.threads], part)


def at(curve: Curve, size: float) -> float:
    """Read a curve between its points, over the logarithm of the size; flat beyond its ends."""
    sizes = sorted(curve)
    return float(np.interp(np.log(size), np.log(sizes), [curve[one] for one in sizes]))


def recommend(case: Case, measured: Measured) -> tuple[Settings, list[str]]:
    """Choose the settings; returns them with a line on each change.

    - Backend and threads change no learning: the fastest, if it saves a tenth of the time.
    - Twice the groups with twice the minibatches: as many rows in a gradient step and as many
      gradient steps for each env step as before, but twice as far from the policy that acted, and
      half as many updates. Never more than twice, and only where it is half as fast again.
    - Fewer minibatches, hence fewer gradient steps for each env step: never. CartPole then needed
      2.7 times as many env steps, more than any computer can gain by it.
    - `minibatch_size`: where larger gradient steps get dearer by the row, and can come, the
      cheapest size bounds them, if it is no smaller than what is expected anyway.
    """
    now, why = case.settings, []

    def seconds(settings: Settings) -> float:
        return step_s(case, measured, settings)

    def better(settings: Settings, worth: float, text: str) -> Settings:
        gain = seconds(now) / seconds(settings)
        if gain < worth:
            return now
        why.append(f"{text}: {gain:.2f} times as fast")
        return settings

    names = [n for n in case.backends if n in measured.env and "backend" not in case.fixed]
    if names:
        name = min(names, key=lambda n: seconds(replace(now, backend=n)))
        now = better(replace(now, backend=name), WORTH, f"backend {name} for {now.backend}")
    threads = min(case.threads, key=lambda n: seconds(replace(now, threads=n)))
    now = better(replace(now, threads=threads), WORTH, f"{threads} threads for {now.threads}")
    if case.scales and not case.fixed & {"num_groups", "num_minibatches"}:
        more = replace(now, num_groups=2 * now.num_groups, num_minibatches=2 * now.num_minibatches)
        now = better(more, WORTH_OTHER_LEARNING, "twice the groups and minibatches")
    if "minibatch_size" not in case.fixed and now.minibatch_size is None:
        now = _bounded(case, measured, now, why)
    return now, why


def _bounded(case: Case, measured: Measured, now: Settings, why: list[str]) -> Settings:
    curve = measured.update[now.threads]
    cheapest, largest = min(curve, key=lambda rows: curve[rows]), max(curve)
    share = now.num_groups / case.settings.num_groups / now.num_minibatches
    dearer = curve[largest] / curve[cheapest]
    if dearer < WORTH or not case.rows * share <= cheapest < case.most * share:
        return now
    why.append(f"minibatch_size {cheapest}: {largest} rows cost {dearer:.2f} times as much a row")
    return replace(now, minibatch_size=cheapest)

"""What this computer can do with an environment and a policy; settings that suit it follow."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from grpo_cli import speed
from grpo_cli.envs import EnvSource, make_backend
from grpo_cli.errors import GrpoError
from grpo_cli.learner import Learner
from grpo_cli.policies import Policy
from grpo_cli.recommend import Case, Curve, Measured, recommend, step_s
from grpo_cli.rollout import Scored

BACKENDS = ("sync", "native", "envpool", "async")
# Worker processes cost about this for every round of steps; a faster step gains nothing by them.
SLOW_STEP_S = 200e-6
LEAST_ROWS, MOST_ROWS = 64, 8192  # of a gradient step that is measured
ENV_SHARE, ACT_SHARE = 0.35, 0.15  # of the time; the rest is for gradient steps
FIRST = 16  # observations that stand for those of all members

Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        source: the environment.
        policy: acts.
        learner: learns.
        scored: one rollout of it, as large as it comes.
        group_size: members that start alike.
        length: of an episode in steps, expected once it has learned something.
        restarts: the backend must be able to start a member while others go on.
        case: what is to be run.
    """

    source: EnvSource
    policy: Policy
    learner: Learner
    scored: Scored
    group_size: int
    length: float
    restarts: bool
    case: Case

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of members that are tried: half, as they are, twice and four times as many."""
        return tuple(max(1, round(self.case.members * by)) for by in (0.5, 1, 2, 4))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of a gradient step that are tried: powers of two up to twice what can come."""
        most = 2 * self.case.most / self.case.settings.num_minibatches
        powers = (LEAST_ROWS << power for power in range(8))
        return tuple(n for n in powers if n <= min(MOST_ROWS, max(most, LEAST_ROWS)))


def measure(subject: Subject, budget_s: float, tell: Tell) -> Measured:
    """Measure for about so long.

    Args:
        subject: what is measured.
        budget_s: seconds; making environments comes on top.
        tell: hears what is measured, and the share of the time that has passed.

    Raises:
        GrpoError: no backend can step the environment.
    """
    case = subject.case
    started, parts = time.perf_counter(), 0
    names = BACKENDS if case.backends else ()
    shares = [ENV_SHARE / len(names) for _ in names]
    for share in (ACT_SHARE, 1 - ACT_SHARE - ENV_SHARE * bool(names)):
        shares += [share / len(case.threads)] * len(case.threads)

    def until(what: str) -> float:
        """Say what comes next; returns when it is to end."""
        nonlocal parts
        tell(what, sum(shares[:parts]))
        parts += 1
        return started + budget_s * sum(shares[:parts])

    env: dict[str, Curve] = {}
    notes: dict[str, str] = {}
    for name in names:
        end = until(f"env steps, backend {name}")
        asked = name == case.settings.backend
        if name == "async" and not asked and min(env["sync"].values()) < SLOW_STEP_S:
            notes[name] = "not measured: one env step takes less than a worker process costs"
            continue
        try:
            env[name] = dict(_series(subject.widths, case.members, end, _stepping(subject, name)))
        except GrpoError as error:
            notes[name] = error.what
    act: dict[int, Curve] = {}
    update: dict[int, Curve] = {}
    learning = partial(speed.gradient_step, subject.learner, subject.scored)
    rows = min(case.rows / case.settings.num_minibatches, case.settings.minibatch_size or case.rows)
    series = (
        ("acting", act, subject.widths, case.members, _acting(subject)),
        ("gradient steps", update, subject.sizes, rows, learning),
    )
    before = torch.get_num_threads()
    try:
        for what, curves, sizes, expected, one in series:
            for threads in case.threads:
                torch.set_num_threads(threads)
                end = until(f"{what}, threads={threads}")
                curves[threads] = dict(_series(sizes, expected, end, one))
    finally:
        torch.set_num_threads(before)
    return Measured(env, act, update, notes)


def _series(
    sizes: tuple[int, ...], expected: float, end: float, one: Callable[[int, float], float]
) -> Iterator[tuple[int, float]]:
    """Measure size after size while there is time, those nearest to what is expected first."""
    order = sorted(set(sizes), key=lambda size: abs(math.log(size / expected)))
    # Imports, and fills caches; measured again if time allows.
    yield order[0], one(order[0], 0.0)
    for number, size in enumerate(order):
        left = end - time.perf_counter()
        if left <= 0:
            return
        yield size, one(size, left / (len(order) - number))


def _stepping(subject: Subject, name: str) -> Callable[[int, float], float]:
    def one(members: int, seconds: float) -> float:
        backend, _ = make_backend(name, subject.source, members, subject.restarts)
        try:
            seeds = np.arange(members) // subject.group_size
            space = subject.source.action_space
            step, reset = speed.stepping(backend, space, seeds, seconds)
            return step + reset / members / subject.length
        finally:
            backend.close()

    return one


def _acting(subject: Subject) -> Callable[[int, float], float]:
    backend, _ = make_backend("sync", subject.source, min(subject.case.members, FIRST))
    obs = backend.reset(np.arange(min(subject.case.members, FIRST)))
    backend.close()
    codec, policy = subject.source.codec, subject.policy
    return lambda members, seconds: speed.acting(obs, codec, policy, members, seconds)


def result(subject: Subject, measured: Measured) -> dict[str, Any]:
    """Return all of it, JSON-ready; times in microseconds."""
    take, why = recommend(subject.case, measured)
    rates = [1 / step_s(subject.case, measured, one) for one in (subject.case.settings, take)]
    return {
        "env": subject.source.id,
        "env_us": _micro(measured.env),
        "act_us": _micro(measured.act),
        "update_us": _micro(measured.update),
        "notes": dict(measured.notes),
        "asked": asdict(subject.case.settings),
        "take": asdict(take),
        "why": why,
        "steps_per_s": {"asked": rates[0], "take": rates[1]},
    }


def _micro(curves: Mapping[Any, Curve]) -> dict[str, dict[str, float]]:
    return {
        str(k): {str(size): 1e6 * s for size, s in curve.items()} for k, curve in curves.items()
    }

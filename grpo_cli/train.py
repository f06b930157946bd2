"""The training loop, on one screen: sample, score, update; evaluate, log and save when due."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from grpo_cli.clock import OTHER, Clock, part
from grpo_cli.envs import persist
from grpo_cli.errors import CheckpointError, NonFinite
from grpo_cli.evaluate import Mode, Scores
from grpo_cli.gathering import gathered
from grpo_cli.groups import Selection
from grpo_cli.policies import Policy
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rewards import distortion
from grpo_cli.rollout import LEARN, Rollout, Scored
from grpo_cli.sinks import Sink
from grpo_cli.stop import Dropped, Stop

Measured = dict[str, float | np.ndarray]
Judge = Callable[[Policy, bool], dict[Mode, Scores]]


class Sampler(Protocol):
    """A group mode."""

    def sample(self, policy: Policy, update: int) -> Rollout:
        """Sample the groups of one update."""
        ...


@dataclass(frozen=True)
class Parts:
    """What a training run is made of, all built.

    Attributes:
        policy: learns in place.
        sampler: brings home groups.
        score: gives every row its advantage.
        learn: `f(scored, update, progress) -> metrics`; progress runs from 0 to 1.
        judge: `f(policy, thorough) -> Scores by mode`, the checks that may stop the run, or None.
        save: `f(progress, best)` writes a checkpoint.
        sinks: receive metrics.
        warn: says one line to the person.
        mend: `f(error, sampled, progress) -> metrics` makes the policy finite again after an
            update that was not, or raises; gets what was sampled, scored if it came to that.
        stop: hears requests to end early.
        ranks: the processes that train together.
    """

    policy: Policy
    sampler: Sampler
    score: Callable[[Rollout], Scored]
    learn: Callable[[Scored, int, float], dict[str, float]]
    judge: Judge | None
    save: "Callable[[Progress, bool], object]"
    sinks: list[Sink]
    warn: Callable[[str], None]
    mend: "Callable[[NonFinite, Rollout | Scored, Progress], dict[str, float]] | None" = None
    stop: Stop = field(default_factory=Stop)
    ranks: Ranks = ALONE


@dataclass
class Progress:
    """Where a run stands; the attributes up to `sampler` go into its checkpoints."""

    steps: int = 0  # env steps, every simulated transition counted
    update: int = 0
    best: float = -np.inf  # worse of the two modes at the best evaluation, raw return
    best_step: int | None = None  # env steps then
    reached: bool = False  # an evaluation reached `stop_at` in both modes
    broken: int = 0  # updates in a row that were not finite
    anchor: int = 0  # env steps of the newest checkpoint that no interruption made; 0: none
    sampler: Any = None  # state of a group mode that has one, before the next rollout
    since: int = 0  # env steps when this process began
    saved: int = -1  # env steps of the newest checkpoint
    failing: bool = False  # the last one that was due could not be written
    started: float = field(default_factory=time.perf_counter)


def train(
    parts: Parts,
    *,
    total_steps: int,
    stop_at: float | None,
    eval_every: int,
    save_every: int,
    at: Progress | None = None,
) -> Progress:
    """Train until `stop_at` is reached in both modes, `total_steps` are used up, or asked to stop.

    Args:
        parts: what the run is made of.
        total_steps: env steps at which no further update begins.
        stop_at: raw return that the mean of a thorough evaluation must exceed by its standard
            error, greedy and sampled; None: never.
        eval_every: evaluate at the first update after each multiple, env steps.
        save_every: the same for checkpoints; one is always written at the end.
        at: where a resumed run stands; the parts must be in the state they were in then.

    Raises:
        EnvError: the environment raised, or its workers died again and again.
        NonFinite: rewards, observations, losses or gradients stopped being numbers.
        CheckpointError: the last checkpoint could not be written.
    """
    at = at or Progress(sampler=_state(parts.sampler))
    log_s, ranks = 0.0, parts.ranks
    while at.steps < total_steps and not at.reached and not ranks.any(parts.stop.asked):
        clock = Clock()
        try:
            rollout, metrics = _update(parts, at, at.steps / total_steps, clock)
        except Dropped:
            return _finish(parts, at)
        simulated = int(ranks.sum(np.array([rollout.sim_steps]))[0])
        before, at.steps, at.update = at.steps, at.steps + simulated, at.update + 1
        better = None
        due = _due(before, at.steps, eval_every) or at.steps >= total_steps
        if due and parts.judge is not None:
            better = _evaluate(parts.policy, parts.judge, at, stop_at, metrics)
            clock.lap("eval")
        clock.lap(OTHER)
        metrics |= _times(clock, at, rollout, log_s) | ranks.times()
        _write(parts.sinks, at.steps, metrics)
        at.sampler = _state(parts.sampler)
        # After the sinks: a checkpoint knows how much had been written.
        if better is not None or _due(before, at.steps, save_every):
            _save(parts, at, better)
        clock.lap("log")
        log_s = clock.seconds["log"]
    return _finish(parts, at)


@part("checkpoint")
def _finish(parts: Parts, at: Progress) -> Progress:
    """Save what has not been saved; without this checkpoint work would be lost."""
    if at.update and at.saved != at.steps:
        parts.save(at, False)
        at.saved = at.steps
    return at


def _update(parts: Parts, at: Progress, progress: float, clock: Clock) -> tuple[Rollout, Measured]:
    """Sample, score and learn; returns the rollout, and what was measured of it.

    Nothing is learned from a rollout in which something is not finite, and nothing told of it.
    """
    rollout: Rollout | None = None
    scored: Scored | None = None
    try:
        rollout = _sample(parts, at)
        clock.lap("sample")
        scored = parts.score(rollout)
        if at.update == 0:
            _warn_of_distortion(scored, parts.warn)
        learned = parts.learn(scored, at.update, progress)
        at.broken = 0
    except NonFinite as error:
        rollout = rollout or error.rollout
        if parts.mend is None or rollout is None:
            raise
        at.broken += 1
        learned = parts.mend(error, scored or rollout, at)
    clock.lap("update")
    return rollout, {**learned, **({} if scored is None else scored.measured | _sampled(scored))}


@part("sample")
def _sample(parts: Parts, at: Progress) -> Rollout:
    """Sample the rollout of an update, again where workers were lost: its numbers are the same."""

    def sample() -> Rollout:
        if at.sampler is not None:
            parts.sampler.load(at.sampler)  # type: ignore[attr-defined]
        return parts.sampler.sample(parts.policy, at.update)

    again = partial(persist, what="sampling this rollout", warn=parts.warn)
    if isinstance(parts.sampler, Selection):  # between its rounds ranks talk: nothing ends there
        return parts.sampler.sample(parts.policy, at.update, lambda work: again(parts.stop(work)))
    return parts.ranks.together(partial(again, parts.stop(sample)))


def _state(sampler: Sampler) -> Any:  # noqa: ANN401 - whatever JSON can hold
    state = getattr(sampler, "state", None)
    return state() if callable(state) else None


@part("checkpoint")
def _save(parts: Parts, at: Progress, better: float | None) -> None:
    """Write a checkpoint; one that cannot be written costs no run, the older ones still stand."""
    before = at.best, at.best_step, at.anchor
    at.anchor = at.steps
    if better is not None:
        at.best, at.best_step = better, at.steps
    try:
        parts.save(at, better is not None)
        at.saved, at.failing = at.steps, False
    except CheckpointError as error:
        at.best, at.best_step, at.anchor = before
        if not at.failing:  # a full disk stays full for a while: said once
            parts.warn(f"{error.what}; training goes on, and tries again when the next is due")
        at.failing = True


def _due(before: int, after: int, every: int) -> bool:
    """Say whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every


@part("evaluate")
def _evaluate(
    policy: Policy, judge: Judge, at: Progress, stop_at: float | None, metrics: Measured
) -> float | None:
    """Judge the policy in both modes; returns the worse score if it is the best so far.

    A check has few episodes and is made often, so the first lucky one would end the run: one that
    reaches `stop_at` is made again, thoroughly, and has to exceed it by its standard error.
    """
    scores = judge(policy, False)
    if stop_at is not None and min(s.ret.mean() for s in scores.values()) >= stop_at:
        scores = judge(policy, True)
        lower = (s.ret.mean() - s.ret.std() / len(s.ret) ** 0.5 for s in scores.values())
        at.reached = bool(min(lower) >= stop_at)
    for mode, score in scores.items():
        metrics[f"eval/{mode}/mean_reward"] = float(score.ret.mean())
        metrics[f"eval/{mode}/std_reward"] = float(score.ret.std())
        metrics[f"eval/{mode}/mean_ep_length"] = float(score.length.mean())
        if score.success is not None:
            metrics[f"eval/{mode}/success_rate"] = float(score.success.mean())
    worst = min(float(score.ret.mean()) for score in scores.values())
    return worst if worst > at.best else None


@part("log")
def _sampled(scored: Scored) -> Measured:
    """Describe episodes and groups; of several ranks all but the advantages' histogram."""
    rollout = scored.rollout
    episodes, ranks = gathered(rollout.episodes, rollout.ranks), rollout.ranks
    learns = rollout.role == LEARN
    worth, number = rollout.per_member(rollout.reward)[learns], rollout.group[learns]
    groups = [worth[number == group] for group in range(rollout.num_groups)]
    spread = np.array([(group.std(), group.min(), group.max()) for group in groups])
    std, low, high = ranks.whole(spread)[0].T
    simulated, slots = ranks.sum(np.array([rollout.sim_steps, rollout.slot_steps]))
    steps = np.bincount(rollout.member, minlength=len(learns))
    advantage = np.bincount(rollout.member, scored.advantage, len(learns)) / np.maximum(steps, 1)
    described: Measured = {
        "group/num_sampled": float(len(std)),
        "group/reward_std": float(std.mean()),
        "group/reward_min": float(low.mean()),
        "group/reward_max": float(high.mean()),
        "group/idle_frac": 1.0 - simulated / slots,
        "hist/advantage": scored.advantage,
        "members/group": number,
        "members/return": worth,
        "members/steps": steps[learns],
        "members/advantage": advantage[learns],
    }
    if rollout.parent is None:  # a look-ahead that is cut off is not an episode
        described["rollout/truncated_frac"] = float(ranks.mean(rollout.truncated[learns]))
    if len(episodes.ret):  # a window may lie inside one episode
        described["rollout/ep_rew_mean"] = float(episodes.ret.mean())
        described["rollout/ep_rew_std"] = float(episodes.ret.std())
        described["rollout/ep_len_mean"] = float(episodes.length.mean())
        described["hist/return"] = episodes.ret
    if episodes.success is not None and len(episodes.success):
        described["rollout/success_rate"] = float(episodes.success.mean())
    return described


def _warn_of_distortion(scored: Scored, warn: Callable[[str], None]) -> None:
    """Say on the first update when reward scaling moves rewards far enough to destabilise."""
    rollout = scored.rollout
    moved = distortion(rollout.per_member(rollout.reward), rollout.per_member(scored.reward))
    if moved is not None:
        warn(f"reward_scaling {moved}; this can destabilise training (reward_scaling=none)")


def _times(clock: Clock, at: Progress, rollout: Rollout, log_s: float) -> dict[str, float]:
    """Return `time/*`, seconds of this update (log_s: of the one before); fps of the run."""
    return {
        **{f"time/{name}_s": clock.seconds[name] for name in ("sample", "update", "eval", OTHER)},
        "time/env_s": rollout.env_s,
        "time/act_s": rollout.act_s,
        "time/log_s": log_s,
        "time/fps": (at.steps - at.since) / (time.perf_counter() - at.started),
        "time/total_timesteps": float(at.steps),
        "time/replay_steps": float(rollout.replay_steps),
        "time/iterations": float(at.update),
    }


@part("log")
def _write(sinks: list[Sink], steps: int, metrics: Measured) -> None:
    for sink in sinks:
        sink.write(steps, metrics)

"""How fast this computer does one part of the work: env steps, actions, gradient steps."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.envs import Backend, Codec
from grpo_cli.envs.spaces import drawn
from grpo_cli.learner import Learner
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, rng
from grpo_cli.rollout import Ints, Scored, join

ACTIONS = 31  # drawn for each member, then again; odd, so that they meet other states
FULL, ROUNDS = 0.75, 3  # share of the members that live, and rounds of steps at least
EPOCHS, STEPS = 2, 2  # passes of one measurement, and gradient steps in each at least


def stepping(
    backend: Backend, space: spaces.Space, seeds: Ints, seconds: float
) -> tuple[float, float]:
    """Return seconds for each env step of random actions, and for a reset of all members: medians.

    Args:
        backend: steps them; all are reset when a quarter of them have ended, for a policy that has
            learned something keeps them together for longer than random actions do.
        space: of the actions.
        seeds: of the members' starts, [M].
        seconds: to measure for.

    Raises:
        EnvError: the environment raised.
    """
    members = len(seeds)
    space.seed(0)
    actions = [drawn(space, members) for _ in range(ACTIONS)]
    resets: list[float] = []
    steps: list[float] = []  # of one member, in each round
    started = last = time.perf_counter()
    while len(steps) < ROUNDS or last - started < seconds:
        backend.reset(seeds)
        resets.append(-last + (last := time.perf_counter()))
        alive = np.arange(members)
        while len(alive) >= FULL * members and (len(steps) < ROUNDS or last - started < seconds):
            action = actions[len(steps) % ACTIONS][alive]
            _, _, terminated, truncated, _ = backend.step(alive, action)
            steps.append((-last + (last := time.perf_counter())) / len(alive))
            alive = alive[~(terminated | truncated)]
    return float(np.median(steps)), float(np.median(resets))


def acting(obs: NDArray, codec: Codec, policy: Policy, members: int, seconds: float) -> float:
    """Return seconds for each action of so many members: noise, forward, choice, decoding.

    Args:
        obs: first observations, [any number, *O].
        codec: turns flat actions into the environment's.
        policy: acts.
        members: how many act together.
        seconds: to measure for.
    """
    member = np.arange(members)
    obs = obs[member % len(obs)]
    noise = ActionNoise([rng(0, Purpose.ACTION)], members, policy.family.noise_width)
    act, first = policy.acting(), np.zeros_like(member)

    def once() -> None:
        codec.decode(act(obs, noise.at(first, member), member)[0])

    return best(once, seconds) / members


def gradient_step(learner: Learner, scored: Scored, rows: int, seconds: float) -> float:
    """Return seconds for each row of a gradient step on about so many rows.

    The learner goes through its whole update, with a step size of 0: nothing is learned.
    """
    enough = sized(scored, STEPS * rows)
    # Early on no member may differ, and where nothing does, no step is taken.
    enough = replace(enough, advantage=np.ones_like(enough.advantage))
    total = len(enough.reward)
    cut = max(1, round(total / rows))
    before = learner.schedule, learner.lr
    learner.lr = 0.0
    learner.schedule = replace(
        learner.schedule, epochs=EPOCHS, num_minibatches=cut, minibatch_size=None, target_kl=None
    )
    try:
        return best(lambda: learner(enough, 0, 0.0), seconds) / (EPOCHS * total)
    finally:
        learner.schedule, learner.lr = before


def best(work: Callable[[], object], seconds: float) -> float:
    """Return the seconds of the fastest of several repeats: other programs only slow one down."""
    found, started = [], time.perf_counter()
    while not found or time.perf_counter() - started < seconds:
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def sized(scored: Scored, rows: int) -> Scored:
    """Return about so many rows: whole members, fewer than there are or the same ones again."""
    rollout = scored.rollout
    length = np.bincount(rollout.member, minlength=len(rollout.group))
    keep = np.cumsum(length) - length < rows
    if not keep.all():
        kept = keep[rollout.member]
        cut = rollout.members(keep)
        return replace(
            scored, rollout=cut, reward=scored.reward[kept], advantage=scored.advantage[kept]
        )
    times = range(-(-rows // len(scored.reward)))
    groups = [rollout.group + rollout.num_groups * number for number in times]
    return replace(
        scored,
        rollout=join([replace(rollout, group=group) for group in groups]),
        reward=np.tile(scored.reward, len(times)),
        advantage=np.tile(scored.advantage, len(times)),
        dead=np.tile(scored.dead, len(times)),
    )

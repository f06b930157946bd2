"""Members walk through one episode each, side by side; the finished drop out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from grpo_cli.clock import Clock
from grpo_cli.envs import Backend, Codec, Restarts
from grpo_cli.policies import Acts
from grpo_cli.randomness import ActionNoise
from grpo_cli.rollout import BASELINE, LEARN, Floats, Ints


@dataclass(frozen=True)
class Outcome:
    """How M episodes ended, and what they cost."""

    ret: Floats  # [M], raw return
    length: Ints  # [M], steps
    terminated: NDArray[np.bool_]  # [M]
    truncated: NDArray[np.bool_]  # [M]
    success: NDArray[np.bool_] | None  # [M], None when the environment says nothing
    slot_steps: int  # slots times rounds: what would have been stepped had no slot been idle
    env_s: float
    act_s: float

    def members(self, span: slice) -> "Outcome":
        """Return how some of the episodes ended; costs stay as they are."""
        columns = ("ret", "length", "terminated", "truncated", "success")
        found = {name: getattr(self, name) for name in columns}
        cut = {name: None if value is None else value[span] for name, value in found.items()}
        return replace(self, **cut)


def players(
    seeds: Ints, groups: range, group_size: int, *, greedy: bool
) -> tuple[Ints, Ints, NDArray[np.int8]]:
    """Return seed, group and role of all members; greedy ones come last, one for each group.

    Args:
        seeds: of those that are learned from, group by group, [M].
        groups: their numbers.
        group_size: members of each.
        greedy: another member of each group starts where the first does, to be compared with.
    """
    group, role = np.repeat(groups, group_size), np.full(len(seeds), LEARN, dtype=np.int8)
    if greedy:
        seeds, group = np.append(seeds, seeds[::group_size]), np.append(group, groups)
        role = np.append(role, np.full(len(groups), BASELINE, dtype=np.int8))
    return seeds, group, role


# What one round of steps leaves behind: member, its step, obs, action, logprob, reward.
Round = tuple[Ints, Ints, NDArray, NDArray, NDArray, Floats]


class Keeps(Protocol):
    """Who keeps rounds: a list, or `groups.packing.Rounds`."""

    def append(self, step: Round, /) -> None:
        """Keep one."""
        ...


class Walks(Protocol):
    """Who can walk: a policy, or one that looks ahead first."""

    def acting(self) -> Acts:
        """Return who acts for members that all start now."""
        ...


def walk(
    backend: Backend,
    codec: Codec,
    policy: Walks,
    seeds: Ints,
    noise: ActionNoise | None,
    *,
    slots: int | None = None,
    horizon: int | None = None,
    rounds: Keeps | None = None,
) -> Outcome:
    """Play one episode with each of M members.

    A member lives in a slot of the backend. With fewer slots than members, a slot that becomes
    free starts the next member; otherwise it stays idle and is not stepped.

    Args:
        backend: steps the slots.
        codec: turns flat actions into the environment's.
        policy: who acts.
        seeds: reset seeds, [M].
        noise: for the actions of the first members; those beyond it act greedily. None: all do.
        slots: how many members live side by side; None: all. Fewer need a backend that `Restarts`.
        horizon: steps after which a member is cut; None: its episode's end.
        rounds: receives what every round of steps leaves behind, when given.

    Raises:
        EnvError: the environment raised.
    """
    members = len(seeds)
    width = min(slots or members, members)
    clock = Clock()
    obs = backend.reset(seeds[:width])
    clock.lap("env")
    slot, member, waiting = np.arange(width), np.arange(width), width
    ret, length = np.zeros(members), np.zeros(members, dtype=np.int64)
    terminated, truncated = np.zeros((2, members), dtype=bool)
    success: dict[int, bool] = {}
    slot_steps = 0
    act = policy.acting()
    mixed = noise is not None and noise.members < members
    while len(slot):
        slot_steps += width
        step = length[member]
        if noise is None:
            action, logprob = act(obs, None, member)
        elif mixed:
            greedy = member >= noise.members
            drawn = noise.at(step, np.where(greedy, 0, member))
            action, logprob = act(obs, drawn, member, greedy)
        else:
            action, logprob = act(obs, noise.at(step, member), member)
        clock.lap("act")
        after, reward, ended, cut, infos = backend.step(slot, codec.decode(action))
        clock.lap("env")
        ret[member] += reward
        length[member] += 1
        if rounds is not None:
            rounds.append((member, step, obs, action, logprob, reward))
        if horizon is not None:
            cut = cut | (length[member] >= horizon)
        obs, over = after, ended | cut
        if not over.any():
            continue
        terminated[member] = ended
        truncated[member] = cut & ~ended
        success |= successes(member, over, infos)
        free = np.flatnonzero(over)[: members - waiting]
        if len(free) and isinstance(backend, Restarts):
            member = member.copy()
            member[free] = np.arange(waiting, waiting + len(free))
            waiting += len(free)
            obs[free] = backend.restart(slot[free], seeds[member[free]])
            clock.lap("env")
            over[free] = False
        slot, member, obs = slot[~over], member[~over], obs[~over]
    said = as_array(success, members)
    spent = clock.seconds
    return Outcome(ret, length, terminated, truncated, said, slot_steps, spent["env"], spent["act"])


def successes(
    member: Ints, over: NDArray[np.bool_], infos: Sequence[dict[str, Any]]
) -> dict[int, bool]:
    """Read success from the infos of members that ended, where the environment reports it."""
    found = {}
    for place in np.flatnonzero(over).tolist() if infos else ():
        said = infos[place].get("is_success", infos[place].get("success"))
        if said is not None:
            found[int(member[place])] = bool(said)
    return found


def as_array(success: dict[int, bool], members: int) -> NDArray[np.bool_] | None:
    """One answer per member, [M]; None when the environment says nothing."""
    if not success:
        return None
    return np.array([success.get(member, False) for member in range(members)])

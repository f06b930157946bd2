"""Walks of the policy, and the states drawn from what they visited.

A walk is a whole episode: if walks were cut, late states would never be seen. Which of the visited
states are drawn is decided by numbers with an address of their own, so the same states are drawn
whatever else is simulated.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.envs import Codec, Simulator
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Episodes, Floats, Ints, join_episodes
from grpo_cli.walk import Outcome, Round, Walks, walk

# Walks are shorter than a million steps: a number of this system says walk and step.
WALK = 2**20
RANK = 2**40  # so far apart are the numbers of two ranks, which count their walks alike


@dataclass(frozen=True)
class Visits:
    """All T states that walks visited, ordered by walk, then step, and V that were drawn."""

    address: Ints  # [T], says walk and step, and nothing about what else was visited
    obs: NDArray  # [T, *O]
    action: NDArray  # [T, A], the walk's own, flat
    logprob: NDArray[np.float32]  # [T], its log-probability, nats
    reward: Floats  # [T], what the walk got for it
    seed: Ints  # [T], what the walk was reset with
    last: NDArray[np.bool_]  # [T], the walk's step ended the episode
    terminated: NDArray[np.bool_]  # [T], by termination
    order: Ints  # [T], places of these states in the order in which they were visited
    drawn: Ints  # [V], ascending
    states: dict[int, NDArray]  # [1, ...] by address: the drawn, and maybe others
    episodes: Episodes  # the walks
    slot_steps: int
    env_s: float
    act_s: float

    def saved(self, rows: Ints) -> NDArray:
        """Return simulator states, [len(rows), ...]."""
        return np.concatenate([self.states[address] for address in self.address[rows].tolist()])

    @property
    def walk(self) -> Ints:
        """Number of the walk, [T]."""
        return self.address // WALK

    @property
    def step(self) -> Ints:
        """Step of the walk, [T]."""
        return self.address % WALK


class Draw:
    """The states with the `size` smallest keys of all that were offered, without keeping the rest.

    Every visited state is drawn with the same probability, and few are saved.

    Args:
        size: how many to draw.
        successors: keep the state one step later as well.
    """

    def __init__(self, size: int, successors: bool) -> None:
        self.size = size
        self.successors = successors
        self.states: dict[int, NDArray] = {}  # by address; some that were drawn only for a while
        self._drawn: list[
            tuple[float, int]
        ] = []  # a heap of (-key, address), the largest key on top

    def wants(self, keys: list[float], address: list[int]) -> NDArray[np.bool_]:
        """Say which of the offered states must be saved, [B]."""
        full = len(self._drawn) == self.size
        bound = -self._drawn[0][0] if full else np.inf
        # Not those that are saved: a successor is one of them, and would keep its own in turn.
        drawn = {number for _, number in self._drawn} if self.successors else ()
        after = [number - 1 in drawn for number in address]
        return (np.array(keys) < bound) | after

    def save(self, key: float, address: int, state: NDArray) -> None:
        """Keep a state that was wanted, [1, ...]."""
        self.states[address] = state
        if len(self._drawn) < self.size:
            heapq.heappush(self._drawn, (-key, address))
        else:
            heapq.heappushpop(self._drawn, (-key, address))

    @property
    def drawn(self) -> list[int]:
        """Addresses of the states that were drawn, ascending: by walk, then step."""
        return sorted(address for _, address in self._drawn)


class Trail:
    """A simulator that keeps states on its way: the backend contract, all walks step together.

    Args:
        simulator: steps the walks.
        first: number of the first walk.
        keys: a random number for every state that is visited.
        draw: keeps the states.
    """

    def __init__(self, simulator: Simulator, first: int, keys: ActionNoise, draw: Draw) -> None:
        self.name = simulator.name
        self.living = np.arange(0)  # slots of the walks that go on
        self.address = np.arange(0)  # of the states they are in
        self._simulator = simulator
        self._first = first
        self._keys = keys
        self._draw = draw

    def reset(self, seeds: Ints) -> NDArray:
        """Start the walks."""
        obs = self._simulator.reset(seeds)
        self._come_to(np.arange(len(seeds)), 0)
        return obs

    def step(self, ids: Ints, actions: NDArray) -> Any:  # noqa: ANN401 - see `Backend`
        """Step the walks `ids`."""
        said = self._simulator.step(ids, actions)
        self._come_to(ids[~(said[2] | said[3])], int(self.address[0] % WALK) + 1)
        return said

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()

    def _come_to(self, living: Ints, step: int) -> None:
        if not len(living):
            return
        self.living, self.address = living, (self._first + living) * WALK + step
        keys = self._keys.at(np.full_like(living, step), living)[:, 0]
        wanted = self._draw.wants(keys.tolist(), self.address.tolist())
        if wanted.any():
            states = self._simulator.save(living[wanted])
            chosen = zip(keys[wanted].tolist(), self.address[wanted].tolist(), strict=True)
            for place, (key, address) in enumerate(chosen):
                self._draw.save(key, address, states[place : place + 1])


def visit(
    simulator: Simulator,
    codec: Codec,
    policy: Policy,
    draw: Draw,
    *,
    seed: int,
    update: int,
    walks: int,
    at_least: int,
    actor: Callable[[Trail], Walks] | None = None,
    ranks: Ranks = ALONE,
) -> Visits:
    """Play whole episodes and draw from the states on their way.

    Args:
        simulator: steps the walks.
        codec: turns flat actions into the environment's.
        policy: who walks, unless `actor` makes another of the trail.
        draw: draws the states.
        seed: the run's seed.
        update: number of the policy update.
        walks: how many are played side by side; more follow until enough states were visited.
        at_least: states to visit.
        actor: makes the one who walks.
        ranks: who else walks; the walks of all have different numbers.

    Raises:
        EnvError: the environment raised.
    """
    parts: list[tuple[list[Round], Outcome, Ints]] = []
    width = min(walks, simulator.slots or walks)
    visited = first = 0
    while visited < at_least:
        # The walks of all ranks in rounds: 0 to width - 1 are the first rank's first ones.
        before = (first * ranks.size) + ranks.rank * width
        numbers = range(before, before + width)
        starts = [rng(seed, Purpose.START, update, number) for number in numbers]
        seeds = np.concatenate([reset_seeds(start, 1, Use.TRAIN) for start in starts])
        noise = [rng(seed, Purpose.ACTION, update, number) for number in numbers]
        keys = [rng(seed, Purpose.SELECT, update, number) for number in numbers]
        trail = Trail(simulator, first, ActionNoise(keys, 1, 1), draw)
        rounds: list[Round] = []
        who: Walks = policy if actor is None else actor(trail)
        outcome = walk(
            trail,
            codec,
            who,
            seeds,
            ActionNoise(noise, 1, policy.family.noise_width),
            rounds=rounds,
        )
        parts.append((rounds, outcome, seeds))
        visited += int(outcome.length.sum())
        first += width
    return _visits(parts, draw)


@part("pack")
def _visits(parts: list[tuple[list[Round], Outcome, Ints]], draw: Draw) -> Visits:
    """Put the walks together."""
    first, columns = 0, []
    for rounds, outcome, _ in parts:
        columns += [(first + member, *rest) for member, *rest in rounds]
        first += len(outcome.length)
    walked, step, obs, action, logprob, reward = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    address = walked * WALK + step
    order = np.argsort(address)
    address, walked = address[order], walked[order]
    outcomes = [outcome for _, outcome, _ in parts]
    episodes = join_episodes([Episodes(o.ret, o.length, o.success) for o in outcomes])
    ended = np.concatenate([outcome.terminated for outcome in outcomes])
    last = step[order] == episodes.length[walked] - 1
    return Visits(
        address=address,
        obs=obs[order],
        action=action[order],
        logprob=logprob[order],
        reward=reward[order].astype(np.float64),
        seed=np.concatenate([seeds for *_, seeds in parts])[walked],
        last=last,
        terminated=last & ended[walked],
        order=order,
        drawn=np.searchsorted(address, draw.drawn),
        states=draw.states,
        episodes=episodes,
        slot_steps=sum(outcome.slot_steps for outcome in outcomes),
        env_s=sum(outcome.env_s for outcome in outcomes),
        act_s=sum(outcome.act_s for outcome in outcomes),
    )

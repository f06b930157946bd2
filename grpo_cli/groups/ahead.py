"""Continuations from saved states: many members step together, each from a state of its own."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import Codec, Simulator
from grpo_cli.groups.visits import RANK, Draw, Trail, Visits, visit
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, rng
from grpo_cli.ranks import Ranks
from grpo_cli.rollout import LEARN, Floats, Ints
from grpo_cli.transitions import TransitionReward
from grpo_cli.walk import Outcome, Round, Walks, walk


class Ahead:
    """A simulator that starts in saved states: backend contract, the "seeds" are their numbers.

    Args:
        simulator: steps the members.
        states: where each of M members starts, [M, ...].
        obs: what is seen there, [M, *O].
        first: what each member does first, whatever the policy says, [M, ...]; None: nothing.
        horizon: steps after which a member is cut off; None: its episode's end.
        reward: of each transition; None: the environment's own.
    """

    def __init__(
        self,
        simulator: Simulator,
        states: NDArray,
        obs: NDArray,
        *,
        first: NDArray | None,
        horizon: int | None,
        reward: TransitionReward | None,
    ) -> None:
        self.name = simulator.name
        self._simulator = simulator
        self._states = states
        self._starts = obs
        self._first = first
        self._horizon = horizon
        self._reward = reward
        width = len(states)
        self._member = np.zeros(width, dtype=np.int64)  # in each slot
        self._age = np.zeros(width, dtype=np.int64)
        self._obs = obs.copy()

    def reset(self, seeds: Ints) -> NDArray:
        """Start members `seeds` in the first slots."""
        return self.restart(np.arange(len(seeds)), seeds)

    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Start members `seeds` in slots `ids`."""
        self._simulator.restore(ids, self._states[seeds])
        self._member[ids], self._age[ids] = seeds, 0
        self._obs[ids] = self._starts[seeds]
        return self._starts[seeds]

    def step(self, ids: Ints, actions: NDArray) -> Any:  # noqa: ANN401 - see `Backend`
        """Step slots `ids`."""
        if self._first is not None and not self._age[ids].all():
            young = self._age[ids] == 0
            actions = actions.copy()
            actions[young] = self._first[self._member[ids[young]]]
        obs, reward, terminated, truncated, infos = self._simulator.step(ids, actions)
        if self._reward is not None:
            reward = self._reward(self._obs[ids], actions, obs)
            self._obs[ids] = obs
        self._age[ids] += 1
        if self._horizon is not None:
            truncated = truncated | (self._age[ids] >= self._horizon)
        return obs, reward, terminated, truncated, infos

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()


class AheadNoise(ActionNoise):
    """Action noise whose first step is each member's own; later ones may be shared by a group.

    With common random numbers members differ in nothing but their first action.

    Args:
        generators: one per group.
        group_size: members per group, G.
        width: numbers that an action needs, W.
        shared: members of a group get the same noise after their first action.
    """

    def __init__(
        self,
        generators: list[np.random.Generator],
        group_size: int,
        width: int,
        shared: bool,
    ) -> None:
        self.first = np.concatenate([g.random((group_size, width)) for g in generators])  # [M, W]
        super().__init__(generators, group_size, width, shared)

    def at(self, step: Ints, member: Ints) -> NDArray[np.float64]:
        """Return noise in [0, 1) for members [B] at their own steps [B]: [B, W]."""
        later = super().at(step, member)
        return np.where((step == 0)[:, None], self.first[member], later)


class Some(ActionNoise):
    """Noise of some members, under new numbers from 0.

    Args:
        noise: of all members.
        members: which of them, [M].
    """

    def __init__(self, noise: ActionNoise, members: Ints) -> None:
        self._noise = noise
        self._number = members
        self.members = len(members)

    def at(self, step: Ints, member: Ints) -> NDArray[np.float64]:
        """Return noise in [0, 1) for members [B] at their own steps [B]: [B, W]."""
        return self._noise.at(step, self._number[member])


class Cost:
    """What an update simulates beside its walks.

    Args:
        simulator: counts the steps it computes again.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._replayed = simulator.replay_steps
        self._sim_steps = self._slot_steps = 0
        self._env_s = self._act_s = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count a look-ahead."""
        self._sim_steps += int(outcome.length.sum())
        self._slot_steps += outcome.slot_steps
        self._env_s += outcome.env_s
        self._act_s += outcome.act_s

    def facts(self, visits: Visits, state: Ints) -> dict[str, Any]:
        """Return the rollout's fields that say where members began, and what was simulated.

        Args:
            visits: where the walks have been, themselves counted too.
            state: the visit that each of M members began at, [M].
        """
        return {
            "seed": visits.seed[state],
            "role": np.full(len(state), LEARN, dtype=np.int8),
            "parent": visits.walk[state],
            "parent_step": visits.step[state],
            "episodes": visits.episodes,
            "sim_steps": int(visits.episodes.length.sum()) + self._sim_steps,
            "slot_steps": visits.slot_steps + self._slot_steps,
            "env_s": visits.env_s + self._env_s,
            "act_s": visits.act_s + self._act_s,
            "replay_steps": self._simulator.replay_steps - self._replayed,
        }


def look_ahead(
    simulator: Simulator,
    codec: Codec,
    policy: Policy,
    states: NDArray,
    obs: NDArray,
    noise: ActionNoise,
    *,
    first: NDArray | None = None,
    horizon: int | None = None,
    reward: TransitionReward | None = None,
) -> tuple[list[Round], Outcome]:
    """Let the policy continue from M saved states; see `Ahead` for the arguments.

    Returns:
        What every round of steps left behind, and how the members ended.

    Raises:
        EnvError: the environment raised.
    """
    rounds: list[Round] = []
    backend = Ahead(simulator, states, obs, first=first, horizon=horizon, reward=reward)
    members = np.arange(len(states))
    outcome = walk(backend, codec, policy, members, noise, slots=simulator.slots, rounds=rounds)
    return rounds, outcome


def discounted(rounds: list[Round], gamma: float, members: int, steps: int | None = None) -> Floats:
    """Sum each member's discounted rewards, [M]: those of its first `steps`, or all of them."""
    value = np.zeros(members)
    for member, step, _, _, _, reward in rounds:  # in a round each member steps once
        counted = reward if steps is None else np.where(step < steps, reward, 0.0)
        value[member] += gamma**step * counted
    return value


class LookAhead:
    """What the group modes share that go on from visited states; see them for the arguments."""

    def __init__(
        self,
        simulator: Simulator,
        codec: Codec,
        num_groups: int,
        group_size: int,
        seed: int,
        gamma: float,
        reward: TransitionReward | None,
        ranks: Ranks,
        *,
        horizon: int | None,
        shared_noise: bool,
        state_frac: float,
        walks: int,
    ) -> None:
        self.backend = simulator
        self.codec = codec
        self.num_groups = num_groups
        self.group_size = group_size
        self.seed = seed
        self.gamma = gamma
        self.reward = reward
        self.ranks = ranks
        self.horizon = horizon
        self.shared_noise = shared_noise
        self.state_frac = state_frac
        self.walks = walks

    def _visit(
        self,
        policy: Policy,
        update: int,
        *,
        successors: bool = False,
        actor: Callable[[Trail], Walks] | None = None,
    ) -> Visits:
        """Walk until enough states were visited, and draw `num_groups` of them."""
        return visit(
            self.backend,
            self.codec,
            policy,
            Draw(self.num_groups, successors=successors),
            seed=self.seed,
            update=update,
            walks=self.walks,
            at_least=math.ceil(self.num_groups / self.state_frac),
            actor=actor,
            ranks=self.ranks,
        )

    def _noise(self, policy: Policy, update: int, address: Ints) -> AheadNoise:
        """Return the noise of the members that begin at states of these addresses, [V]."""
        numbers = (address + self.ranks.rank * RANK).tolist()
        generators = [rng(self.seed, Purpose.LOOKAHEAD, update, number) for number in numbers]
        width = policy.family.noise_width
        return AheadNoise(generators, self.group_size, width, self.shared_noise)

    def _ahead(
        self,
        policy: Policy,
        states: NDArray,
        obs: NDArray,
        noise: AheadNoise,
        cost: Cost,
        first: NDArray | None = None,
        members: Ints | None = None,
    ) -> tuple[list[Round], Outcome]:
        """Let members go on from V states [V, ...], and count the cost.

        There are `group_size` members for each state; where `members` is given, [M], these of them
        go on, and `first` is theirs, [M, ...].
        """
        if members is None:
            members = np.arange(len(states) * self.group_size)
        state = members // self.group_size
        rounds, outcome = look_ahead(
            self.backend,
            self.codec,
            policy,
            states[state],
            obs[state],
            Some(noise, members),
            first=first,
            horizon=self.horizon,
            reward=self.reward,
        )
        cost.add(outcome)
        return rounds, outcome

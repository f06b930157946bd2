"""Continuations from saved states: many members step together, each from a state of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import Codec, Simulator
from grpo_cli.groups.visits import Visits
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise
from grpo_cli.rollout import Floats, Ints
from grpo_cli.transitions import TransitionReward
from grpo_cli.walk import Outcome, Round, walk


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

    def facts(self, visits: Visits) -> dict[str, Any]:
        """Return the rollout's facts about what was simulated, walks included."""
        return {
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


def discounted(rounds: list[Round], gamma: float, members: int) -> Floats:
    """Sum each member's discounted rewards, [M]."""
    value = np.zeros(members)
    for member, step, _, _, _, reward in rounds:  # in a round each member steps once
        value[member] += gamma**step * reward
    return value

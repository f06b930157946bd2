"""Group mode `branches`: several continuations from one visited state, compared with each other."""

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.envs import Codec, Simulator
from grpo_cli.errors import ConfigError
from grpo_cli.groups.ahead import Cost, LookAhead, discounted
from grpo_cli.groups.packing import finite
from grpo_cli.groups.share import shared
from grpo_cli.groups.visits import Visits
from grpo_cli.policies import Policy
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Floats, Ints, Rollout, tensors
from grpo_cli.transitions import TransitionReward
from grpo_cli.walk import Outcome, Round

__all__ = ["branches"]


class branches(LookAhead):  # noqa: N801 - a group mode is called by its config name
    """Branch off from visited states: `episodes` that start where a walk of the policy has been.

    Sources: Schulman et al. 2015 (TRPO, arXiv:1502.05477), 5.2, "vine"; Kazemnejad et al. 2024
    (VinePPO, arXiv:2410.01679) is learn=walk.

    Args:
        simulator: steps the environment, and goes back to states.
        codec: turns flat actions into the environment's.
        num_groups: visited states per update.
        group_size: continuations from each, G.
        seed: the run's seed.
        gamma: discount within the value of a state.
        reward: of a transition; None: the environment's own.
        ranks: who draws further groups, from walks of their own.
        horizon: steps of a continuation; None: to the episode's end. What a step of the walk is
            worth is counted over as many, itself included.
        shared_noise: after their first actions, continuations of a state get the same action noise.
        learn: from every step of the `branches`, their group's members | from the `walk`: its step
            is a member of its own, worth its reward and the mean return of the branches from the
            next state, beside the branches from the state itself, which weigh nothing.
        state_frac: share of the visited states that become groups, at most.
        walks: episodes played side by side to find states.

    Raises:
        ConfigError: learn=walk with another reward than the environment's.
    """

    def __init__(
        self,
        simulator: Simulator,
        codec: Codec,
        num_groups: int,
        group_size: int,
        seed: int,
        gamma: float = 1.0,
        reward: TransitionReward | None = None,
        ranks: Ranks = ALONE,
        *,
        horizon: int | None = None,
        shared_noise: bool = False,
        learn: str = "branches",
        state_frac: float = 1.0,
        walks: int = 2,
    ) -> None:
        if learn == "walk" and reward is not None:
            raise ConfigError(
                "group.learn=walk knows only the environment's reward of the walk's own steps",
                "set group.learn=branches, or group=candidates",
            )
        super().__init__(
            simulator, codec, num_groups, group_size, seed, gamma, reward, ranks,
            horizon=horizon, shared_noise=shared_noise, state_frac=state_frac, walks=walks,
        )  # fmt: skip
        self.learn = learn

    def sample(self, policy: Policy, update: int) -> Rollout:
        """Walk, and branch off on the way.

        Args:
            policy: who acts.
            update: number of the policy update, part of every random number's address.

        Raises:
            EnvError: the environment raised.
            NonFinite: a reward or an observation is nan or inf.
        """
        cost = Cost(self.backend)
        visits = self._visit(policy, update, successors=self.learn == "walk")
        if self.learn == "walk":
            return self._walks(visits, policy, update, cost)
        return self._branches(visits, policy, update, cost)

    def _continue(
        self, visits: Visits, rows: Ints, policy: Policy, update: int, cost: Cost
    ) -> tuple[list[Round], Outcome]:
        """Play G continuations from each of the chosen states."""
        noise = self._noise(policy, update, visits.address[rows])
        return self._ahead(policy, visits.saved(rows), visits.obs[rows], noise, cost)

    def _branches(self, visits: Visits, policy: Policy, update: int, cost: Cost) -> Rollout:
        """Make every continuation a member."""
        rows = visits.drawn
        rounds, outcome = self._continue(visits, rows, policy, update, cost)
        member, step, obs, action, logprob, reward = _by_member(rounds)
        state = np.repeat(rows, self.group_size)
        rollout = Rollout(
            obs=tensors(obs),
            action=torch.from_numpy(action),
            logprob=logprob,
            reward=reward.astype(np.float64),
            member=member,
            step=step,
            weight=np.ones(len(member)),
            group=np.repeat(np.arange(len(rows)), self.group_size),
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            **cost.facts(visits, state),
        )
        return shared(finite(rollout), self.ranks, self.ranks.rank * self.num_groups)

    def _walks(self, visits: Visits, policy: Policy, update: int, cost: Cost) -> Rollout:
        """Make every drawn step of a walk a member, beside the branches from its state."""
        rows, size = visits.drawn, self.group_size
        states = np.union1d(rows, rows[~visits.last[rows]] + 1)
        rounds, _ = self._continue(visits, states, policy, update, cost)
        value = discounted(rounds, self.gamma, len(states) * size).reshape(-1, size)
        here = np.searchsorted(states, rows)
        worth = self._worth(visits, states, here, rounds)
        _, step, _, action, logprob, _ = _by_member(rounds)
        first = np.flatnonzero(step == 0).reshape(-1, size)[here]  # the branches' first steps
        state, count = np.repeat(rows, 1 + size), len(rows) * (1 + size)
        reward = np.column_stack([worth, value[here]]).ravel()
        own = (len(rows), 1)
        actions = np.concatenate([visits.action[rows][:, None], action[first]], axis=1)
        rollout = Rollout(
            obs=tensors(visits.obs[state]),
            action=torch.from_numpy(actions.reshape(count, -1)),
            logprob=np.column_stack([visits.logprob[rows], logprob[first]]).ravel(),
            reward=reward,
            member=np.arange(count),
            step=np.zeros(count, dtype=np.int64),
            weight=np.column_stack([np.ones(own), np.zeros((len(rows), size))]).ravel(),
            group=np.repeat(np.arange(len(rows)), 1 + size),
            terminated=np.repeat(visits.terminated[rows], 1 + size),
            truncated=np.zeros(count, dtype=bool),
            **cost.facts(visits, state),
        )
        return shared(finite(rollout), self.ranks, self.ranks.rank * self.num_groups)

    def _worth(self, visits: Visits, states: Ints, here: Ints, rounds: list[Round]) -> Floats:
        """Value the walk's own steps from V states, [V].

        Args:
            visits: where the walk has been.
            states: the visits that were continued from, ascending.
            here: places of the V among them; where the walk goes on, the next state follows.
            rounds: the continuations.
        """
        rows, size = states[here], self.group_size
        # The walk's step is one of the horizon, as the first step of a branch beside it is.
        left = None if self.horizon is None else self.horizon - 1
        later = discounted(rounds, self.gamma, len(states) * size, left).reshape(-1, size)
        goes_on = ~visits.last[rows]
        worth = visits.reward[rows]
        worth[goes_on] += self.gamma * later[here[goes_on] + 1].mean(axis=1)
        return worth


def _by_member(rounds: list[Round]) -> tuple[NDArray, ...]:
    """Put rounds together, ordered by member, then step: member, step, obs, action, ..."""
    columns = [np.concatenate(column) for column in zip(*rounds, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return tuple(column[order] for column in columns)

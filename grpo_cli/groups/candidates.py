"""Group mode `candidates`: several actions tried at one visited state, compared with each other.

A group is a visited state, a member one action that was tried there, and a row: its value is what
the policy got from there on. Nothing is learned from the steps of a look-ahead.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.distributions import Categorical
from grpo_cli.envs import Codec, Simulator
from grpo_cli.errors import ConfigError
from grpo_cli.groups.ahead import Cost, LookAhead, discounted
from grpo_cli.groups.packing import finite
from grpo_cli.groups.share import shared
from grpo_cli.groups.visits import Trail, Visits
from grpo_cli.observations import MASK
from grpo_cli.policies import Acts, Policy
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Floats, Ints, Rollout, tensors
from grpo_cli.transitions import TransitionReward

__all__ = ["candidates"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tried:
    """K actions at each of V states, packed, V * K entries; what a mask forbids was not tried."""

    action: NDArray  # [V * K, A], flat
    logprob: NDArray[np.float32]  # [V * K], nats
    value: Floats  # [V * K], -inf where forbidden
    terminated: NDArray[np.bool_]  # [V * K]
    allowed: NDArray[np.bool_]  # [V * K]

    def at(self, rows: Ints, size: int) -> "Tried":
        """Return the candidates of the chosen states."""
        return self.entries((rows[:, None] * size + np.arange(size)).ravel())

    def entries(self, places: Ints) -> "Tried":
        """Return the chosen candidates."""
        return Tried(**{name: column[places] for name, column in vars(self).items()})


class candidates(LookAhead):  # noqa: N801 - a group mode is called by its config name
    """Try actions at visited states.

    Sources: the documents "sb3-contrib GRPO" (several samples per time step) and "sb3-grpo" (all
    actions of a state), with true next states; Schulman et al. 2015 (TRPO, arXiv:1502.05477), 5.2,
    the vine procedure with common random numbers, is horizon=None.

    Args:
        simulator: steps the environment, and goes back to states.
        codec: turns flat actions into the environment's.
        num_groups: visited states per update.
        group_size: actions tried at each, K; with actions=all their number.
        seed: the run's seed.
        gamma: discount within a value.
        reward: of a transition; None: the environment's own.
        ranks: who draws further groups, from walks of their own.
        actions: `drawn` from the policy | `all` of a discrete space; of these a group has fewer
            where the environment's mask forbids some.
        horizon: steps of a look-ahead, the tried action included; None: to the episode's end.
        shared_noise: after the tried actions, those of a state get the same action noise; an action
            that is drawn twice is then simulated once.
        commit: the walk goes on with the action it drew (`sampled`, the first candidate) or with
            the candidate of the largest value (`best`: then every visited state is tried out).
        weighting: an action of `all` counts by the policy's probability (`policy`) or like any
            other (`uniform`).
        state_frac: share of the visited states that become groups, at most.
        walks: episodes played side by side to find states.

    Raises:
        ConfigError: all actions of a space that is not discrete, or of another number.
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
        actions: str = "drawn",
        horizon: int | None = 20,
        shared_noise: bool = True,
        commit: str = "sampled",
        weighting: str = "policy",
        state_frac: float = 1.0,
        walks: int = 2,
    ) -> None:
        family = codec.family
        if actions == "all" and not isinstance(family, Categorical):
            raise ConfigError(
                "group.actions=all needs a discrete action space", "set group.actions=drawn"
            )
        if actions == "all" and group_size != family.num_outputs:
            raise ConfigError(
                f"group.actions=all tries {family.num_outputs} actions, and "
                f"group_size={group_size}",
                f"set group_size={family.num_outputs}",
            )
        super().__init__(
            simulator, codec, num_groups, group_size, seed, gamma, reward, ranks,
            horizon=horizon, shared_noise=shared_noise, state_frac=state_frac, walks=walks,
        )  # fmt: skip
        self.actions = actions
        self.commit = commit
        self.weighting = weighting
        self._sampled = False

    def sample(self, policy: Policy, update: int) -> Rollout:
        """Walk, and try actions at states on the way.

        Args:
            policy: who acts.
            update: number of the policy update, part of every random number's address.

        Raises:
            EnvError: the environment raised.
            NonFinite: a reward or an observation is nan or inf.
        """
        cost = Cost(self.backend)
        tried: list[Tried] = []

        def best(trail: Trail) -> _Best:
            return _Best(
                trail, self.backend, lambda *at: self._try(policy, update, cost, *at), tried
            )

        visits = self._visit(policy, update, actor=best if self.commit == "best" else None)
        rows = visits.drawn
        if tried:
            chosen = _joined(tried).at(visits.order[rows], self.group_size)
        else:
            own = visits.action[rows], visits.logprob[rows]
            states = visits.saved(rows), visits.obs[rows], visits.address[rows]
            chosen = self._try(policy, update, cost, *states, own)
        self._warn_if_equal(chosen)
        return self._rollout(visits, chosen, cost)

    def _try(
        self,
        policy: Policy,
        update: int,
        cost: Cost,
        states: NDArray,
        obs: NDArray,
        address: Ints,
        own: tuple[NDArray, NDArray] | None = None,
    ) -> Tried:
        """Try K actions at each of V states; `own`, where drawn, is the first of them."""
        size, family = self.group_size, policy.family
        noise = self._noise(policy, update, address)
        params = np.repeat(policy.params(obs), size, axis=0)
        if self.actions == "all":
            action = np.tile(np.arange(size), len(obs))[:, None]
            said = family.logprob(torch.from_numpy(params), torch.from_numpy(action))
            logprob = said.numpy()
        else:
            action, logprob = family.sample(params, noise.first)
            if own is not None:
                action[::size], logprob[::size] = own
        allowed = self._allowed(policy, obs)
        kept = np.flatnonzero(allowed)
        if self.shared_noise:  # the same action in the same state goes on the same
            members, same = _distinct(np.column_stack([kept // size, action[kept]]))
        else:
            members = same = np.arange(len(kept))
        members = kept[members]
        first = self.codec.decode(action[members])
        rounds, outcome = self._ahead(policy, states, obs, noise, cost, first, members)
        value, terminated = np.full(len(action), -np.inf), np.zeros(len(action), dtype=bool)
        value[kept] = discounted(rounds, self.gamma, len(members))[same]
        terminated[kept] = outcome.terminated[same]
        return Tried(action, logprob, value, terminated, allowed)

    def _allowed(self, policy: Policy, obs: NDArray) -> NDArray[np.bool_]:
        """Say which of K actions may be tried at each of V states, [V * K]."""
        if self.actions == "all" and policy.reading.masked:
            return (obs[MASK] != 0).ravel()
        return np.ones(len(obs) * self.group_size, dtype=bool)  # forbidden ones are never drawn

    def _warn_if_equal(self, tried: Tried) -> None:
        """Say at first when nothing can be learned: a tiled reward, or too short a look-ahead."""
        first, self._sampled = not self._sampled, True
        by_state = tried.value.reshape(-1, self.group_size)
        least = np.where(tried.allowed, tried.value, np.inf).reshape(by_state.shape).min(axis=1)
        if not first or (by_state.max(axis=1) != least).any():
            return
        ahead = "up to the end of the episode"
        if self.horizon is not None:
            ahead = f"within group.horizon={self.horizon}: raise it, or reward what changes sooner"
        log.warning(
            "every action is worth the same at each of %d states: the reward does not depend on "
            "the action %s",
            len(by_state),
            ahead,
        )

    @part("pack")
    def _rollout(self, visits: Visits, tried: Tried, cost: Cost) -> Rollout:
        """Make every candidate a member of one row."""
        kept = np.flatnonzero(tried.allowed)
        group, count, tried = kept // self.group_size, len(kept), tried.entries(kept)
        state = visits.drawn[group]
        by_policy = self.actions == "all" and self.weighting == "policy"
        rollout = Rollout(
            obs=tensors(visits.obs[state]),
            action=torch.from_numpy(tried.action),
            logprob=tried.logprob,
            reward=tried.value,
            member=np.arange(count),
            step=np.zeros(count, dtype=np.int64),
            weight=np.exp(tried.logprob.astype(np.float64)) if by_policy else np.ones(count),
            group=group,
            terminated=tried.terminated,
            truncated=np.zeros(count, dtype=bool),  # an action is not cut off by a time limit
            **cost.facts(visits, state),
        )
        return shared(finite(rollout), self.ranks, self.ranks.rank * self.num_groups)


class _Best:
    """Who walks on from the best candidate of every state.

    Args:
        trail: the walks.
        simulator: what they are walked in; it is left as it was found.
        attempt: `f(states, obs, address) -> Tried`.
        tried: receives what was tried, in the order in which states are visited.
    """

    def __init__(
        self,
        trail: Trail,
        simulator: Simulator,
        attempt: Callable[[NDArray, NDArray, Ints], Tried],
        tried: list[Tried],
    ) -> None:
        self._trail = trail
        self._simulator = simulator
        self._attempt = attempt
        self._tried = tried

    def acting(self) -> Acts:
        """Look ahead from where the walks are, at every step; draws nothing."""
        return lambda obs, noise, member, greedy=None: self._best(obs)

    def _best(self, obs: NDArray) -> tuple[NDArray, NDArray[np.float32]]:
        ids, states = self._trail.living, self._simulator.save(self._trail.living)
        tried = self._attempt(states, obs, self._trail.address)
        self._simulator.restore(ids, states)
        self._tried.append(tried)
        best = tried.value.reshape(len(obs), -1).argmax(axis=1)
        place = best + np.arange(len(obs)) * (len(tried.value) // len(obs))
        return tried.action[place], tried.logprob[place]


def _distinct(rows: NDArray) -> tuple[Ints, Ints]:
    """Return places of rows that differ, ascending, and to which of them each row is equal."""
    _, place, same = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(place)
    return place[order], np.argsort(order)[same]


def _joined(parts: list[Tried]) -> Tried:
    return Tried(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Tried)}
    )

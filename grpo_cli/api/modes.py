"""What a model trains by: actions tried at visited states, or whole episodes."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

from gymnasium.spaces import Discrete

from grpo_cli import groups
from grpo_cli.advantages import peer, score
from grpo_cli.api.given import Opened, as_function_of_three
from grpo_cli.api.judged import Judged
from grpo_cli.api.keywords import Keywords
from grpo_cli.envs import (
    Backend,
    EnvSource,
    Restarts,
    Sync,
    check_tensors,
    make_backend,
    make_simulator,
)
from grpo_cli.errors import GrpoError
from grpo_cli.policies import Policy
from grpo_cli.rewards import none, tanh
from grpo_cli.rollout import Rollout, Scored
from grpo_cli.transitions import TransitionReward

log = logging.getLogger(__name__)

# Steps of a look-ahead, the tried action included; as in conf/preset/sb3_contrib and sb3_grpo.
HORIZON = {"drawn": 20, "all": 2}

OUTCOME = {"value": "return", "key": "group", "baseline": "mean", "fallback": ()}
ADVANTAGE: dict[str, dict[str, Any]] = {
    "episodes": {"scale": "batch"},
    "drawn": {**OUTCOME, "scale": "batch"},
    "all": {**OUTCOME, "scale": "group", "eps": 1e-10, "ddof": 1},
}


class Episodes:
    """Groups of whole episodes from one start, about `n_steps` rows for each environment.

    Args:
        words: settled keywords.
        given: steps the members, by the very environments that were given.
        num_groups: of the first update; later ones know how long episodes are.
        reward: the person's own, of a transition.
    """

    def __init__(
        self, words: Keywords, given: Opened, num_groups: int, reward: TransitionReward | None
    ) -> None:
        source, count, _ = given
        self.group_size = words.samples_per_time_step
        self.num_groups = num_groups
        self._rows = words.n_steps * (count or 1)
        slots: int | None = count or self.group_size
        if reward is not None:
            self.backend: Backend = Judged(Sync(source.make, slots), reward)
        elif count is not None:
            self.backend = Sync(source.make, count)
        else:
            self.backend, _ = make_backend("auto", source, self.group_size)
            if not isinstance(self.backend, Restarts):
                slots = None
        self._mode = groups.episodes(
            self.backend, source.codec, 1, self.group_size, words.seed, slots=slots
        )

    def sample(self, policy: Policy, update: int) -> Rollout:
        """Sample the groups of one update."""
        self._mode.num_groups = self.num_groups
        rollout = self._mode.sample(policy, update)
        if isinstance(self.backend, Judged):
            paid = replace(rollout.episodes, ret=self.backend.env_return)
            rollout = replace(rollout, episodes=paid)
        rows_a_group = len(rollout.reward) / self.num_groups
        self.num_groups = max(1, round(self._rows / rows_a_group))
        return rollout


class Candidates(groups.candidates):
    """Actions tried at `n_steps` visited states for each environment.

    Args:
        words: settled keywords.
        kind: which actions, `drawn` or `all`.
        given: copies of its environments are stepped: they go back to states, and many at a time.
        reward: the person's own, of a transition.

    Raises:
        ConfigError: the environment cannot go back to a state.
        EnvError: it can neither be copied nor made again.
    """

    def __init__(
        self, words: Keywords, kind: str, given: Opened, reward: TransitionReward | None
    ) -> None:
        codec, (visited, size) = given.source.codec, sizes(words, given)
        simulator, _ = make_simulator(given.fresh, visited * size)
        super().__init__(
            simulator, codec, visited, size, words.seed, words.gamma, reward,
            actions=kind, horizon=HORIZON[kind],
        )  # fmt: skip


def sizes(words: Keywords, given: Opened) -> tuple[int, int]:
    """Count the states that an update visits, and the actions tried at each."""
    size = words.samples_per_time_step or given.source.codec.family.num_outputs
    return words.n_steps * (given.num_envs or 1), size


def choose(
    words: Keywords, given: Opened, num_groups: int
) -> tuple[Keywords, Episodes | Candidates, Callable[[Rollout], Scored]]:
    """Choose what is compared with what.

    Args:
        words: as the person said them.
        given: the environment.
        num_groups: of the first update, with whole episodes.

    Returns:
        The settled keywords, what samples groups, and what gives their rows advantages.

    Raises:
        ConfigError: group=candidates was asked for, and the environment cannot go back to a state;
            an update could take too much memory; or `reward_function` cannot be asked.
    """
    discrete = isinstance(given.source.action_space, Discrete)
    kind = words.kind(discrete)
    settled, why = words.settled(kind), ""
    if kind == "drawn" and words.kind(discrete=True) == "all":
        why = f"{settled.samples_per_time_step} actions are drawn at each state: all of a "
        why += f"{type(given.source.action_space).__name__} cannot be tried"
    reward = transition_reward(words, given.source)
    mode: Episodes | Candidates | None = None
    if kind != "episodes":
        rows = prod(sizes(settled, given)) * min(HORIZON[kind], given.source.max_steps)
        groups.check_memory(given.source, rows, "lower n_steps or samples_per_time_step")
        try:
            mode = Candidates(settled, kind, given, reward)
        except GrpoError as error:
            if words.group == "candidates":
                raise
            kind, why = "episodes", f"whole episodes are compared, not actions: {error.what}"
            settled = words.settled(kind)
    if why:
        log.warning(why)
    return settled, mode or Episodes(settled, given, num_groups, reward), scorer(settled, kind)


def scorer(words: Keywords, kind: str) -> Callable[[Rollout], Scored]:
    """Return what gives rows their advantages."""
    settings = dict(ADVANTAGE[kind])
    if not words.normalize_advantage:
        settings["scale"] = "none"
    scaling = words.reward_scaling_fn or (tanh if kind == "drawn" else none)
    advantage = partial(peer, **settings)
    return partial(
        score, reward_scaling=scaling, scope="batch", advantage=advantage, gamma=words.gamma
    )


def transition_reward(words: Keywords, source: EnvSource) -> TransitionReward | None:
    """Return the person's reward function, if there is one.

    Raises:
        ConfigError: it takes neither two nor three arguments, or actions are no tensors.
    """
    if words.reward_function is None:
        return None
    check_tensors(source.action_space)
    return TransitionReward(as_function_of_three(words.reward_function))

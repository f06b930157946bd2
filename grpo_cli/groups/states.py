"""Group mode `states`: G single actions for each state, compared with each other.

Nothing goes on after an action: an attempt is one row. On the command line the states are the
starts of an environment whose episodes have one step; in Python they are rows of a person's own
data (`grpo_cli.GRPOTrainer`).
"""

import numpy as np
from torch import Tensor

from grpo_cli.envs import Backend, Codec
from grpo_cli.errors import ConfigError
from grpo_cli.groups.episodes import episodes
from grpo_cli.groups.memory import Demand
from grpo_cli.groups.packing import Rounds, pack
from grpo_cli.rollout import Floats, Ints, Rollout
from grpo_cli.walk import Outcome

__all__ = ["states"]


class states(episodes):  # noqa: N801 - a group mode is called by its config name
    """Try G actions at each of several states: `episodes` of one step.

    Source: CarlosArguilar/GRPO ("model-agnostic GRPO"), `ExperienceCollector`.

    Args:
        backend: an environment for each action.
        codec: turns flat actions into the environment's.
        num_groups: states per update.
        group_size: actions per state, G.
        seed: the run's seed.
        greedy: one more action for each state, the most probable one, to compare with.
    """

    def __init__(
        self,
        backend: Backend,
        codec: Codec,
        num_groups: int,
        group_size: int,
        seed: int,
        greedy: bool = False,
    ) -> None:
        super().__init__(backend, codec, num_groups, group_size, seed, greedy)

    @staticmethod
    def demand(num_groups: int, group_size: int, max_steps: int, **_: object) -> Demand:
        """Say what the mode asks of a backend and of memory.

        Raises:
            ConfigError: an episode may go on after its first step.
        """
        if max_steps > 1:
            raise ConfigError(
                f"group=states compares single actions, episodes have up to {max_steps:,} steps",
                "set env.max_steps=1 to end them after one, or group=episodes",
            )
        return episodes.demand(num_groups, group_size, max_steps)


def one_step(obs: Tensor, action: Tensor, logprob: Tensor, reward: Floats, group: Ints) -> Rollout:
    """Build the rollout of M attempts that are one action each.

    Args:
        obs: [M, *O].
        action: [M, A].
        logprob: nats, [M].
        reward: [M].
        group: of each attempt, [M].

    Raises:
        NonFinite: a reward or an observation is nan or inf.
    """
    count = len(reward)
    member, ended = np.arange(count), np.ones(count, dtype=bool)
    once = np.ones(count, dtype=np.int64)
    row = (member, once - 1, obs.numpy(), action.numpy(), logprob.numpy(), reward)
    outcome = Outcome(reward, once, ended, ~ended, None, count, 0.0, 0.0)
    rounds = Rounds()
    rounds.append(row)
    return pack(rounds, group, once - 1, outcome)


def win_rates(wins: Floats, group: Ints) -> Floats:
    """Turn pairwise comparisons into one number for each attempt.

    Args:
        wins: [M, M], 1 where the row beat the column, 0 where it lost, .5 for a draw, nan where
            they were not compared.
        group: of each attempt, [M]; only peers of the same group count.

    Returns:
        Share of its comparisons that each attempt won, [M]; .5 for one that was compared to none.
    """
    peers = (group[:, None] == group[None, :]) & ~np.eye(len(group), dtype=bool) & ~np.isnan(wins)
    total = np.where(peers, wins, 0.0).sum(axis=1)
    count = peers.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)

"""A group mode of which each rank samples its share of the groups, never a part of one."""

from dataclasses import replace
from typing import Any

import numpy as np

from grpo_cli.policies import Policy
from grpo_cli.ranks import Ranks
from grpo_cli.rollout import Rollout


class Share:
    """Sample this rank's share of an update's groups.

    Starts and noise are drawn by the number of a group, so all ranks together sample what one
    process would.

    Args:
        mode: `sample(policy, update, groups)`.
        num_groups: groups per update, of all ranks together.
        ranks: who samples the others.
    """

    def __init__(self, mode: Any, num_groups: int, ranks: Ranks) -> None:  # noqa: ANN401 - a group mode
        self.mode = mode
        self.num_groups = num_groups
        self.ranks = ranks

    def sample(self, policy: Policy, update: int) -> Rollout:
        """Sample whole groups; see the mode."""
        groups = self.ranks.share(self.num_groups)
        return shared(self.mode.sample(policy, update, groups), self.ranks)


def shared(rollout: Rollout, ranks: Ranks, first: int = 0) -> Rollout:
    """Say of a rollout that other ranks sampled further groups.

    Args:
        rollout: groups under any numbers; they get numbers from 0, and keep these beside them.
        ranks: who.
        first: added to the numbers that are kept.
    """
    if ranks.size == 1:
        return rollout
    _, group = np.unique(rollout.group, return_inverse=True)
    return replace(rollout, group=group, number=rollout.group + first, ranks=ranks)

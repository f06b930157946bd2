"""Discounted sums of rewards over packed rows; no environment, no policy.

There is no bootstrapping: what follows a member's last row counts as nothing.
"""

import numpy as np

from grpo_cli.clock import part
from grpo_cli.rollout import Floats, Ints


@part("returns")
def returns_to_go(reward_N: Floats, member_N: Ints, gamma: float) -> Floats:
    """Sum each row's own and later rewards of its member, discounted.

    Uses recursive doubling: after k passes a row holds the sum over its next 2**k rows, so a
    thousand steps take ten passes over the array instead of a thousand small ones. Members with
    the same rewards and the same length get bit-equal results.

    Args:
        reward_N: rewards, [N].
        member_N: member of each row, [N]; rows of a member are contiguous and in time order.
        gamma: discount per step, in [0, 1].

    Returns:
        G_t = r_t + gamma * G_{t+1}, [N], in the unit of the reward.

    >>> returns_to_go(np.ones(5), np.array([0, 0, 0, 1, 1]), 0.5).tolist()
    [1.75, 1.5, 1.0, 1.5, 1.0]
    """
    total_N = np.array(reward_N, dtype=np.float64)
    longest = int(np.bincount(member_N).max(initial=0))
    span = 1
    while span < longest:
        same_member = member_N[span:] == member_N[:-span]
        total_N[:-span] += gamma**span * np.where(same_member, total_N[span:], 0.0)
        span *= 2
    return total_N

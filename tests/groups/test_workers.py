"""What is sampled does not depend on how many processes sample it."""

import numpy as np
import pytest
from builders import cartpole, make_cartpole_policy

from grpo_cli import rewards
from grpo_cli.advantages.score import scale_rewards
from grpo_cli.envs.workers import Workers
from grpo_cli.groups import episodes


@pytest.mark.parametrize("scope", ["batch", "group"])
def test_scaled_rewards_are_the_same_with_one_and_four_workers(scope):
    """The sb3-contrib document warns of inconsistencies; a population is a group or the batch."""
    source = cartpole()
    policy = make_cartpole_policy(source)
    scaled = []
    for workers in (1, 4):
        backend = Workers(source.make, 6, workers)
        rollout = episodes(backend, source.codec, 2, 3, 0).sample(policy, 0)
        backend.close()
        rollout.reward[:] *= rollout.step  # CartPole's own are all 1
        scaled.append(scale_rewards(rollout, rewards.tanh, scope))
    assert np.ptp(scaled[0]) > 0
    assert scaled[0].tolist() == scaled[1].tolist()

"""Rewards of transitions: shapes in, one number for each out."""

import numpy as np
import torch

from grpo_cli.transitions import TransitionReward


def test_a_column_and_a_row_of_rewards_are_the_same():
    state, action = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([0, 1])
    column = TransitionReward(lambda s, a, n: (s + n).sum(1, keepdim=True) + a)
    row = TransitionReward(lambda s, a, n: (s + n).sum(1) + a[:, 0])
    # 1 + 2 + 1 + 2 + 0, 3 + 4 + 3 + 4 + 1
    assert column(state, action, state).tolist() == [6.0, 15.0]
    assert row(state, action, state).tolist() == [6.0, 15.0]


def test_dtypes_and_gradients():
    seen = {}

    def reward(state, action, next_state):
        seen.update(state=state.dtype, action=action.shape)
        return (state.float() * torch.ones(1, requires_grad=True)).sum(1)

    image = np.full((2, 3), 255, np.uint8)
    assert TransitionReward(reward)(image, np.zeros((2, 4)), image).tolist() == [765.0, 765.0]
    assert seen == {"state": torch.uint8, "action": (2, 4)}

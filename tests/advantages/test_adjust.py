from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import make_rollout
from enumerable import exact_gradient, expected_gradient

from grpo_cli.advantages import peer, peer_stats
from grpo_cli.advantages.adjust import features, linear
from grpo_cli.errors import ConfigError


def by_member(rollout, reward):
    """The counter-example: weights fitted on the other *members*, one's own peers among them."""
    to_go = reward.reshape(-1, 2)[:, ::-1].cumsum(1)[:, ::-1].ravel()
    key = rollout.group_N * 2 + rollout.step
    difference = to_go - peer_stats(to_go, key).mean
    phi = features(rollout)
    gap = np.column_stack([column - peer_stats(column, key).mean for column in phi.T])
    return linear(difference, gap, rollout.member, np.ones(len(to_go), dtype=bool))


def by_group(rollout, reward):
    return peer(rollout, reward, 1.0, fallback=[], adjust="linear", scale="none").advantage


def test_folds_by_group_leave_the_policy_gradient_unbiased():
    assert expected_gradient(by_group) == pytest.approx(exact_gradient(), rel=1e-9)


def test_folds_by_member_bias_it():
    assert abs(expected_gradient(by_member) - exact_gradient()) > 0.01 * abs(exact_gradient())


def linear_world(seed=0, groups=4, size=4, steps=6):
    """Returns-to-go that are a linear function of the state, up to a constant for each step."""
    noise = np.random.default_rng(seed)
    obs = noise.normal(size=(groups * size, steps, 2))
    to_go = 3 * obs[..., 0] - 2 * obs[..., 1] ** 2 + np.arange(steps)[::-1]
    rewards = to_go - np.concatenate([to_go[:, 1:], np.zeros((groups * size, 1))], axis=1)
    group = np.repeat(np.arange(groups), size).tolist()
    return make_rollout(rewards.tolist(), group, obs=torch.from_numpy(obs.reshape(-1, 2)))


def test_what_states_explain_is_taken_out():
    rollout = linear_world()
    plain = peer(rollout, rollout.reward, 1.0, scale="none")
    adjusted = peer(rollout, rollout.reward, 1.0, scale="none", adjust="linear")
    # weights shrink by about PEER_RIDGE, 3 %, and so much of each difference stays
    assert np.abs(adjusted.advantage).max() < 0.05 * np.abs(plain.advantage).max()
    assert adjusted.measured["baseline/explained_variance"] > 0.998
    assert plain.measured["baseline/explained_variance"] < 0.9


def test_the_penalty_is_in_units_of_a_features_sum_of_squares():
    # Group 1 fits group 0's weights: x = 1, -1 and y = 3, 1, so x'x = 2, x'y = 2, and for the
    # intercept 2 and 4. With a penalty of 1: weights 2 / (2 + 2) and 4 / (2 + 2).
    x, y = np.array([[2.0], [1.0], [-1.0]]), np.array([5.0, 3.0, 1.0])
    got = linear(y, x, np.array([0, 1, 1]), np.ones(3, dtype=bool), 1.0)
    assert got[0] == pytest.approx(5 - 2 * 0.5 - 1)


def test_a_state_that_never_varies_does_no_harm():
    rollout = linear_world()
    same = make_rollout(
        rollout.reward.reshape(16, 6).tolist(), rollout.group.tolist(), obs=torch.ones(96, 3)
    )
    plain = peer(same, same.reward, 1.0, scale="none").advantage
    adjusted = peer(same, same.reward, 1.0, scale="none", adjust="linear").advantage
    # only the other groups' mean difference, the intercept, is taken out, and that is 0
    assert adjusted == pytest.approx(plain, abs=1e-9)


def test_one_group_alone_cannot_be_adjusted():
    rollout = make_rollout([[1.0, 2.0], [2.0, 3.0]])
    with pytest.raises(ConfigError, match="only one"):
        peer(rollout, rollout.reward, 1.0, adjust="linear")


def test_it_needs_the_comparison_at_the_same_step():
    rollout = linear_world()
    with pytest.raises(ConfigError, match="same step"):
        peer(
            rollout, rollout.reward, 1.0, value="return", key="group", fallback=[], adjust="linear"
        )


def test_equal_returns_from_unequal_states_are_a_difference():
    # the first group's members earn 3 each at their second step, from states 0 and 2
    obs = torch.tensor([[1.0], [0.0], [1.0], [2.0], [1.0], [0.0], [1.0], [2.0]])
    rollout = make_rollout([[1, 3], [2, 3], [0, 1], [0, 5]], [0, 0, 1, 1], obs=obs)
    got = peer(rollout, rollout.reward, 1.0, fallback=[], scale="none", adjust="linear").advantage
    assert np.abs(got[[1, 3]]).min() > 0.1


@pytest.mark.parametrize("unit", [1.0, 255.0, 1e6])
def test_a_feature_in_large_units_hides_no_other(unit):
    noise = np.random.default_rng(0)
    noisy = linear_world()
    large = unit * noise.normal(size=(96, 1))
    obs = torch.cat([noisy.obs, torch.from_numpy(large)], dim=1)
    rollout = replace(noisy, obs=obs)
    plain = peer(rollout, rollout.reward, 1.0, scale="none").advantage
    adjusted = peer(rollout, rollout.reward, 1.0, scale="none", adjust="linear").advantage
    assert np.abs(adjusted).max() < 0.1 * np.abs(plain).max()


def test_what_differs_by_rounding_alone_stays_out_of_the_fit():
    rollout = linear_world()
    constant = torch.full((96, 40), 0.1, dtype=torch.float64)
    wide = replace(rollout, obs=torch.cat([rollout.obs, constant], dim=1))
    few, many = (
        peer(some, some.reward, 1.0, scale="none", adjust="linear").advantage
        for some in (rollout, wide)
    )
    assert many == pytest.approx(few, rel=1e-9, abs=1e-12)

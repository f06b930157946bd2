"""Values, keys, roles and sums of levels, by hand."""

import numpy as np
import pytest
import torch
from builders import make_rollout

from grpo_cli.advantages import peer
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import BASELINE, LEARN

PLAIN = {"fallback": [], "scale": "none"}
WHOLE = {**PLAIN, "value": "return", "key": "group"}


def advantages(rollout, gamma=1.0, **settings):
    return peer(rollout, rollout.reward, gamma, **{**PLAIN, **settings}).advantage


def states(rollout_rewards, *names, group=None):
    """One letter a step names the state."""
    obs = torch.tensor([[float(ord(letter))] for letter in "".join(names)])
    return make_rollout(rollout_rewards, group, obs=obs)


def test_anchor_states_by_hand():
    # returns-to-go 6 5 3 | 6 2; states a b a | c a
    rollout = states([[1, 2, 3], [4, 2]], "aba", "ca")
    # a: both visits of the first meet the 2 of the second, which meets (6 + 3) / 2; b, c: nobody
    assert advantages(rollout, key="state") == pytest.approx([4, 0, 1, 0, 2 - 4.5])
    # the mean of all three at a is 11 / 3
    expected = [6 - 11 / 3, 0, 3 - 11 / 3, 0, 2 - 11 / 3]
    assert advantages(rollout, key="state", baseline="mean") == pytest.approx(expected)


def test_ones_own_visits_alone_are_no_comparison():
    rollout = states([[1, 2], [4]], "aa", "b")
    for baseline in ("loo", "mean"):
        found = peer(rollout, rollout.reward, 1.0, **PLAIN, key="state", baseline=baseline)
        assert found.advantage.tolist() == [0, 0, 0]
        assert found.measured["baseline/no_peer_frac"] == 1


def test_a_state_met_in_another_group_is_a_fall_back():
    rollout = states([[1], [3], [5], [9]], "a", "b", "a", "c", group=[0, 0, 1, 1])
    assert advantages(rollout, key="state").tolist() == [0, 0, 0, 0]
    got = advantages(rollout, key="state", fallback=["all_groups"])
    assert got.tolist() == [-4, 0, 4, 0]


def test_zero_has_one_sign():
    obs = torch.tensor([[0.0], [-0.0], [-0.04], [1.0]])
    rollout = make_rollout([[1], [3], [8], [0]], obs=obs)
    assert advantages(rollout, key="state").tolist() == [-2, 2, 0, 0]
    assert advantages(rollout, key="bin", bin_size=0.1).tolist() == [1 - 5.5, 3 - 4.5, 8 - 2, 0]


def test_fine_bins_are_states_and_coarse_bins_are_the_group():
    noise = np.random.default_rng(0)
    rewards = noise.normal(size=(6, 5)).tolist()
    obs = torch.from_numpy(noise.integers(0, 3, size=(30, 2)))
    rollout = make_rollout(rewards, [0, 0, 0, 1, 1, 1], obs=obs)
    fine = advantages(rollout, key="bin", bin_size=0.01)
    assert fine == pytest.approx(advantages(rollout, key="state"))
    assert np.abs(fine).max() > 0
    coarse = advantages(rollout, key="bin", bin_size=1e6)
    assert coarse == pytest.approx(advantages(rollout, key="group"))


def test_images_and_integers_can_be_states():
    obs = torch.randint(0, 2, (4, 2, 2, 1), dtype=torch.uint8)
    obs[1] = obs[0]
    obs[2:] = 255
    got = advantages(make_rollout([[1], [3], [8], [0]], obs=obs), key="state")
    assert got.tolist() == [-2, 2, 8, -8]


def test_one_key_for_the_batch():
    rollout = make_rollout([[1, 1], [3], [8]], group=[0, 0, 1])
    # returns-to-go 2 1 | 3 | 8; the others of the first member's rows are 3 and 8
    expected = [2 - 5.5, 1 - 5.5, 3 - 11 / 3, 8 - 2]
    assert advantages(rollout, key="batch") == pytest.approx(expected)
    assert advantages(rollout, key="batch", baseline="mean") == pytest.approx(
        [-1.5, -2.5, -0.5, 4.5]
    )
    # whole members: 2, 3, 8
    got = advantages(rollout, value="return", key="batch")
    assert got == pytest.approx([2 - 5.5, 2 - 5.5, 3 - 5, 8 - 2.5])


def test_the_batch_is_one_large_group():
    noise = np.random.default_rng(1)
    rewards = noise.normal(size=(6, 5)).tolist()
    batch = advantages(make_rollout(rewards, [0, 0, 1, 1, 2, 2]), key="batch")
    assert batch == pytest.approx(advantages(make_rollout(rewards), key="group"))


def test_the_scalar_mean_counts_ones_own_rows():
    rollout = make_rollout([[1, 1], [3]])  # returns-to-go 2 1 | 3, mean 2
    got = advantages(rollout, key="group", baseline="mean")
    assert got == pytest.approx([0, -1, 1])


def test_process_by_hand():
    # rewards 0 2 | 4: mean 2, variance 8/3
    rollout = make_rollout([[0, 2], [4]])
    got = advantages(rollout, 0.5, value="process", key="group", baseline="none", eps=0)
    assert got == pytest.approx(np.array([-2 + 0, 0, 2]) / np.sqrt(8 / 3))


def test_process_says_that_constant_rewards_leave_nothing():
    rollout = make_rollout([[1, 1, 1], [1], [1, 1]])
    settings = {**PLAIN, "value": "process", "key": "group", "baseline": "none"}
    with pytest.warns(UserWarning, match="zero for everyone"):
        found = peer(rollout, rollout.reward, 1.0, **settings)
    assert found.advantage.tolist() == [0] * 6
    assert found.measured["advantage/constant_reward_frac"] == 1


def test_process_with_one_constant_group_says_so_in_the_metrics_alone(recwarn):
    rollout = make_rollout([[0.1, 0.1, 0.1], [0.1], [1, 2], [3]], [0, 0, 1, 1])
    settings = {**PLAIN, "value": "process", "key": "group", "baseline": "none"}
    found = peer(rollout, rollout.reward, 1.0, **settings)
    assert (found.advantage[:4] == 0).all()
    assert found.measured["advantage/constant_reward_frac"] == 0.5
    assert not recwarn.list


def test_the_steps_own_reward():
    rollout = make_rollout([[1, 5], [2], [6, 1]])
    got = advantages(rollout, value="step")
    assert got == pytest.approx([1 - 4, 4, 2 - 3.5, 6 - 1.5, -4])


def test_levels_are_added():
    rollout = make_rollout([[1, 5], [2], [6, 1]])
    level = {"value": "step", "key": "group_step"}
    got = advantages(rollout, value="return", key="group", plus=[{"coef": 0.5, **level}])
    apart = advantages(rollout, value="return", key="group"), advantages(rollout, **level)
    assert got == pytest.approx(apart[0] + 0.5 * apart[1])


def test_a_level_may_have_its_own_discount():
    rollout = make_rollout([[1, 5], [2, 2]])
    level = {"coef": 1.0, "gamma": 0.5}
    got = advantages(rollout, value="return", key="group", plus=[level])
    expected = advantages(rollout, **WHOLE) + advantages(rollout, 0.5, **WHOLE)
    assert got == pytest.approx(expected)


def test_levels_report_how_many_rows_found_nobody():
    rollout = states([[1, 5], [2]], "ab", "a")
    level = {"coef": 1.0, "value": "return_to_go", "key": "state"}
    measured = peer(rollout, rollout.reward, 1.0, **WHOLE, plus=[level]).measured
    assert measured["baseline/plus_no_peer_frac"] == pytest.approx(1 / 3)
    assert measured["baseline/no_peer_frac"] == 0


ROLE = np.array([LEARN, BASELINE, LEARN, LEARN, BASELINE, LEARN], dtype=np.int8)
GREEDY = [[1, 1], [3], [5], [0], [1], [4]]
GROUP = [0, 0, 0, 1, 1, 1]


def test_greedy_by_hand():
    rollout = make_rollout(GREEDY, GROUP, role=ROLE)
    got = advantages(rollout, value="return", key="group", baseline="greedy")
    assert got.tolist() == [-1, -1, 0, 2, -1, 0, 3]


def test_a_group_that_does_as_the_greedy_one_is_dead_and_one_that_differs_is_not():
    rollout = make_rollout([[2], [2], [2], [2], [2], [5]], GROUP, role=ROLE[[1, 0, 0, 0, 0, 1]])
    got = advantages(rollout, value="return", key="group", baseline="greedy", scale="batch")
    assert got[:3].tolist() == [0, 0, 0]
    assert (got[3:5] < 0).all()


@pytest.mark.parametrize("scale", ["none", "group", "batch", "batch_value", "max_abs", "whiten"])
@pytest.mark.parametrize("key", ["group", "group_step", "batch", "state"])
def test_greedy_members_are_nobody_elses_peers(key, scale):
    with_them = make_rollout(GREEDY, GROUP, role=ROLE)
    without = make_rollout([GREEDY[m] for m in (0, 2, 3, 5)], [0, 0, 1, 1])
    settings = {"key": key, "scale": scale}
    got = advantages(with_them, **settings)
    assert got[[2, 5]].tolist() == [0, 0]
    assert got[[0, 1, 3, 4, 6]] == pytest.approx(advantages(without, **settings))


def test_greedy_without_a_greedy_member_says_so():
    with pytest.raises(ConfigError, match="greedy member"):
        advantages(make_rollout(GREEDY, GROUP), value="return", key="group", baseline="greedy")

import numpy as np
import pytest
from builders import make_rollout

from grpo_cli.advantages import peer
from grpo_cli.errors import ConfigError

WHOLE = {"value": "return", "key": "group", "fallback": [], "scale": "none"}


def advantages(rollout, gamma=1.0, **settings):
    return peer(rollout, rollout.reward, gamma, **{**WHOLE, **settings}).advantage


def random_rollout(seed=0, groups=3, size=4, steps=None):
    noise = np.random.default_rng(seed)
    lengths = noise.integers(1, 9, groups * size) if steps is None else [steps] * groups * size
    rewards = [noise.normal(size=length).tolist() for length in lengths]
    return make_rollout(rewards, group=np.repeat(np.arange(groups), size).tolist())


def test_length_weighted_by_hand():
    rollout = make_rollout([[1, 1, 1], [5]])  # (3 * 3 + 1 * 5) / 4 = 3.5
    got = advantages(rollout, baseline="length_weighted")
    assert got == pytest.approx([-0.5, -0.5, -0.5, 1.5])


def test_equal_lengths_weigh_equally():
    rollout = random_rollout(steps=5)
    weighted = advantages(rollout, baseline="length_weighted")
    assert weighted == pytest.approx(advantages(rollout, baseline="mean"))


def test_score_norm_by_hand():
    rollout = make_rollout([[1, 1], [3, 5]])  # returns-to-go 2 1 | 8 5
    norm = np.array([1.0, 1.0, 3.0, 0.0])  # so far 1 2 | 3 3
    settings = {"value": "return_to_go", "key": "group_step", "baseline": "score_norm"}
    got = advantages(rollout, **settings, score_norm=norm)
    first, second = (2 * 1 + 8 * 3) / 4, (1 * 2 + 5 * 3) / 5
    assert got == pytest.approx([2 - first, 1 - second, 8 - first, 5 - second])


def test_score_norm_of_whole_members_is_that_of_all_their_steps():
    rollout = make_rollout([[1, 1], [8]])
    got = advantages(rollout, baseline="score_norm", score_norm=np.array([1.0, 1.0, 6.0]))
    assert got == pytest.approx([2 - 6.5, 2 - 6.5, 1.5])  # (2 * 2 + 8 * 6) / 8


def test_equal_score_norms_weigh_equally():
    rollout = random_rollout()
    settings = {"value": "return_to_go", "key": "group_step"}
    norm = np.full(len(rollout.step), 0.7)
    weighted = advantages(rollout, **settings, baseline="score_norm", score_norm=norm)
    assert weighted == pytest.approx(advantages(rollout, **settings, baseline="mean"))


def test_a_policy_without_score_still_gets_finite_numbers():
    rollout = random_rollout()
    norm = np.zeros(len(rollout.step))
    assert np.isfinite(advantages(rollout, baseline="score_norm", score_norm=norm)).all()


def test_score_norms_that_are_missing_are_asked_for():
    with pytest.raises(ConfigError, match="score norms"):
        advantages(random_rollout(), baseline="score_norm")


def test_shrunk_by_hand():
    rollout = make_rollout([[0], [2], [4], [8], [9], [9]], [0, 0, 1, 1, 2, 2])
    # means 1, 6, 9; sampling variances 2/2, 8/2, 0
    # group 0: v = (4 + 0) / 2, s = var(6, 9) = 4.5, l = 2/3 * 2 / 6.5, the rest's mean 7.5
    share = 2 / 3 * 2 / 6.5
    got = advantages(rollout, baseline="shrunk")
    assert got[0] == pytest.approx(0 - (1 - share) * 2 - share * 7.5)
    assert got[1] == pytest.approx(2 - (1 - share) * 0 - share * 7.5)


def test_without_noise_in_other_groups_nothing_is_shrunk():
    rollout = make_rollout([[0], [2], [5], [5], [9], [9]], [0, 0, 1, 1, 2, 2])
    shrunk, loo = (advantages(rollout, baseline=name) for name in ("shrunk", "loo"))
    assert shrunk[:2] == pytest.approx(loo[:2])


def test_a_shrunk_baseline_compares_groups_that_do_not_vary_with_the_others():
    rollout = make_rollout([[5], [5], [0], [8]], [0, 0, 1, 1])
    # n = 2: l = 1/2 * 8 / 8, b = 5 / 2 + 4 / 2
    assert advantages(rollout, baseline="shrunk")[:2] == pytest.approx([0.5, 0.5])


def test_a_group_of_which_nobody_is_left_shrinks_nobody():
    rewards = [[0], [2], [4], [8], [9], [9]]
    three = make_rollout(rewards, [0, 0, 1, 1, 2, 2])
    gap = make_rollout(rewards, [0, 0, 1, 1, 3, 3])
    expected = advantages(three, baseline="shrunk")
    assert advantages(gap, baseline="shrunk") == pytest.approx(expected)


def test_shrinking_needs_another_group():
    with pytest.raises(ConfigError, match="only one"):
        advantages(random_rollout(groups=1), baseline="shrunk")


def test_a_mean_is_judged_by_how_well_the_others_predict():
    rollout = random_rollout()
    told = [
        peer(rollout, rollout.reward, 1.0, **{**WHOLE, "baseline": name}).measured
        for name in ("mean", "loo")
    ]
    assert told[0] == told[1]


def test_whitening_whole_members_of_one_length_is_the_batch_scale():
    rollout = random_rollout(steps=4)
    whitened = advantages(rollout, baseline="mean", scale="whiten")
    assert whitened == pytest.approx(advantages(rollout, baseline="mean", scale="batch"))


def test_whitened_rows_have_mean_0_and_deviation_1():
    rollout = random_rollout()
    got = advantages(rollout, baseline="mean", scale="whiten")
    assert [got.mean(), got.std()] == pytest.approx([0, 1], abs=1e-7)


def test_the_batchs_values_by_hand():
    rollout = make_rollout([[2.0], [4.0], [0.0], [8.0], [3.0], [3.0]], [0, 0, 1, 1, 2, 2])
    got = advantages(rollout, baseline="mean", scale="batch_value", eps=0)
    values = np.array([2.0, 4, 0, 8, 3, 3])  # those of the dead group count, as in TRL
    assert got == pytest.approx(np.array([-1, 1, -4, 4, 0, 0]) / values.std())

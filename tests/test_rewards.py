import numpy as np
import pytest
from builders import make_rollout
from scipy.stats import spearmanr

from grpo_cli import rewards
from grpo_cli.advantages import scale_rewards
from grpo_cli.errors import ConfigError, NonFinite

REWARD = np.array([-4.0, 0.0, 2.0, 2.0])


def test_by_hand():
    assert rewards.none(REWARD).tolist() == REWARD.tolist()
    assert rewards.clip(REWARD).tolist() == [-1, 0, 1, 1]
    assert rewards.clip(REWARD, low=-2, high=1.5).tolist() == [-2, 0, 1.5, 1.5]
    assert rewards.sign(REWARD).tolist() == [-1, 0, 1, 1]
    assert rewards.max_abs(REWARD) == pytest.approx([-1, 0, 0.5, 0.5])
    # mean 0, standard deviation sqrt((16 + 0 + 4 + 4) / 4) = sqrt(6)
    assert rewards.zscore(REWARD) == pytest.approx(REWARD / np.sqrt(6))
    assert rewards.tanh(REWARD) == pytest.approx(np.tanh(REWARD / np.sqrt(6)))
    # ranks 0, 1, 2.5, 2.5 of 0..3, moved to [-1, 1]
    assert rewards.rank(REWARD) == pytest.approx([-1, -1 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize("name", ["none", "clip", "sign", "tanh", "max_abs", "zscore", "rank"])
def test_equal_rewards_stay_equal_and_finite(name):
    scaled = getattr(rewards, name)(np.full(5, 3.0))
    assert np.isfinite(scaled).all()
    assert np.ptp(scaled) == 0


def test_rank_ignores_any_growing_change_of_scale():
    noise = np.random.default_rng(0).normal(size=50)
    assert np.array_equal(rewards.rank(noise), rewards.rank(np.exp(3 * noise)))


def test_running_std_is_the_std_of_all_returns_seen():
    scaling = rewards.running_std(gamma=0.5, limit=100.0)
    first = make_rollout([[1.0, 2.0], [3.0]])
    second = make_rollout([[5.0], [-2.0, 4.0, 1.0]])
    scaling(first.reward, first)
    scaled = scaling(second.reward, second)
    # returns-to-go with gamma .5: 2, 2, 3, then 5, .25, 4.5, 1
    std = np.std([2, 2, 3, 5, 0.25, 4.5, 1])
    assert scaled == pytest.approx(second.reward / std)


def test_running_std_continues_from_its_state():
    one, rollout = rewards.running_std(), make_rollout([[1.0, 2.0, 5.0]])
    one(rollout.reward, rollout)
    two = rewards.running_std()
    two.load(one.state())
    assert np.array_equal(one(rollout.reward, rollout), two(rollout.reward, rollout))


def test_scope_group_scales_each_group_on_its_own():
    rollout = make_rollout([[1.0], [3.0], [10.0], [30.0]], group=[0, 0, 1, 1])
    assert scale_rewards(rollout, rewards.max_abs, "group") == pytest.approx([1 / 3, 1, 1 / 3, 1])
    assert scale_rewards(rollout, rewards.max_abs, "batch") == pytest.approx(
        [1 / 30, 0.1, 1 / 3, 1]
    )


def test_a_scaling_that_cannot_be_learned_from_is_refused():
    rollout = make_rollout([[1.0, 2.0]])
    with pytest.raises(ConfigError, match="shape"):
        scale_rewards(rollout, lambda reward: reward[:1], "batch")
    with pytest.raises(NonFinite, match="nan or inf"):
        scale_rewards(rollout, lambda reward: reward * np.nan, "batch")
    with pytest.raises(ConfigError, match="scope"):
        scale_rewards(rollout, rewards.none, "member")
    with pytest.raises(ConfigError, match="whole rollout"):
        scale_rewards(rollout, rewards.running_std(), "group")


def test_distortion_uses_the_rank_correlation_of_scipy():
    noise = np.random.default_rng(0)
    for mix in (0.2, 0.4, 0.6, 0.8):
        before = noise.integers(5, size=200).astype(float)  # with ties
        after = mix * before + (1 - mix) * noise.normal(size=200) * 4
        said = rewards.distortion(before, after)
        assert (said is not None) == (spearmanr(before, after)[0] < 0.5)


def test_distortion_is_named():
    before = np.arange(10.0)
    assert rewards.distortion(before, before * 5) is None
    assert "who is better" in (rewards.distortion(before, -before) or "")
    assert "spread" in (rewards.distortion(before, before * 1e-4) or "")
    assert "equal" in (rewards.distortion(before, np.ones(10)) or "")
    assert rewards.distortion(np.ones(10), before) is None

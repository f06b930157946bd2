import numpy as np
import pytest
from builders import make_rollout

from grpo_cli.advantages import peer
from grpo_cli.advantages.settings import SCALES
from grpo_cli.errors import ConfigError

TIME_ALIGNED = {"scale": "none"}
OUTCOME = {"value": "return", "key": "group", "fallback": [], "baseline": "mean", "scale": "none"}


def advantages(rollout, gamma=1.0, **settings):
    return peer(rollout, rollout.reward, gamma, **settings).advantage


def random_rollout(seed=0, groups=3, size=4):
    noise = np.random.default_rng(seed)
    lengths = noise.integers(1, 12, groups * size)
    rewards = [noise.normal(size=length).tolist() for length in lengths]
    return make_rollout(rewards, group=np.repeat(np.arange(groups), size).tolist())


def test_time_aligned_by_hand():
    # rewards 1 a step; returns-to-go 3 2 1 | 1 | 2 1
    rollout = make_rollout([[1, 1, 1], [1], [1, 1]])
    # t=0: 3-(1+2)/2, 1-(3+2)/2, 2-(3+1)/2; t=1: 2-1, 1-2; t=2: nobody
    expected = [1.5, 1.0, 0.0, -1.5, 0.0, -1.0]
    assert advantages(rollout, fallback=[], **TIME_ALIGNED) == pytest.approx(expected)


def test_neighbour_step_by_hand():
    rollout = make_rollout([[1, 1, 1], [1], [1, 1]])
    # at t=2 the first member is alone; others up to two steps away hold 1, 2 and 1: mean 4/3
    got = advantages(rollout, fallback=["neighbour_step"], **TIME_ALIGNED)
    assert got == pytest.approx([1.5, 1.0, 1 - 4 / 3, -1.5, 0.0, -1.0])


def test_all_groups_by_hand():
    rollout = make_rollout([[1, 1, 1], [1], [1, 1, 5], [2]], group=[0, 0, 1, 1])
    got = advantages(rollout, fallback=["all_groups"], **TIME_ALIGNED)
    # group 0: 3 2 1 | 1, group 1: 7 6 5 | 2; from t=1 on each compares with the other group
    assert got == pytest.approx([2, 2 - 6, 1 - 5, -2, 5, 6 - 2, 5 - 1, -5])


def test_fall_backs_and_the_lonely_are_counted():
    rollout = make_rollout([[1, 1, 1], [1], [1, 1]])
    none = peer(rollout, rollout.reward, 1.0, fallback=[]).measured
    assert none["baseline/no_peer_frac"] == pytest.approx(1 / 6)
    assert none["baseline/fallback_frac"] == 0
    near = peer(rollout, rollout.reward, 1.0, fallback=["neighbour_step"]).measured
    assert near["baseline/no_peer_frac"] == 0
    assert near["baseline/fallback_frac"] == pytest.approx(1 / 6)


def test_outcome_by_hand():
    rollout = make_rollout([[1, 1], [2, 3, 4]])  # returns 2 and 9, mean 5.5, std 3.5
    assert advantages(rollout, **OUTCOME) == pytest.approx([-3.5, -3.5, 3.5, 3.5, 3.5])
    scaled = advantages(rollout, **{**OUTCOME, "scale": "group", "eps": 0.0})
    assert scaled == pytest.approx([-1, -1, 1, 1, 1])
    sample_std = advantages(rollout, **{**OUTCOME, "scale": "group", "eps": 0.0, "ddof": 1})
    assert sample_std == pytest.approx(np.array([-1, -1, 1, 1, 1]) / np.sqrt(2))


def test_outcome_advantages_of_members_sum_to_zero_in_each_group():
    rollout = random_rollout()
    got = advantages(rollout, 0.9, **OUTCOME)[rollout.first_row]
    assert np.bincount(rollout.group, got) == pytest.approx(np.zeros(3), abs=1e-12)


def test_mean_is_leave_one_out_shrunk_by_the_group_size():
    rollout = random_rollout()
    loo = advantages(rollout, **{**OUTCOME, "baseline": "loo"})
    assert advantages(rollout, **OUTCOME) == pytest.approx(3 / 4 * loo)


def test_a_constant_added_to_every_return_changes_nothing():
    rollout = random_rollout()
    lifted = rollout.reward.copy()
    lifted[rollout.first_row] += 100.0
    got = peer(rollout, lifted, 1.0, **OUTCOME).advantage
    assert got == pytest.approx(advantages(rollout, **OUTCOME))


def test_the_order_of_groups_does_not_matter():
    noise = np.random.default_rng(0)
    rewards = [noise.normal(size=length).tolist() for length in (3, 5, 2, 4)]
    one = advantages(make_rollout(rewards, group=[0, 0, 1, 1]))
    swapped = advantages(make_rollout(rewards[2:] + rewards[:2], group=[0, 0, 1, 1]))
    assert np.concatenate([swapped[6:], swapped[:6]]) == pytest.approx(one)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "settings", [{"fallback": []}, {**OUTCOME, "baseline": "loo"}], ids=["aligned", "outcome"]
)
def test_a_group_without_spread_gets_exactly_zero(scale, settings):
    reward = [0.1, 0.7, 0.3]
    rollout = make_rollout([reward, reward, reward, [1.0], [2.0], [4.0]], group=[0, 0, 0, 1, 1, 1])
    got = advantages(rollout, 0.97, **{**settings, "scale": scale})
    assert (got[:9] == 0).all()
    assert (got[9:] != 0).any()
    assert np.isfinite(got).all()


def test_survivors_of_a_group_without_spread_get_zero_too():
    # nobody earned anything; the second group did, and is alive at the survivor's steps
    rollout = make_rollout([[0, 0, 0], [0], [1, 1, 1], [2, 2, 2]], group=[0, 0, 1, 1])
    assert (advantages(rollout)[:4] == 0).all()


def test_all_groups_dead_gives_zero_not_noise():
    rollout = make_rollout([[0.1, 0.2]] * 4, group=[0, 0, 1, 1])
    assert (advantages(rollout) == 0).all()


def test_scales_by_hand():
    rollout = make_rollout([[2.0], [4.0], [0.0], [8.0]], group=[0, 0, 1, 1])
    centred = np.array([-2.0, 2.0, -8.0, 8.0])
    settings = {"fallback": [], "eps": 0.0}
    assert advantages(rollout, scale="none", **settings) == pytest.approx(centred)
    batch = advantages(rollout, scale="batch", **settings)
    assert batch == pytest.approx(centred / np.sqrt((4 + 4 + 64 + 64) / 4))
    assert advantages(rollout, scale="max_abs", **settings) == pytest.approx(centred / 8)
    group = advantages(rollout, scale="group", **settings)  # std of 2, 4 is 1, of 0, 8 is 4
    assert group == pytest.approx([-2, 2, -2, 2])


def test_explained_variance_is_one_when_peers_say_it_all():
    rollout = make_rollout([[1, 2, 3], [1, 2, 3], [7, 8], [7, 8]], group=[0, 0, 1, 1])
    measured = peer(rollout, rollout.reward, 1.0).measured
    assert measured["baseline/explained_variance"] == pytest.approx(1)


@pytest.mark.parametrize(
    "settings",
    [
        {"value": "returns"},
        {"key": "grp"},
        {"baseline": "median"},
        {"fallback": ["somewhere"]},
        {"scale": "world"},
        {"value": "return"},  # with the default key group_step
        {"key": "group"},  # with the default fall-backs
    ],
)
def test_settings_that_do_not_exist_or_fit_are_refused(settings):
    with pytest.raises(ConfigError):
        advantages(random_rollout(), **settings)


def test_leave_one_out_is_unbiased_on_an_enumerable_bandit_and_group_std_is_not():
    """Enumerate all outcomes of G=3 draws from a policy over three arms.

    The exact gradient of the expected reward with respect to the logits is p * (r - p.r); the
    expectation of sum_i A_i dlog p(a_i) / G must equal it.
    """
    p, r = np.array([0.2, 0.5, 0.3]), np.array([1.0, 0.0, 3.0])
    exact = p * (r - p @ r)
    arms = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = {"none": np.zeros(3), "group": np.zeros(3)}
    for draw in arms:
        rollout = make_rollout([[r[arm]] for arm in draw])
        for scale, total in found.items():
            got = advantages(rollout, **{**OUTCOME, "baseline": "loo", "scale": scale})
            score = np.eye(3)[draw] - p
            total += p[draw].prod() * (got[:, None] * score).mean(axis=0)
    assert found["none"] == pytest.approx(exact)
    direction = found["group"] / np.linalg.norm(found["group"])
    assert abs(direction @ exact / np.linalg.norm(exact)) < 0.9999

"""From rewards to advantages with several reward functions; each number recomputed here."""

from functools import partial

import numpy as np
import pytest
from builders import make_rollout
from threads import in_threads

from grpo_cli.advantages import peer, score
from grpo_cli.errors import NonFinite
from grpo_cli.reward_functions import env, weighted
from grpo_cli.rewards import max_abs, none
from grpo_cli.rollout import BASELINE, LEARN

NAN = float("nan")
OUTCOME = partial(peer, value="return", key="group", baseline="mean", scale="group", fallback=[])
CENTRED = partial(OUTCOME, scale="none")


def scored(rollout, reward, advantage=OUTCOME, scaling=none, scope="batch"):
    return score(rollout, scaling, scope, advantage, 1.0, reward)


def said(**columns):
    """Reward functions that say these numbers of the members."""
    return {name: lambda rollout, v=values: v for name, values in columns.items()}


def one_step(group):
    return make_rollout([[0.0]] * len(group), group=group)


def advantages(group, columns, weights=(), aggregate="sum_then_normalise", advantage=OUTCOME):
    reward = weighted(functions=said(**columns), weights=weights, aggregate=aggregate)
    return scored(one_step(group), reward, advantage).advantage


def trl(group, columns, weights, aggregate, eps=1e-8):
    """TRL's two aggregations, member by member, with the house's standard deviation (ddof 0)."""
    table = np.array(list(columns.values()), dtype=float).T  # [M, K], nan: not applicable
    group, weights = np.array(group), np.array(weights, dtype=float)
    if aggregate == "sum_then_normalise":
        total = np.nansum(table * weights, axis=1)
        total[np.isnan(table).all(axis=1)] = NAN
        result = zscore_by(group, total, eps)
    else:
        parts = [zscore_by(group, column, eps) for column in table.T]
        result = np.nansum(np.stack(parts, axis=1) * weights, axis=1)
        known = ~np.isnan(table).all(axis=1)
        result = (result - result[known].mean()) / (result[known].std() + eps)
        result[~known] = NAN
    return np.nan_to_num(result)


def zscore_by(group, value, eps):
    result = np.full(len(value), NAN)
    for number in set(group):
        own = (group == number) & ~np.isnan(value)
        result[own] = (value[own] - value[own].mean()) / (value[own].std() + eps)
    return result


@pytest.mark.parametrize("aggregate", ["sum_then_normalise", "normalise_then_sum"])
def test_both_aggregations_are_trls(aggregate):
    noise = np.random.default_rng(0)
    group = [0] * 4 + [1] * 4 + [2] * 4
    for _ in range(20):
        table = noise.normal(size=(3, 12))
        table[noise.random((3, 12)) < 0.25] = NAN
        table[:, 5] = NAN  # of one member nobody says anything
        columns = dict(zip("abc", table.tolist(), strict=True))
        weights = noise.normal(size=3).tolist()
        got = advantages(group, columns, weights, aggregate)
        assert got == pytest.approx(trl(group, columns, weights, aggregate), abs=1e-6)
        assert got[5] == 0


def test_gdpo_tells_apart_what_a_sum_makes_equal():
    # Two binary rewards, two groups: the second member meets one aim in group 0, both in group 1.
    group, columns = [0, 0, 1, 1], {"right": [0, 1, 0, 1], "short": [0, 0, 0, 1]}
    # sums 0 1 | 0 2, standardised in their group: the same two numbers
    assert advantages(group, columns) == pytest.approx([-1, 1, -1, 1], abs=1e-6)
    # alone: right -1 1 | -1 1, short 0 0 | -1 1; sums -1 1 | -2 2; over sqrt((1+1+4+4)/4)
    got = advantages(group, columns, aggregate="normalise_then_sum")
    assert got == pytest.approx(np.array([-1, 1, -2, 2]) / np.sqrt(2.5), abs=1e-6)


def test_one_function_normalised_then_summed_is_its_own_advantage_over_the_batchs_std():
    group, column = [0, 0, 1, 1], {"a": [0.0, 2.0, 1.0, 9.0]}
    alone = advantages(group, column, advantage=CENTRED)
    summed = advantages(group, column, [1.0], "normalise_then_sum", CENTRED)
    assert summed == pytest.approx(alone / alone.std(), abs=1e-6)


def test_members_of_which_nobody_says_anything_are_no_peers():
    # 1 and 3 are compared with each other, not with the member in between
    got = advantages([0, 0, 0], {"a": [1.0, None, 3.0]}, advantage=CENTRED)
    assert got.tolist() == [-1, 0, 1]


def test_when_nothing_applies_nothing_is_learned():
    for aggregate in ("sum_then_normalise", "normalise_then_sum"):
        assert advantages([0, 0], {"a": [None, None]}, (), aggregate).tolist() == [0, 0]


def test_dead_groups_keep_exactly_zero_when_the_sum_is_standardised():
    got = advantages([0, 0, 1, 1, 1], {"a": [4, 4, 0, 1, 5]}, (), "normalise_then_sum")
    assert got[:2].tolist() == [0, 0]
    assert got[2:].std() == pytest.approx(1)


def test_long_members_count_no_more_than_short_ones():
    rollout = make_rollout([[0.0] * 5, [0.0], [0.0] * 2, [0.0]], group=[0, 0, 1, 1])
    functions = said(a=[1, 0, 5, 1], b=[0, 1, 2, 0])
    reward = weighted(functions=functions, aggregate="normalise_then_sum", weights=[1, 2])
    per_member = scored(rollout, reward).advantage[rollout.first_row]
    columns = {"a": [1, 0, 5, 1], "b": [0, 1, 2, 0]}
    assert per_member == pytest.approx(
        advantages([0, 0, 1, 1], columns, [1, 2], "normalise_then_sum")
    )


def test_the_environment_alone_written_out_is_the_default_to_the_bit():
    noise = np.random.default_rng(1)
    rollout = make_rollout([noise.normal(size=n).tolist() for n in (3, 5, 2, 4)], [0, 0, 1, 1])
    default = score(rollout, none, "batch", peer, 0.9)
    spelled = weighted(functions={"env": env, "zero": lambda r: np.zeros(4)}, weights=[1, 0])
    written = score(rollout, none, "batch", peer, 0.9, spelled)
    assert np.array_equal(default.advantage, written.advantage)
    assert default.rollout is rollout
    assert not [name for name in default.measured if name.startswith("rewards/")]


def test_scaling_sees_what_the_rewards_are_and_only_members_that_are_heard():
    reward = weighted(functions=said(a=[4, None, 2]), weights=[0.5])
    result = scored(one_step([0, 0, 0]), reward, CENTRED, max_abs)
    assert result.rollout.reward.tolist() == [2, 0, 1]
    assert result.reward == pytest.approx([1, 0, 0.5])


def test_masked_members_are_peers_of_weight_0():
    truncated = np.array([False, True, False])
    rollout = make_rollout([[1.0], [2.0], [6.0]], truncated=truncated)
    reward = weighted(functions={"env": env}, mask_truncated=True)
    result = scored(rollout, reward, CENTRED)
    assert result.advantage.tolist() == [-2, -1, 3]
    assert result.rollout.weight.tolist() == [1, 0, 1]
    assert result.measured["advantage/std"] == 2.5  # of -2 and 3


def test_baseline_members_are_always_there_to_be_compared_with():
    role = np.array([LEARN, LEARN, BASELINE], dtype=np.int8)
    rollout = make_rollout([[0.0]] * 3, role=role, weight=np.array([1.0, 1.0, 0.0]))
    reward = weighted(functions=said(a=[3, None, 1]))

    def against_greedy(rollout, reward, gamma):
        assert rollout.role.tolist() == [LEARN, BASELINE]
        return reward - reward[rollout.role == BASELINE]

    assert scored(rollout, reward, against_greedy).advantage.tolist() == [2, 0, 0]


def own(rollout, reward, gamma):
    return reward


def spoilt(reward):
    return reward * NAN


def spoilt_with(reward, rollout):
    return reward * NAN


SOUND = {"advantage": own, "reward": weighted(functions=said(a=[0, 1]))}
# What both ranks are set to, and what happens on one of them.
BROKEN = {
    "a reward function": ({}, {"reward": weighted(functions=said(a=[0, np.inf]))}),
    "a sum": ({}, {"reward": weighted(functions=said(a=[0, 1e150]), weights=[1e200])}),
    "a scaling of groups": ({"scope": "group"}, {"scaling": spoilt}),
    "a scaling of the rollout": ({}, {"scaling": spoilt_with}),
    "an advantage": ({}, {"advantage": lambda rollout, reward, gamma: spoilt(reward)}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_finite_on_one_rank_ends_the_scoring_of_all(name):
    settings, broken = BROKEN[name]

    def work(world):
        rollout = make_rollout([[0.0], [1.0]], number=np.full(2, world.rank), ranks=world)
        with pytest.raises(NonFinite) as caught, np.errstate(over="ignore"):
            scored(rollout, **{**SOUND, **settings, **(broken if world.rank else {})})
        return caught.value.what, world.span(1)  # they still talk of the same

    (what, first), (other, second) = in_threads(2, work)
    assert what == other != ""
    assert (first, second) == ((2, 0), (2, 1))

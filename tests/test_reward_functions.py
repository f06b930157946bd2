import numpy as np
import pytest
from builders import make_rollout

from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.reward_functions import env, length, overlong, terminated, weighted
from grpo_cli.rollout import BASELINE, LEARN

NAN = float("nan")


def three_members(**changes):
    """Members of 3, 1 and 2 steps."""
    return make_rollout([[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]], **changes)


def says(*numbers):
    return lambda rollout: list(numbers)


def test_shipped_functions_by_hand():
    rollout = three_members(terminated=np.array([True, False, True]))
    assert env(rollout).tolist() == [1, 2, 3, 4, 5, 6]
    assert length(rollout).tolist() == [3, 1, 2]
    assert terminated(rollout).tolist() == [1, 0, 1]


def test_what_is_said_of_a_member_is_credited_on_its_last_step():
    columns = weighted(functions={"said": says(7, 8, 9)})(three_members())
    assert columns.value.tolist() == [[0, 0, 7, 8, 0, 9]]


def test_the_weighted_sum_by_hand():
    reward = weighted(functions={"env": env, "said": says(7, 8, 9)}, weights=[2, -0.5])
    # 2 * [1 2 3 | 4 | 5 6] - .5 * [0 0 7 | 8 | 0 9]
    assert reward(three_members()).total.tolist() == [2, 4, 2.5, 4, 10, 7.5]
    assert weighted(functions=reward.functions)(three_members()).weights.tolist() == [1, 1]


def test_none_and_nan_mean_not_applicable_and_add_nothing():
    functions = {"env": env, "some": says(None, 8, NAN)}
    columns = weighted(functions=functions)(three_members())
    assert columns.applies.tolist() == [[True, True, True], [False, True, False]]
    assert columns.total.tolist() == [1, 2, 3, 4 + 8, 5, 6]


def test_a_function_applies_to_a_member_when_it_says_something_of_any_of_its_steps():
    columns = weighted(functions={"rows": says(1, None, 2, None, NAN, 3)})(three_members())
    assert columns.applies.tolist() == [[True, False, True]]
    assert columns.value.tolist() == [[1, 0, 2, 0, 0, 3]]


def test_a_function_without_weight_is_only_measured():
    reward = weighted(functions={"env": says(1, None, 1), "note": says(5, 6, 7)}, weights=[1, 0])
    columns, rollout = reward(three_members()), three_members()
    assert columns.heard.tolist() == [True, False, True]
    assert columns.spread(rollout).tolist() == [False]
    assert columns.measured(rollout)["rewards/note/mean"] == 6


def test_measured_over_the_learning_members_it_applies_to():
    role = np.array([LEARN, LEARN, BASELINE], dtype=np.int8)
    functions = {"env": env, "some": says(2, None, 100), "nobody": says(None, None, None)}
    measured = weighted(functions=functions)(three_members()).measured(three_members(role=role))
    # returns 6 and 4: mean 5, standard deviation 1
    assert (measured["rewards/env/mean"], measured["rewards/env/std"]) == (5, 1)
    assert (measured["rewards/some/mean"], measured["rewards/some/std"]) == (2, 0)
    assert np.isnan(measured["rewards/nobody/mean"])


def test_spread_is_asked_of_every_function_in_every_group():
    rollout = make_rollout([[1.0], [1.0], [2.0], [3.0], [1.0], [1.0]], group=[0, 0, 1, 1, 2, 2])
    apart = says(0, 1, 5, 5, 4, None)
    assert weighted(functions={"env": env})(rollout).spread(rollout).tolist() == [0, 1, 0]
    both = weighted(functions={"env": env, "apart": apart})
    assert both(rollout).spread(rollout).tolist() == [1, 1, 0]
    # the sum is equal in group 1, but the functions are not
    cancels = weighted(functions={"env": env, "apart": says(0, 0, 1, 0, 0, 0)})
    assert cancels(rollout).spread(rollout).tolist() == [0, 1, 0]


def dapo(y, l_max, l_cache):
    """Equation 13 of DAPO as it is printed, for |y| = y."""
    if y <= l_max - l_cache:
        return 0.0
    if y <= l_max:
        return ((l_max - l_cache) - y) / l_cache
    return -1.0


def test_the_overlong_penalty_is_equation_13_of_dapo():
    lengths = range(1, 31)
    rollout = make_rollout([[0.0] * steps for steps in lengths])
    for limit, buffer in [(20, 4), (20, 20), (25, 1), (5, 2)]:
        expected = [dapo(y, limit, buffer) for y in lengths]
        assert overlong(rollout, limit, buffer) == pytest.approx(expected)


def test_the_overlong_penalty_is_one_more_function():
    reward = weighted(functions={"env": env}, overlong_limit=3, overlong_factor=2.0)
    columns = reward(three_members())
    assert columns.names == ("env", "overlong")
    # a fifth of 3 steps, rounded up, is 1: whole from 3 steps on, nothing at 2
    assert columns.total.tolist() == [1, 2, 3 - 2, 4, 5, 6]


def test_masked_members_keep_everything_but_their_weight():
    rollout = three_members(truncated=np.array([True, False, False]))
    masked = weighted(functions={"env": env}, mask_truncated=True).masked(rollout)
    assert masked.weight.tolist() == [0, 0, 0, 1, 1, 1]
    assert masked.reward is rollout.reward
    assert weighted(functions={"env": env}).masked(rollout) is rollout


def test_only_the_environments_own_reward_is_plain():
    assert weighted(functions={"env": env}).plain
    assert not weighted(functions={"env": env}, weights=[2]).plain
    assert not weighted(functions={"env": length}).plain
    assert not weighted(functions={"env": env}, overlong_limit=9).plain


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"functions": {}}, "is empty"),
        ({"weights": [1, 2]}, "2 numbers for 1 functions"),
        ({"aggregate": "product"}, "product does not exist"),
        ({"overlong_limit": 5, "overlong_buffer": 6}, "longer than"),
        ({"functions": {"overlong": env}, "overlong_limit": 5}, "has an overlong"),
    ],
)
def test_settings_that_cannot_be(settings, what):
    with pytest.raises(ConfigError, match=what):
        weighted(**{"functions": {"env": env}, **settings})


@pytest.mark.parametrize(
    ("function", "error", "what"),
    [
        (says(1, 2), ConfigError, r"shape \(2,\) for 6 rows of 3 members"),
        (says("a", "b", "c"), ConfigError, "did not return numbers"),
        (says(1, 2, float("inf")), NonFinite, "returned inf"),
    ],
)
def test_answers_that_cannot_be_learned_from(function, error, what):
    with pytest.raises(error, match=what):
        weighted(functions={"own": function})(three_members())

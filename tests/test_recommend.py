"""What is recommended, by hand: seconds are whole numbers, so that gains are plain."""

from dataclasses import replace

import pytest

from grpo_cli.recommend import Case, Measured, Settings, at, recommend, step_s

ASKED = Settings("sync", num_groups=2, num_minibatches=4, minibatch_size=None, threads=1)
CASE = Case(
    ASKED, frozenset(), members=8, rows=400, most=800, epochs=2, scales=True,
    backends=("sync", "native"), threads=(1, 2),
)  # fmt: skip
FLAT = {8: 1.0, 16: 1.0}
MEASURED = Measured(
    env={"sync": {8: 10.0, 16: 10.0}, "native": {8: 10.0, 16: 10.0}},
    act={1: FLAT, 2: FLAT},
    update={1: {100: 2.0, 200: 2.0}, 2: {100: 2.0, 200: 2.0}},
    notes={},
)


def chosen(case=CASE, **changes):
    return recommend(case, replace(MEASURED, **changes))


def test_a_curve_is_read_between_its_points_and_flat_beyond():
    curve = {10: 1.0, 1000: 3.0}
    assert at(curve, 100) == pytest.approx(2.0)  # half way on a logarithmic axis
    assert (at(curve, 1), at(curve, 10_000)) == (1.0, 3.0)


def test_the_time_of_an_env_step_by_hand():
    # 400 rows in 4 minibatches are 100 rows a gradient step: 10 + 1 + 2 epochs x 2
    assert step_s(CASE, MEASURED, ASKED) == pytest.approx(15.0)
    # 100 rows at most 100: no difference; at 200 rows the dearer curve counts
    dear = replace(MEASURED, update={1: {100: 2.0, 200: 5.0}})
    assert step_s(CASE, dear, replace(ASKED, num_minibatches=2)) == pytest.approx(21.0)
    bounded = replace(ASKED, num_minibatches=2, minibatch_size=100)
    assert step_s(CASE, dear, bounded) == pytest.approx(15.0)


def test_where_nothing_gains_nothing_changes():
    assert chosen() == (ASKED, [])


def test_the_fastest_backend_is_taken_if_it_saves_a_tenth():
    # 15 against 13 is 1.15 times as fast, 15 against 14 is 1.07 times
    fast, slow = {8: 8.0, 16: 8.0}, {8: 9.0, 16: 9.0}
    settings, why = chosen(env={**MEASURED.env, "native": fast})
    assert settings == replace(ASKED, backend="native")
    assert why == ["backend native for sync: 1.15 times as fast"]
    assert chosen(env={**MEASURED.env, "native": slow})[0] == ASKED


def test_a_backend_that_was_not_measured_or_not_allowed_is_not_taken():
    fast = {8: 1.0, 16: 1.0}
    assert chosen(env={"sync": MEASURED.env["sync"]})[0] == ASKED
    assert chosen(env={**MEASURED.env, "envpool": fast})[0] == ASKED


def test_what_was_typed_stays():
    fast = {8: 1.0, 16: 1.0}
    case = replace(CASE, fixed=frozenset({"backend"}))
    assert chosen(case, env={**MEASURED.env, "native": fast})[0] == ASKED


def test_twice_the_groups_keep_rows_and_gradient_steps():
    # 16 members step three times as cheaply: 15 against 10 is 1.5 times as fast
    cheaper = {name: {8: 12.0, 16: 4.0} for name in MEASURED.env}
    settings, _ = chosen(env=cheaper)
    assert (settings.num_groups, settings.num_minibatches) == (4, 8)
    assert chosen(replace(CASE, scales=False), env=cheaper)[0] == ASKED
    fixed = replace(CASE, fixed=frozenset({"num_groups"}))
    assert chosen(fixed, env=cheaper)[0].num_groups == 2


def test_gradient_steps_for_each_env_step_never_get_fewer():
    # twice the rows in a gradient step would be 11 + 2 x 20 = 51 against 11 + 2 x 40 = 91
    assert chosen(update={1: {100: 40.0, 200: 20.0, 400: 1.0}, 2: {100: 99.0}})[0] == ASKED


def test_a_gain_that_more_env_steps_would_eat_up_is_left():
    # 16 members: 17 against 12 is 1.42 times as fast
    cheaper = {name: {8: 12.0, 16: 7.0} for name in MEASURED.env}
    assert chosen(env=cheaper)[0] == ASKED


def test_minibatches_are_bounded_where_larger_ones_cost_more_and_can_come():
    # expected are 100 rows, 200 can come; 100 is the cheapest size
    dearer = {100: 2.0, 200: 4.0}
    settings, why = chosen(update={1: dearer, 2: dearer})
    assert settings == replace(ASKED, minibatch_size=100)
    assert why == ["minibatch_size 100: 200 rows cost 2.00 times as much a row"]
    fewer = replace(CASE, most=400)  # never more than 100 rows
    assert chosen(fewer, update={1: dearer, 2: dearer})[0] == ASKED
    small = {50: 1.0, 200: 4.0}  # below what is expected: more gradient steps than asked for
    assert chosen(update={1: small, 2: small})[0].minibatch_size is None


def test_without_a_choice_of_backend_the_rest_is_chosen():
    case = replace(CASE, backends=(), scales=False)
    slow = {8: 100.0, 16: 100.0}
    settings, _ = recommend(case, replace(MEASURED, env={}, act={1: slow, 2: FLAT}))
    assert settings == replace(ASKED, threads=2)

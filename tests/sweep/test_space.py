"""Search spaces: grids in the order of `-m`, words, ends of ranges."""

import pytest

from grpo_cli.sweep.space import Choice, Interval, Space, Steps

LR = Interval("lr", 1e-4, 1e-2, log=True)
SIZE = Choice("group_size", ("4", "8"))
EPOCHS = Steps("+loss.passes", 1, 5, 2)


def test_the_last_dimension_of_a_grid_varies_fastest():
    space = Space((SIZE, EPOCHS))
    points = [space.point(number) for number in range(6)]
    assert space.size == 6
    assert [point["group_size"] for point in points] == ["4", "4", "4", "8", "8", "8"]
    assert [point["loss.passes"] for point in points] == [1, 3, 5, 1, 3, 5]
    with pytest.raises(IndexError):
        space.point(6)


def test_an_interval_has_no_grid():
    assert Space((SIZE, LR)).size is None


def test_steps_of_a_tenth_are_tenths():
    assert Steps("x", 0.1, 0.4, 0.1).grid == (0.1, 0.2, 0.3, 0.4)


def test_a_point_becomes_words_again():
    space = Space((LR, SIZE, EPOCHS))
    point = {"lr": 0.0012, "group_size": "8", "loss.passes": 3}
    assert space.words(point) == ["lr=0.0012", "group_size=8", "+loss.passes=3"]


def test_corners_meet_every_choice_and_both_ends():
    corners = Space((LR, Choice("loss", ("a", "b", "c")), EPOCHS)).corners()
    assert [corner["loss"] for corner in corners] == ["a", "b", "c"]
    assert {corner["lr"] for corner in corners} == {1e-4, 1e-2}
    assert {corner["loss.passes"] for corner in corners} == {1, 5}
    whole = Space((Interval("n", 2.0, 8.0, whole=True),))
    assert whole.words(whole.corners()[0]) == ["n=2"]


def test_optuna_draws_within():
    optuna = pytest.importorskip("optuna")
    space = Space((LR, SIZE, EPOCHS, Interval("n", 2, 64, log=True, whole=True)))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        params = study.ask(space.distributions()).params
        assert 1e-4 <= params["lr"] <= 1e-2
        assert params["group_size"] in ("4", "8")
        assert params["loss.passes"] in (1, 3, 5)
        assert params["n"] == int(params["n"])

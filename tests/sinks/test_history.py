"""What the views remember: bounded curves, recent means, pace, shares of time."""

import math

import pytest

from grpo_cli.sinks.history import MOST_POINTS, RECENT, Curve, Facts, History

FACTS = Facts("CartPole-v1", "runs/x", 1_000, 475.0, 0, 8, 4, "native")


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_curve_stays_bounded_and_keeps_its_shape():
    curve = Curve()
    for i in range(100_000):
        curve.add(i, i / 2)
    assert MOST_POINTS / 2 <= len(curve.x) < MOST_POINTS
    assert len(curve.x) == len(curve.y)
    # A straight line stays one: a merged point is the mean of its stretch, drawn at its end.
    stretch = curve.x[1] - curve.x[0]
    assert all(abs(y - x / 2) <= stretch / 4 + 1e-6 for x, y in zip(curve.x, curve.y, strict=True))
    assert curve.x[-1] > 99_000


def test_a_curve_leaves_out_what_is_not_a_number():
    curve = Curve()
    for y in (1.0, math.nan, math.inf, 2.0):
        curve.add(len(curve.x), y)
    assert curve.y == [1.0, 2.0]


def test_now_is_the_mean_of_recent_updates():
    history = History(FACTS)
    for i in range(100):
        history.add(i, {"a": float(i)})
    # the last RECENT of 0..99
    assert history.now("a") == pytest.approx(99 - (RECENT - 1) / 2)
    assert history.now("b") is None


def test_in_a_short_run_now_is_its_last_fifth():
    history = History(FACTS)
    for i in range(10):
        history.add(i, {"a": float(i)})
    assert history.now("a") == pytest.approx(8)  # of 7, 8, 9


def test_an_evaluation_stays_until_the_next():
    history = History(FACTS)
    history.add(1, {"eval/greedy/mean_reward": 5.0})
    history.add(2, {"train/loss": 1.0})
    assert history.evaluated_at == 1
    assert history.evaluation == {"greedy/mean_reward": 5.0}


def test_pace_and_what_is_left():
    clock = Clock()
    history = History(FACTS, clock=clock)
    for second in range(11):
        clock.now = float(second)
        history.add(20 * second, {})
    # 20 steps a second; 800 of 1000 are left
    assert history.pace == pytest.approx(20)
    assert history.left_s == pytest.approx(40)
    assert history.progress == pytest.approx(0.2)


def test_shares_of_time_sum_to_one():
    history = History(FACTS)
    assert history.spent == {}
    times = {"env": 2.0, "act": 1.0, "sample": 4.0, "update": 5.0, "eval": 0.0, "other": 1.0}
    history.add(1, {f"time/{name}_s": s for name, s in times.items()})
    # sampling took 4 s, of which 1 s was neither stepping nor acting; all in all 2+1+5+0+(1+1)=10
    assert history.spent == pytest.approx(
        {"env": 0.2, "act": 0.1, "update": 0.5, "eval": 0.0, "other": 0.2}
    )

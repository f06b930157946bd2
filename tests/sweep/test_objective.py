"""What a trial is worth, by hand."""

import dataclasses
import math
from pathlib import Path

import pytest

from grpo_cli.errors import ConfigError
from grpo_cli.sweep.objective import (
    Outcome,
    excess_of,
    interquartile_mean,
    score_of,
    steps_to_threshold,
    value_of,
)
from grpo_cli.sweep.plan import Limit, Plan
from grpo_cli.sweep.space import Space

PLAN = Plan("x", Path("x"), "sqlite://", (), Space(()), total_steps=1000, eval_every=300)


def outcome(score, steps=1000, solved=False, stop_at=475.0, **facts):
    return Outcome(0, score, steps, solved, stop_at, **facts)


def plan(**fields):
    return dataclasses.replace(PLAN, **fields)


def test_the_middle_half_of_any_number_of_scores():
    assert interquartile_mean([5.0]) == 5.0
    assert interquartile_mean([1, 3]) == 2.0  # half of each
    # of three, 0.75 at each end is cut: (0.25 * 0 + 1 * 3 + 0.25 * 12) / 1.5
    assert interquartile_mean([12, 0, 3]) == pytest.approx(4.0)
    assert interquartile_mean([0, 1, 2, 100]) == 1.5
    assert interquartile_mean([0, 0, 1, 2, 3, 4, 100, 100]) == 2.5


def test_a_mode_or_the_worse_of_both():
    mean = {"greedy": 10.0, "sampled": 7.0}
    assert [score_of(mean, mode) for mode in ("worse", "greedy", "sampled")] == [7, 10, 7]


def test_means_over_seeds():
    runs = [outcome(1.0), outcome(3.0), outcome(11.0)]
    assert value_of(PLAN, runs) == 5.0
    # a quarter of 1 and of 11, all of 3, over one and a half
    assert value_of(plan(objective="eval_iqm"), runs) == pytest.approx(4.0)


def test_steps_to_a_threshold_order_those_that_never_reach_it():
    solved = outcome(480.0, steps=400, solved=True)
    # 475 below 475, of which 475 is the scale: half of the way from one to two budgets
    hopeless, near = outcome(0.0), outcome(450.0)
    assert steps_to_threshold(solved, 1000) == 400
    assert steps_to_threshold(hopeless, 1000) == 1500
    assert steps_to_threshold(near, 1000) == pytest.approx(1000 * (1 + 25 / 500))
    assert math.isnan(steps_to_threshold(outcome(0.0, stop_at=None), 1000))
    steps = plan(objective="steps_to_threshold")
    assert value_of(steps, [solved, hopeless]) == 950


def test_a_metric_that_a_run_lacks_is_no_value():
    metric = plan(objective="time/fps")
    assert value_of(metric, [outcome(0, last={"time/fps": 5.0})]) == 5.0
    assert math.isnan(value_of(metric, [outcome(0, last={})]))


def test_a_constraint_is_read_and_measured():
    runs = [outcome(0, train_s=70.0), outcome(0, train_s=40.0)]
    assert excess_of(PLAN, runs) is None
    assert excess_of(plan(constraint=Limit.read("train_s<=60")), runs) == -5.0
    assert excess_of(plan(constraint=Limit.read("train_s >= 60")), runs) == 5.0
    assert excess_of(plan(constraint=Limit.read("a/b<=1")), runs) == math.inf
    for text in ("train_s<60", "<=3", "train_s<=x", "train_s"):
        with pytest.raises(ConfigError, match="is no constraint"):
            Limit.read(text)

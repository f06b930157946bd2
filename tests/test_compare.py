"""Two sides: paired by seed where that is possible, and a verdict that needs five seeds."""

from dataclasses import replace

import numpy as np
import pytest
from run_files import run_folder
from scipy.stats import bootstrap, t, trim_mean, ttest_ind, ttest_rel

from grpo_cli.compare import compare
from grpo_cli.errors import ConfigError
from grpo_cli.runs import select
from grpo_cli.statistics import difference, improvement, interval, iqm


@pytest.fixture
def sides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(a, b, first=0):
        for name, scores, start in (("a", a, 0), ("b", b, first)):
            for seed, score in enumerate(scores, start):
                lr = {"a": 0.1, "b": 0.2}[name]
                run_folder(tmp_path / "runs", seed, name=name, lr=lr, score=score)
        return select(["name=a"]), select(["name=b"])

    return make


def test_pairs_see_what_the_spread_over_seeds_would_hide(sides):
    a, b = sides([10, 20, 30, 40, 50], [11, 21, 31, 41, 51.5])
    found = compare(a, b)
    assert found["paired"]
    assert found["config"] == {"lr": ["0.1", "0.2"]}
    score = found["scores"]["score"]  # the sampled means: one below the greedy ones
    assert (score["a"], score["b"], score["difference"]) == (29.0, 30.1, pytest.approx(1.1))
    assert 0.8 < score["ci_low"] < 0.9  # 1.1 - 2.776 * .1
    assert 1.3 < score["ci_high"] < 1.4
    # 1 + 2 + 3 + 4 + 5 of the 25 pairs of runs
    assert score["improvement"] == pytest.approx(15 / 25)
    assert found["verdict"].startswith("B is better by 1.1")


def test_other_seeds_are_not_paired(sides):
    a, b = sides([10, 20, 30, 40, 50], [11, 21, 31, 41, 51], first=2)
    found = compare(a, b)
    assert not found["paired"]
    assert found["verdict"].startswith("no difference seen")


def test_few_seeds_decide_nothing(sides):
    a, b = sides([1, 2, 3, 4], [11, 12, 13, 14])
    assert compare(a, b)["verdict"].startswith("undecided: 4 seeds")
    assert compare(b, a)["scores"]["score"]["improvement"] == 0


def test_a_run_made_again_is_no_further_seed(sides, tmp_path):
    for again in range(5):
        for name, score in (("a", 480), ("b", 481)):
            run_folder(tmp_path / "runs" / str(again), 0, name=name, score=score)
    found = compare(select(["runs/*/*/a-*"]), select(["runs/*/*/b-*"]))
    assert found["scores"]["score"]["runs"] == [1, 1]
    assert found["verdict"].startswith("undecided: 1 seeds")


def test_seeds_that_were_lost_leave_it_undecided(sides):
    a, b = sides([500] * 5 + [None], [480] * 6)
    assert compare(a, b)["verdict"] == "undecided: 1 of 6 seeds of A have no final score"


def test_steps_count_where_all_have_reached_the_goal(sides):
    a, b = sides([500, 500, 501, 500, 500], [500, 500, 501, 500, 500])
    slow = [replace(run, env_steps=run.env_steps + 1000) for run in b]
    assert (
        "A needs 1,000 env steps fewer"
        in compare(
            [replace(run, solved=True) for run in a], [replace(run, solved=True) for run in slow]
        )["verdict"]
    )
    failed = [replace(run, solved=False) for run in slow]
    assert "env steps" not in compare(a, failed)["verdict"]


def test_runs_that_go_on_have_no_score(sides):
    a, b = sides([1, 2], [None, None])
    found = compare(a, b)
    assert "score" not in found["scores"]
    assert found["scores"]["return at the end"]["difference"] == 0
    assert "no run of one side has ended" in found["verdict"]


def test_environments_are_not_compared(sides, tmp_path):
    a, _ = sides([1], [2])
    run_folder(tmp_path / "runs", env="Acrobot-v1", name="c")
    with pytest.raises(ConfigError, match="Acrobot-v1, CartPole-v1"):
        compare(a, select(["name=c"]))


def test_statistics_are_scipys():
    values = np.random.default_rng(0).normal(size=(23, 3))
    np.testing.assert_allclose(iqm(values, axis=0), trim_mean(values, 0.25, axis=0))
    low, high = interval([values[:, 0]], lambda drawn: drawn.mean(-1))
    theirs = bootstrap((values[:, 0],), np.mean, method="percentile", random_state=1)
    np.testing.assert_allclose([low, high], theirs.confidence_interval, atol=0.03)
    assert improvement([1, 2], [2, 3]) == (1 + 0.5 + 1 + 1) / 4


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 30])
def test_differences_of_means_are_students_and_welchs(count):
    noise = np.random.default_rng(count)
    x, y = noise.normal(size=count), noise.normal(0.5, 3, size=count)
    theirs = ttest_rel(y, x).confidence_interval()
    np.testing.assert_allclose(difference(x, y, paired=True), theirs, atol=2e-3)
    welch = ttest_ind(y, x, equal_var=False)
    half = t.ppf(0.975, int(welch.df)) * (x.var(ddof=1) + y.var(ddof=1)) ** 0.5 / count**0.5
    middle = y.mean() - x.mean()
    expected = (middle - half, middle + half)
    np.testing.assert_allclose(difference(x, y, paired=False), expected, atol=2e-3)

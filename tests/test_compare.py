"""Two sides: paired by seed where that is possible, and a verdict that needs five seeds."""

import numpy as np
import pytest
from run_files import run_folder
from scipy.stats import bootstrap, trim_mean

from grpo_cli.compare import compare
from grpo_cli.errors import ConfigError
from grpo_cli.runs import select
from grpo_cli.statistics import improvement, interval, iqm


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
    assert 1 <= score["ci_low"] < 1.1 < score["ci_high"] <= 1.5
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

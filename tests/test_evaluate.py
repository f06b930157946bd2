import numpy as np
import pytest
from builders import cartpole, make_cartpole_policy
from scipy.stats import bootstrap, trim_mean

from grpo_cli.evaluate import SIDE_BY_SIDE, Evaluator, _joined
from grpo_cli.evaluate_run import final_scores
from grpo_cli.randomness import Use
from grpo_cli.rollout import Episodes
from grpo_cli.statistics import summarise


@pytest.mark.parametrize("episodes", [1, 7, SIDE_BY_SIDE + 3])
def test_exactly_so_many_episodes_each_played_to_its_end(episodes):
    source = cartpole()
    policy = make_cartpole_policy(source)
    scores = Evaluator(source, 0, Use.FINAL).scores(policy, episodes, "sampled")["sampled"]
    assert len(scores.ret) == len(scores.length) == episodes
    assert scores.ret.tolist() == scores.length.tolist()  # CartPole pays 1 a step


@pytest.mark.parametrize("mode", ["greedy", "sampled"])
def test_scores_repeat_and_do_not_depend_on_how_many_are_played_side_by_side(mode):
    source = cartpole()
    policy = make_cartpole_policy(source)
    evaluator = Evaluator(source, 0, Use.CHECK)
    few = evaluator.scores(policy, 5, mode)[mode]
    many = evaluator.scores(policy, SIDE_BY_SIDE + 9, mode)[mode]
    assert many.ret[:5].tolist() == few.ret.tolist()
    assert evaluator.scores(policy, 5, mode)[mode].ret.tolist() == few.ret.tolist()


def test_short_episodes_are_not_overcounted():
    """Against playing the same seeds one after the other on one environment."""
    source = cartpole()
    policy = make_cartpole_policy(source)
    evaluator = Evaluator(source, 3, Use.FINAL)
    from grpo_cli.randomness import Purpose, reset_seeds, rng

    env = source.make()
    expected = []
    for seed in reset_seeds(rng(3, Purpose.EVAL, int(Use.FINAL)), 20, Use.FINAL):
        obs, total, over = env.reset(seed=int(seed))[0], 0.0, False
        while not over:
            action, _ = policy.act(obs[None], None)
            obs, reward, terminated, truncated, _ = env.step(int(action[0, 0]))
            total, over = total + float(reward), terminated or truncated
        expected.append(total)
    assert evaluator.scores(policy, 20, "greedy")["greedy"].ret.tolist() == expected


def test_checks_and_final_scores_use_other_episodes():
    source = cartpole()
    policy = make_cartpole_policy(source)
    check = Evaluator(source, 0, Use.CHECK).scores(policy, 20, "greedy")["greedy"]
    final = Evaluator(source, 0, Use.FINAL).scores(policy, 20, "greedy")["greedy"]
    assert check.ret.tolist() != final.ret.tolist()


def test_the_summary_names_every_statistic():
    source = cartpole()
    evaluator = Evaluator(source, 0, Use.FINAL)
    policy = make_cartpole_policy(source)
    both = final_scores(evaluator, policy, 12, ["greedy", "sampled"])
    ret = evaluator.scores(policy, 12, "sampled")["sampled"].ret
    got = both["sampled"]
    assert got["episodes"] == 12
    assert got["mean"] == pytest.approx(ret.mean())
    assert got["std"] == pytest.approx(ret.std())
    assert got["median"] == pytest.approx(np.median(ret))
    assert got["iqm"] == pytest.approx(np.sort(ret)[3:9].mean())
    assert got["ci_low"] < got["mean"] < got["ci_high"]
    assert got["success_rate"] is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    noise = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        summary = summarise(noise.normal(5.0, 2.0, size=40), noise)
        hits += summary.ci_low <= 5.0 <= summary.ci_high
    assert 176 <= hits <= 198  # 95 % of 200 is 190; the percentile bootstrap is slightly narrow


@pytest.mark.parametrize("count", [1, 3, 10, 37, 100])
def test_statistics_are_those_of_scipy(count):
    score = np.random.default_rng(count).normal(10, 3, size=count)
    summary = summarise(score, np.random.default_rng(0))
    assert summary.iqm == pytest.approx(trim_mean(score, 0.25))
    if count >= 10:
        expected = bootstrap(
            (score,), np.mean, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        width = expected.high - expected.low
        assert summary.ci_low == pytest.approx(expected.low, abs=0.05 * width)
        assert summary.ci_high == pytest.approx(expected.high, abs=0.05 * width)


def test_equal_scores_have_an_interval_of_no_width():
    summary = summarise(np.full(10, 500.0), np.random.default_rng(0))
    assert (summary.ci_low, summary.ci_high, summary.std) == (500.0, 500.0, 0.0)


def test_silence_among_episodes_that_say_something_is_no_success():
    zero, one = np.zeros(1), np.ones(1, dtype=np.int64)
    said = [Episodes(zero, one, np.array([True])), Episodes(zero, one, None)]
    assert _joined(said).success.tolist() == [True, False]
    assert _joined(said[1:]).success is None

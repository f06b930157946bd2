"""From the words of a sweep to its plan, and from its best to a config."""

from pathlib import Path

import pytest
import yaml

from grpo_cli.config.compose import compose_all
from grpo_cli.config.sweeping import experiment, plan_of
from grpo_cli.errors import ConfigError
from grpo_cli.sweep.claims import COMPLETE, FAILED, FRESH, TRIAL, Row
from grpo_cli.sweep.results import best_of


def plan(*words):
    return plan_of(["env=CartPole-v1", *words], [], trusted=False, command=[])[0]


def test_what_is_a_grid_and_how_many_trials_there_are():
    grid = plan("lr=1e-3,2e-3", "epochs=4,8,12")
    assert (grid.grid, grid.trials) == (True, 6)
    assert [plan("lr=interval(0.1,1)", *more).trials for more in ((), ("sweep.budget=1m",))] == [
        20, None,
    ]  # fmt: skip
    drawn = plan("lr=1e-3,2e-3", "sweep.trials=5")
    assert (drawn.grid, drawn.trials) == (False, 5)
    assert plan("sweep.trials=1").space.names[0] == "lr"  # the space of its family


def test_the_name_follows_from_what_is_searched():
    first = plan("lr=1e-3,2e-3", "sweep.workers=2")
    assert first.name == plan("lr=1e-3,2e-3", "sweep.reuse=true").name
    assert first.name.startswith("CartPole-v1-")
    others = [("lr=1e-3,3e-3",), ("lr=1e-3,2e-3", "gamma=0.9"), ("lr=1e-3,2e-3", "sweep.seeds=2")]
    assert len({first.name, *(plan(*words).name for words in others)}) == 4


def test_directions_and_when_trials_stop():
    assert "stop_at=none" in plan("lr=1,2").words
    steps = plan("lr=1,2", "sweep.objective=steps_to_threshold")
    assert not steps.maximize
    assert "stop_at=none" not in steps.words
    assert plan("lr=1,2").maximize
    assert not plan("lr=1,2", "sweep.direction=minimize").maximize
    assert "stop_at=400" in plan("lr=1,2", "stop_at=400").words


def test_without_a_threshold_there_are_no_steps_to_it():
    with pytest.raises(ConfigError, match="no threshold to count"):
        plan("lr=1,2", "stop_at=none", "sweep.objective=steps_to_threshold")
    words = ["env=Blackjack-v1", "lr=1,2", "sweep.objective=steps_to_threshold"]
    with pytest.raises(ConfigError, match="no threshold to count"):
        plan_of(words, [], trusted=False, command=[])


def test_the_driver_of_postgresql():
    url = "sweep.storage=postgresql://me@host:1/x"
    assert plan("lr=1,2", url).storage == "postgresql+psycopg://me@host:1/x"
    assert plan("lr=1,2", "sweep.name=y").storage == "sqlite:///runs/sweeps/y/study.db"


def test_what_fails_on_fresh_seeds_has_not_won():
    made = plan("lr=1,2,3", "sweep.finalists=3")

    def run(number, value, *, excess=None, kind=FRESH):
        facts = {"score": value, "seeds": [7], "excess": excess}
        state = FAILED if value is None else COMPLETE
        params = {"lr": number}
        return Row(kind, number, 0, state=state, value=value, params=params, facts=facts)

    trials = [run(number, 500.0 - number, kind=TRIAL) for number in range(3)]
    lucky = [run(0, 500.0), run(0, None), run(0, None)]
    over = [run(1, 499.0, excess=25.0) for _ in range(3)]
    sound = [run(2, 490.0, excess=-1.0) for _ in range(3)]
    assert best_of(made, [*trials, *lucky, *over, *sound])["number"] == 2
    assert best_of(made, [*trials, *lucky, *over])["number"] == 1


def test_the_best_as_a_config(tmp_path: Path):
    made = plan(
        "preset=none,dapo", "lr=interval(1e-3,1e-2)", "policy.hidden=[64]", "sweep.trials=2"
    )
    params = {"preset": "dapo", "lr": 0.002}
    best = {
        "number": 1, "value": 5.0, "words": made.space.words(params), "params": params,
        "fresh": {"seeds": [10_000], "values": [4.0], "value": 4.0},
    }  # fmt: skip
    text = experiment(made, best)
    assert yaml.safe_load(text)["defaults"] == [
        {"override /env": "CartPole-v1"}, {"override /preset": "dapo"},
    ]  # fmt: skip
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/best.yaml").write_text(text)
    composed = compose_all(["experiment=best", "gamma=0.5"], [tmp_path])
    composed.check()
    cfg = composed.cfg
    assert (cfg.env.id, cfg.lr, cfg.policy.hidden, cfg.gamma) == ("CartPole-v1", 0.002, [64], 0.5)
    assert cfg.loss.eps_high == 0.28  # dapo's
    assert cfg.stop_at == "auto"  # that trials ran to their end is the sweep's business

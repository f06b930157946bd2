"""What Optuna is asked and told."""

import pytest

from grpo_cli.sweep.claims import FAILED, PRUNED, RUNNING, TRIAL, Row
from grpo_cli.sweep.plan import Plan
from grpo_cli.sweep.space import Choice, Interval, Space
from grpo_cli.sweep.study import DRAWS, Study

pytest.importorskip("optuna")
SPACE = Space((Interval("lr", 1e-4, 1e-2, log=True), Choice("loss", ("clip", "sapo", "cispo"))))


def study_of(tmp_path, **more):
    return Study(Plan("x", tmp_path, f"sqlite:///{tmp_path}/x.db", (), SPACE, **more))


def new(number):
    return Row(TRIAL, number, 0, RUNNING)


def test_what_cannot_be_trained_is_drawn_again(tmp_path):
    study = study_of(tmp_path, trials=6, sampler="random")
    rows = [new(number) for number in range(6)]
    for row in rows:
        assert study.ask(row, lambda p: "no" if p["loss"] == "clip" else "") == ""
    assert {row.params["loss"] for row in rows} == {"sapo", "cispo"}
    assert len({row.params["lr"] for row in rows}) == 6
    row = new(6)
    assert study.ask(row, lambda _: "never") == "never"
    row.state = FAILED
    study.tell(row)
    states = [trial.state.name for trial in study._study.trials]
    assert states.count("RUNNING") == 6  # and of the seventh nothing is left open
    assert states.count("FAIL") >= DRAWS
    study.storage.engine.dispose()


def test_a_point_of_a_grid_is_taken_as_it_comes(tmp_path):
    space = Space((Choice("loss", ("clip", "sapo")),))
    study = Study(Plan("x", tmp_path, f"sqlite:///{tmp_path}/x.db", (), space, 2, grid=True))
    row = new(0)
    assert study.ask(row, lambda p: "no" if p["loss"] == "clip" else "") == "no"
    assert row.params == {"loss": "clip"}
    study.storage.engine.dispose()


def test_pruned_trials_say_what_matters_too(tmp_path):
    study = study_of(tmp_path, trials=20, sampler="random")
    for number in range(20):
        row = new(number)
        study.ask(row, lambda _: "")
        good = row.params["loss"] == "sapo"
        row.state, row.value = ("complete", 100.0 + number) if good else (PRUNED, None)
        study.tell(row)
    found = study.importances()
    assert found["loss"] > found["lr"]
    assert sum(found.values()) == pytest.approx(1)
    study.storage.engine.dispose()

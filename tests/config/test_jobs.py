"""The job behind `grpo train`: what a run folder holds, and what leaves none behind."""

import json
import os
from pathlib import Path

import pytest
import yaml
from small_runs import own_place, train

from grpo_cli.config import env_ids
from grpo_cli.errors import ConfigError, EnvError, MissingPackage


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def test_a_run_folder_holds_all_that_is_needed():
    summary = train("env=CartPole-v1", "seed=3", "name=first", "sinks=[tensorboard]")
    run = Path(summary["run"])
    assert run.parent == Path("runs/CartPole-v1")
    assert run.name.startswith("first-s3-")
    files = {path.name for path in run.iterdir()}
    events = {name for name in files if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    assert files - events == {
        "config.yaml", "overrides.yaml", "meta.json", "metrics.jsonl", "checkpoints",
        "summary.json", "facts.json", "groups.jsonl", "report.html",
    }  # fmt: skip
    assert json.loads((run / "summary.json").read_text()) == summary
    assert yaml.safe_load((run / "overrides.yaml").read_text())[-3:-1] == ["seed=3", "name=first"]
    meta = json.loads((run / "meta.json").read_text())
    assert (meta["schema"], meta["env"], meta["seed"]) == (1, "CartPole-v1", 3)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == summary["updates"]
    for link in ("last", "best"):
        assert not os.path.isabs(os.readlink(run / "checkpoints" / link))
    last = run / "checkpoints" / "last"
    assert {path.name for path in last.iterdir()} == {
        "policy.safetensors", "state.safetensors", "state.json", "manifest.json",
    }  # fmt: skip
    assert Path(summary["checkpoint"]).samefile(last)
    assert summary["env_steps"] >= 300
    assert summary["solved"] is False


def test_interpolations_are_stored_as_they_were_written():
    run = train("env=CartPole-v1", "lr=${optim.eps}")["run"]
    assert "lr: ${optim.eps}" in (Path(run) / "config.yaml").read_text()


def test_a_run_without_a_threshold_is_neither_solved_nor_not():
    summary = train("env=CartPole-v1", "stop_at=none")
    assert (summary["solved"], summary["stop_at"]) == (None, None)


def test_a_reached_goal_ends_the_run():
    summary = train("env=CartPole-v1", "stop_at=5", "eval_every=1", "total_steps=100000")
    assert (summary["solved"], summary["updates"]) == (True, 1)


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["env=./my_env.py:Broken"], EnvError, "no licence"),
        (["env=./my_env.py:Guess", "+env.kwargs.size=3"], EnvError, "takes no arguments"),
        (["env=./my_env.py:Words"], ConfigError, "of kind Text"),
        (["env=./my_env.py:Absent"], ConfigError, "there is no Absent"),
        (["env=no_such_pkg:Env-v0"], ConfigError, "there is no module no_such_pkg"),
        (["env=CartPole-v1", "reward_scaling=my_code.times"], ConfigError, "'k'"),
        (
            ["env=CartPole-v1", "reward_scaling=my_code.double", "+reward_scaling.k=1"],
            ConfigError,
            "'k'",
        ),
        (["env=CartPole-v1", "optim=my_code.double"], ConfigError, "optim cannot be"),
        (["env=CartPole-v1", "sinks=my_code.double"], ConfigError, "sinks cannot be"),
        (["env=CartPole-v1", "kl=my_code.kl"], ConfigError, "there is no kl"),
        (["env=CartPole-v1", "advantage.scale=timestep"], ConfigError, "a lonely row"),
        # found out only once episodes are played
        (["env=./my_env.py:Late"], EnvError, "no data"),
        (["env=CartPole-v1", "reward_scaling=my_code.short"], ConfigError, "shape"),
    ],
)
def test_what_cannot_run_leaves_nothing_behind(words, error, says):
    with pytest.raises(error, match=says):
        train(*words, "env.max_steps=5")
    assert not Path("runs").exists()


@pytest.mark.parametrize("env_id", ["ALE/Pong-v5", "ale_py:ALE/Pong-v5"])
def test_a_known_package_that_is_not_installed_is_named(monkeypatch, env_id):
    monkeypatch.setattr(env_ids, "find_spec", lambda _: None)
    with pytest.raises(MissingPackage, match="ale_py") as caught:
        train(f"env={env_id}")
    assert (caught.value.exit_code, caught.value.fix) == (3, "pip install 'grpo-cli[atari]'")


def test_what_cannot_run_leaves_other_runs_alone():
    run = train("env=./my_env.py:Guess", "env.max_steps=5")["run"]
    with pytest.raises(EnvError):
        train("env=./my_env.py:Late", "env.max_steps=5")
    assert list(Path("runs").glob("*/*")) == [Path(run)]


def test_a_folder_that_cannot_be_made_is_named(place):
    (place / "runs").write_text("a file")
    with pytest.raises(ConfigError, match="no run folder can be made") as caught:
        train("env=CartPole-v1")
    assert caught.value.fix


def test_own_code_takes_parameters_of_its_own():
    summary = train("env=CartPole-v1", "reward_scaling=./my_code.py:times", "+reward_scaling.k=2")
    lines = (Path(summary["run"]) / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["reward_scaling/mean"] == 2.0

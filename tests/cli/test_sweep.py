"""`grpo sweep` as a person types it: real trials, real processes, real kills."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from grpo_cli.cli import app

optuna = pytest.importorskip("optuna")

ROOT = Path(__file__).parents[2]
QUICK = "num_groups=1 epochs=1 eval.episodes=2 eval.final_episodes=2 total_steps=300".split()
OWN = """
import os, time
import gymnasium as gym
import numpy as np

class Moody(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, mood="good"):
        self.mood = mood

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 10
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.left -= 1
        if self.mood == "dies":
            os.kill(os.getpid(), 9)
        if self.mood == "slow":
            time.sleep(0.002)
        reward = {"good": 1.0, "bad": -1.0, "broken": float("nan")}.get(self.mood, 0.5)
        return np.zeros(2, np.float32), reward * (1 + action), self.left == 0, False, {}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    (home / "own.py").write_text(OWN)
    return home


def grpo(*words):
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


def trials(name):
    with Path("runs/sweeps", name, "trials.csv").open() as file:
        return list(csv.DictReader(file))


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_a_grid_with_a_trial_that_dies():
    words = ["env=./own.py:Moody", "env.kwargs.mood=bad,good,dies", *QUICK]
    done = grpo(*words, "sweep.name=x", "sweep.confirm=0", "sweep.reuse=true", "sweep.seeds=2")
    assert done.exit_code == 0, done.stderr
    rows = trials("x")
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert [row["state"] for row in rows] == ["complete", "complete", "failed"]
    assert "killed by SIGKILL" in rows[2]["error"]
    assert rows[1]["seeds"] == "0 1"
    assert float(rows[0]["value"]) < 0 < float(rows[1]["value"])
    assert "2 complete, 1 failed" in done.stdout
    assert "trial 1: env.kwargs.mood=good" in done.stdout
    folder = Path("runs/sweeps/x")
    result = json.loads((folder / "result.json").read_text())
    assert result["best"]["params"] == {"env.kwargs.mood": "good"}
    assert result["objective"] == "eval_mean"
    # one session of TensorBoard's HParams for each trial, with what it was worth
    assert events(folder / "trial-0001/seed-0").Scalars("sweep/objective")[0].value > 0
    assert "_hparams_/session_start_info" in events(folder / "trial-0002").summary_metadata
    # the best is a config of its own
    best = yaml.safe_load((folder / "experiment/best.yaml").read_text())
    assert best["env"] == {"kwargs": {"mood": "good"}}
    shown = ["config", "--config-dir", str(folder), "experiment=best", "--json"]
    config = json.loads(CliRunner().invoke(app, shown).stdout)
    assert config["env.id"]["value"] == "./own.py:Moody"
    assert config["env.kwargs.mood"]["origin"].endswith("experiment/best.yaml")
    # again: nothing is left to do
    again = grpo(*words, "sweep.name=x", "sweep.confirm=0", "sweep.reuse=true", "sweep.seeds=2")
    assert again.exit_code == 0
    assert trials("x") == rows
    other = grpo("env=CartPole-v1", "lr=1,2", "sweep.name=x", *QUICK)
    assert other.exit_code == 2
    assert "the sweep x was begun with other" in other.stderr


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["lr=1,2", "sweep.trails=3"], "unknown key sweep.trails"),
        (["lr=1,2", "sweep.trials=0"], "sweep.trials must be a whole number, at least 1"),
        (["lr=1,2", "sweep.trials=many"], "sweep.trials must be a whole number"),
        (["lr=1,2", "sweep.objective=fastest"], "sweep.objective must be"),
        (["lr=1,2", "sweep.constraint=quick"], "is no constraint"),
        (["lr=1,2", "sweep.storage=mysql://x"], "sweep.storage must be"),
        (["lr=-1,2"], "lr must be a number, above 0"),
        (["loss=clip,clap"], "no loss called clap"),
        (["total_steps=100,200"], "cannot be compared"),
        (["sweep=contrl"], "did you mean control?"),
        (["group_sise=4,8"], "unknown key group_sise"),
    ],
)
def test_what_is_wrong_is_said_before_anything_begins(words, what):
    done = grpo("env=CartPole-v1", *words)
    assert done.exit_code == 2
    assert what in done.stderr
    assert not Path("runs").exists()


def test_own_code_in_a_file_is_not_run_unasked(place):
    (place / "mine/sweep").mkdir(parents=True)
    (place / "mine/sweep/own.yaml").write_text("reward.functions: '[./own.py:f],[env]'\n")
    done = grpo("--config-dir", "mine", "env=CartPole-v1", "sweep=own")
    assert done.exit_code == 2
    assert "--trust" in done.stderr


def start(*words):
    with Path("stderr").open("w") as errors:
        command = [sys.executable, "-m", "grpo_cli", "sweep", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)


def wait_for(condition, limit_s=60):
    until = time.time() + limit_s
    while not condition():
        assert time.time() < until
        time.sleep(0.05)


def processes_here():
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == os.getcwd():
                found.append((entry / "cmdline").read_bytes())
        except OSError:
            continue
    return [line for line in found if b"grpo_cli.cli.trial" in line]


SLOW = ["env=./own.py:Moody", "env.kwargs.mood=slow", "lr=interval(0.001,0.01)", *QUICK]
SLOW += ["total_steps=2000", "save_every=200", "sweep.trials=6", "sweep.workers=2"]
SLOW += ["sweep.confirm=1", "sweep.finalists=1", "sweep.name=x", "sweep.pruner=none"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_killed_and_interrupted_it_goes_on_to_exactly_the_total():
    checkpoints = Path("runs/sweeps/x")
    process = start(*SLOW)
    wait_for(lambda: list(checkpoints.glob("*/seed-0/checkpoints/step-*")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not processes_here(), 5)  # the trials died with it
    before = {row["number"]: row["lr"] for row in trials("x")}
    assert set(before) == {"0", "1"}
    process = start(*SLOW)
    wait_for(lambda: len(trials("x")) > 2)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert "next: the same command goes on" in Path("stderr").read_text()
    assert not processes_here()
    process = start(*SLOW)
    assert process.wait() == 0, Path("stderr").read_text()
    rows = trials("x")
    assert [row["number"] for row in rows] == list("012345")
    assert {row["state"] for row in rows} == {"complete"}
    assert {row["number"]: row["lr"] for row in rows[:2]} == before
    assert sum(int(row["attempts"]) > 1 for row in rows) >= 2
    study = optuna.load_study(study_name="x", storage="sqlite:///runs/sweeps/x/study.db")
    complete = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert sorted(t.user_attrs["grpo:number"] for t in complete) == list(range(6))
    assert not [t for t in study.trials if t.state.name == "RUNNING"]
    meta = json.loads((checkpoints / "trial-0000/seed-0/meta.json").read_text())
    assert meta["resumed"]  # from its checkpoint, not from nothing


@pytest.mark.slow
def test_pruned_constrained_and_drawn():
    words = ["env=CartPole-v1", "lr=tag(log,interval(1e-7,3e-3))", "epochs=range(2,9,2)", *QUICK]
    words += ["total_steps=4000", "eval_every=500", "sweep.trials=12", "sweep.reuse=true"]
    words += ["sweep.prune_after=3", "sweep.constraint=env_steps<=5000", "sweep.name=x"]
    done = grpo(*words, "num_groups=2", "sweep.workers=2", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["complete"] + result["pruned"] == 12
    assert result["pruned"] > 0
    assert len(result["best"]["fresh"]["values"]) == 3
    assert result["best"]["fresh"]["seeds"] == [10000, 10001, 10002]
    assert set(result["importances"]) <= {"lr", "epochs"}
    assert len(result["plots"]) >= 3
    for path in result["plots"]:
        assert Path(path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_sweep_in_which_nothing_works_says_so():
    done = grpo("env=./own.py:Moody", "env.kwargs.mood=broken", "lr=1e-3,2e-3", *QUICK)
    assert done.exit_code == 1
    assert "none of 2 trials can be called best" in done.stderr
    [folder] = Path("runs/sweeps").iterdir()
    assert "non-finite reward" in (folder / "trial-0000/log.txt").read_text()

"""The verbs as a person types them, on real environments: exit codes, text, and what is left."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_cli.cli import app

QUICK = ["num_groups=1", "epochs=1", "eval.episodes=2", "eval.final_episodes=3", "total_steps=300"]
CARTPOLE = ["env=CartPole-v1", *QUICK]
OWN = """
import gymnasium as gym
import numpy as np

class Guess(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), float(action), False, False, {}

class Broken(Guess):
    def __init__(self):
        raise RuntimeError("no licence")

class Nan(Guess):
    def step(self, action):
        return np.zeros(2, np.float32), float("nan"), False, False, {}

class Words(Guess):
    observation_space = gym.spaces.Text(3)

def halve(reward, *, by):
    return reward / by
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    (home / "own.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own", raising=False)  # of another test, from another folder
    return home


def grpo(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def folders():
    return sorted(str(path) for path in Path("runs").glob("*/*"))


def test_train_then_eval():
    trained = grpo("train", *CARTPOLE)
    assert trained.exit_code == 0
    [run] = folders()
    # results on stdout: the verdict, both modes, where the run is, what to type next
    assert "CartPole-v1 not solved" in trained.stdout
    assert re.search(r"^greedy +3 ", trained.stdout, re.MULTILINE)
    assert re.search(r"^sampled +3 ", trained.stdout, re.MULTILINE)
    assert "95 % interval" in trained.stdout
    assert f"grpo eval ckpt={run}" in trained.stdout
    # the rest on stderr
    assert "backend native" in trained.stderr
    assert "backend" not in trained.stdout
    scored = grpo("eval", f"ckpt={run}", "episodes=3")
    assert scored.exit_code == 0
    assert "threshold 475" in scored.stdout
    table = re.compile(r"^(?:greedy|sampled) .*$", re.MULTILINE)
    assert table.findall(scored.stdout) == table.findall(trained.stdout)


def test_json_is_all_there_is_on_stdout():
    trained = grpo("train", "--json", *CARTPOLE)
    summary = json.loads(trained.stdout)
    assert trained.stderr == ""
    scored = grpo("eval", "--json", f"ckpt={summary['run']}", "episodes=3")
    assert json.loads(scored.stdout)["eval"] == summary["eval"]


def test_quiet_prints_the_run_and_nothing_else():
    result = grpo("train", "--quiet", *CARTPOLE)
    assert (result.stdout, result.stderr) == (f"{folders()[0]}\n", "")


def test_warnings_are_heard_in_quiet_runs():
    result = grpo("train", "--quiet", *CARTPOLE, "reward_scaling=zscore")
    assert result.exit_code == 0
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(
        "warning: reward_scaling makes the returns of all members equal"
    )


def test_runs_that_start_at_once_get_folders_of_their_own():
    tiny = ["group_size=2", "policy.hidden=[4]", "eval.episodes=1", "eval.final_episodes=1"]
    result = grpo("train", "-m", *CARTPOLE[:-1], *tiny, "total_steps=1,2")
    assert result.exit_code == 0
    assert len(folders()) == 2
    assert all((Path(run) / "summary.json").exists() for run in folders())


def test_a_job_that_fails_does_not_end_the_others():
    result = grpo("train", "-m", *QUICK, "env.max_steps=5", "env=./own.py:Nan,CartPole-v1")
    assert result.exit_code == 4
    # the one that failed keeps what is needed to see it again, the other one is whole
    ended = [path.name for run in folders() for path in Path(run).glob("[cs][ru]*")]
    assert sorted(ended) == ["crash-000000", "summary.json"]
    assert "error: job 0: " in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("env=CartPole-v7", 2, "no environment called CartPole-v7"),
        ("env=CartPole-v1 loss=clp", 2, "no loss called clp"),
        ("env=CartPole-v1 +typo=1", 2, "unknown key typo"),
        ("env=CartPole-v1 lr=fast", 2, "lr must be a number"),
        ("env=CartPole-v1 group_size=1", 2, "group_size must be"),
        ("env=CartPole-v1 num_groups=0", 2, "num_groups must be"),
        ("env=CartPole-v1 total_steps=-1", 2, "total_steps must be"),
        ("env=CartPole-v1 lr=-0.1", 2, "lr must be"),
        ("env=CartPole-v1 gamma=1.01", 2, "gamma must be"),
        ("env=CartPole-v1 gamma=nan", 2, "gamma must be"),
        ("env=./own.py:Words env.max_steps=5", 2, "of kind Text"),
        ("env=./own.py:Broken", 1, "no licence"),
        ("env=CartPole-v1 reward_scaling=own.halve", 2, "own.halve cannot be called"),
        ("env=no_such_pkg:Env-v0", 2, "there is no module no_such_pkg"),
    ],
)
def test_bad_input_is_two_lines_and_leaves_nothing(words, code, says):
    result = grpo("train", "--quiet", *QUICK[:-1], *words.split())
    assert result.exit_code == code
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert lines[1].startswith("  fix: ")
    assert len(lines) == 2
    assert result.stdout == ""
    assert not Path("runs").exists()


def test_debug_shows_the_traceback():
    result = grpo("train", "--debug", *QUICK, "env=./own.py:Broken")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert "RuntimeError: no licence" in result.stderr


def test_a_folder_that_cannot_be_written_is_two_lines(place):
    (place / "runs").write_text("a file")
    result = grpo("train", "--quiet", *CARTPOLE)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0].startswith("error: no run folder can be made")


def test_min_reward_decides_the_exit_code_in_every_mode():
    run = grpo("train", "--quiet", *CARTPOLE).stdout.strip()
    passed = grpo("eval", f"ckpt={run}", "episodes=3", "min_reward=1")
    failed = grpo("eval", f"ckpt={run}", "episodes=3", "min_reward=500.1")
    assert (passed.exit_code, failed.exit_code) == (0, 5)
    assert "threshold 475" in failed.stdout
    what, todo = failed.stderr.splitlines()[-2:]
    assert re.match(r"error: mean reward below .*greedy .*, sampled ", what)
    assert todo.startswith("  fix: train longer")


def test_a_damaged_checkpoint_is_two_lines():
    run = grpo("train", "--quiet", *CARTPOLE).stdout.strip()
    os.truncate(Path(run) / "checkpoints/last/policy.safetensors", 50)
    result = grpo("eval", "--quiet", f"ckpt={run}")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: checkpoint is damaged: ")
    assert len(result.stderr.splitlines()) == 2


def test_own_code_is_asked_for_once_it_has_changed(place, tmp_path, monkeypatch):
    words = ["env=./own.py:Guess", "env.max_steps=5", "reward_scaling=./own.py:halve"]
    trained = grpo("train", "--quiet", *QUICK, *words, "+reward_scaling.by=2")
    assert trained.exit_code == 0
    run = Path(trained.stdout.strip()).absolute()
    monkeypatch.chdir(tmp_path)
    assert grpo("eval", "--quiet", f"ckpt={run}", "episodes=2").exit_code == 0
    (place / "own.py").write_text(OWN + "\n")
    refused = grpo("eval", "--quiet", f"ckpt={run}", "episodes=2")
    assert refused.exit_code == 2
    assert f"would import {place}/own.py:Guess" in refused.stderr
    assert "--trust" in refused.stderr
    assert grpo("eval", "--quiet", "--trust", f"ckpt={run}", "episodes=2").exit_code == 0
    named = f"env={place}/own.py:Guess"
    assert grpo("eval", "--quiet", f"ckpt={run}", "episodes=2", named).exit_code == 0

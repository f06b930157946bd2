"""`grpo watch`: a run that goes on elsewhere, and one that has ended."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from run_files import run_folder
from small_runs import own_place, train
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.runs.follow import Follower

FACTS = {
    "env": "CartPole-v1", "run": "runs/x", "total_steps": 1000, "stop_at": 475.0, "seed": 0,
    "group_size": 4, "num_groups": 2, "backend": "native",
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def test_a_run_that_has_ended_is_shown_and_left(place):
    run = train("env=CartPole-v1")["run"]
    result = CliRunner().invoke(app, ["watch"])
    assert result.exit_code == 0, result.output
    shown = result.stderr.splitlines()
    assert run in shown[0]
    assert shown[-2].split()[1] == "100"
    assert shown[-1] == "not solved"


def test_a_run_that_goes_on_is_followed_to_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = run_folder(tmp_path / "runs", score=None, returns=(1.0, 2.0))
    run.write_json("facts.json", FACTS)
    with run.alone():
        words = [sys.executable, "-m", "grpo_cli", "watch", str(run.path)]
        watching = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        seen = [watching.stderr.readline() for _ in range(4)]  # header, columns, two updates
        with (run.path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 300, "rollout/ep_rew_mean": 77.0')
            file.flush()
            time.sleep(0.6)  # half a line is not read
            file.write("}\n")
        seen.append(watching.stderr.readline())
    rest = watching.communicate(timeout=20)[0], watching.stderr
    assert "77.0" in seen[-1] or " 300" in seen[-1], (seen, rest)
    assert watching.returncode == 0


def test_what_is_read_is_new_whole_and_of_the_present(tmp_path):
    file = tmp_path / "metrics.jsonl"
    follower = Follower(tmp_path)
    assert follower.read() == []
    line = {"step": 5, "time/sample_s": 1.0, "time/update_s": 0.5, "train/loss": None}
    file.write_text(json.dumps(line) + "\n{half")
    [(step, numbers)] = follower.read()
    assert (step, follower.seconds) == (5, 1.5)
    assert np.isnan(numbers["train/loss"])
    assert follower.read() == []
    file.write_text('{"step": 4}\n')  # a resumed run has cut the file
    follower.read()
    with file.open("a") as more:
        more.write('{"step": 6}\n')
    spread = {"low": -1.0, "high": 1.0, "counts": [1, 3]}
    (tmp_path / "groups.jsonl").write_text(json.dumps({"step": 6, "spread": spread}) + "\n")
    [(step, numbers)] = follower.read()
    assert step == 6
    np.testing.assert_allclose(numbers["hist/advantage"], [-0.5, 0.5, 0.5, 0.5])


def test_runs_without_facts_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "runs")
    result = CliRunner().invoke(app, ["watch", "last"])
    assert result.exit_code == 2
    assert "facts.json cannot be read" in result.stderr

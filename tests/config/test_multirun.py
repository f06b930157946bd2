"""Jobs of `-m` in other processes, and what is left of them when one dies."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_cli.config import multirun
from grpo_cli.errors import MissingPackage

OWN = """
import os, sys
import gymnasium as gym
import numpy as np

class Mortal(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, mood=0):
        self.mood = mood

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 10
        return np.zeros(2, np.float32), {}

    def step(self, action):
        if self.mood == 1:
            raise RuntimeError("a fuse has blown")
        if self.mood == 2:
            os.kill(os.getpid(), 9)
        self.left -= 1
        return np.zeros(2, np.float32), 1.0, self.left == 0, False, {}
"""
QUICK = "num_groups=1 epochs=1 eval.episodes=2 eval.final_episodes=2 total_steps=300".split()


def test_a_launcher_that_is_not_there(monkeypatch):
    monkeypatch.setattr(multirun, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="the launcher ray is not installed") as caught:
        multirun.run(["--multirun"], ["env=CartPole-v1", "hydra/launcher=ray"], dict)
    assert "grpo-cli[ray-launcher]" in caught.value.fix


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "more"),
    [("joblib", ["hydra.launcher.n_jobs=2"]), ("submitit_local", []), ("ray", [])],
)
def test_one_that_raises_and_one_that_dies_cost_no_other(launcher, more, tmp_path, monkeypatch):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    words = ["train", "-m", "--json", "env=./own.py:Mortal", "env.kwargs.mood=0,1,2,0", *QUICK]
    command = [sys.executable, "-m", "grpo_cli", *words, f"hydra/launcher={launcher}", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    # Launchers write to stdout as well.
    records = json.loads(re.search(r"^\[\n.*", done.stdout, re.DOTALL | re.MULTILINE)[0])
    assert ["error" in record for record in records] == [False, True, True, False]
    assert "a fuse has blown" in records[1]["error"]["what"]
    assert records[2]["error"]["what"] == "the process of this job died"
    assert all(Path(record["summary"]["run"]).is_dir() for record in (records[0], records[3]))
    assert not list(tmp_path.glob(".grpo-*"))

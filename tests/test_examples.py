"""The scripts of the documents run as they are, and what they show is true."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "examples" / "documents"


def run(name, place, *words):
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, SCRIPTS / name, *words],
        capture_output=True, text=True, cwd=place, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
             "XDG_STATE_HOME": str(place / "state")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


needs_sb3 = pytest.mark.skipif(
    find_spec("stable_baselines3") is None, reason="needs Stable-Baselines3"
)


@needs_sb3
def test_000(tmp_path):
    totals = re.findall(r"total reward: ([\d.]+)", run("000_sb3_contrib.py", tmp_path).stdout)
    assert max(map(float, totals)) > 50  # the sampled policy; an untrained one gets 22
    assert (tmp_path / "grpo_cartpole.zip").is_file()


@needs_sb3
def test_001(tmp_path):
    totals = re.findall(r"total reward: ([\d.]+)", run("001_sb3_grpo.py", tmp_path).stdout)
    # The document's own example reached 59; on eight seeds this ended between 498 and 500.
    assert max(map(float, totals)) >= 475


def test_003(tmp_path):
    done = run("003_model_agnostic.py", tmp_path)
    assert "Training step completed" in done.stdout
    assert "no parameters to learn by" in done.stderr


def test_003_dynamic_bandit(tmp_path):
    told = re.findall(r"step +(\d+): arm (\d) leads with ([\d.]+)",
                      run("003_dynamic_bandit.py", tmp_path).stdout)  # fmt: skip
    leads = {int(step): (arm, float(share)) for step, arm, share in told}
    assert leads[40][0] == "3"
    assert leads[40][1] >= 0.8  # published: .843
    assert leads[80][0] == "0"


def test_004(tmp_path):
    words = ["total_steps=1000", "eval.episodes=2", "eval.final_episodes=2", "--quiet"]
    run("004_textbook.py", tmp_path, *words[:3])
    assert len(list(tmp_path.glob("runs/CartPole-v1/*/summary.json"))) == 1


def test_every_script_is_tested_and_listed():
    here, listed = Path(__file__).read_text(), (ROOT / "examples" / "README.md").read_text()
    for path in SCRIPTS.glob("*.py"):
        assert f'"{path.name}"' in here
        assert path.name in listed

"""submitit's local executor: the same job as on Slurm, as processes of this computer."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.sinks.view import View

pytest.importorskip("submitit")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WORDS = [
    "env=CartPole-v1", "env.max_steps=50", "num_groups=2", "group_size=3", "epochs=1",
    "policy.hidden=[8]", "sinks=[]", "eval.episodes=2", "eval.final_episodes=2", "stop_at=none",
    "save_every=200", "eval_every=100000000", "processes=2", "cluster=slurm",
    "cluster.executor=local",
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def train(*words):
    given = [*WORDS, *words]
    return train_job(compose(given), overrides=given, view=View(quiet=True))


def tasks():
    """Processes that do a task of a job submitted from here."""
    here, found = str(Path.cwd()), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "environ").read_text(errors="replace")
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if "submitit.core._submit" in command and here in command and "SUBMITIT_LOCAL" in said:
            found.append(int(folder.name))
    return sorted(found)


def test_a_job_of_two_tasks():
    summary = train("total_steps=2000")
    assert summary["env_steps"] >= 2000
    assert len(list(Path("runs").glob("CartPole-v1/*"))) == 1


def test_a_killed_task_is_submitted_again():
    killed = []

    def kill():
        while not list(Path("runs").glob("CartPole-v1/*/checkpoints/step-*")):
            time.sleep(0.1)
        killed.extend(tasks()[-1:])
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    summary = train("total_steps=15000")
    assert killed
    assert summary["env_steps"] >= 15000
    assert len(list(Path("runs").glob("CartPole-v1/*"))) == 1


def test_ctrl_c_reaches_rank_0_which_saves():
    words = [*WORDS, "save_every=100000000", "total_steps=100000000"]
    with Path("stderr").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "grpo_cli", "train", *words],
            stdout=subprocess.DEVNULL, stderr=errors,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
    until = time.monotonic() + 240
    while not any(path.stat().st_size for path in Path("runs").glob("*/*/metrics.jsonl")):
        assert process.poll() is None, Path("stderr").read_text()
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, Path("stderr").read_text()
    assert "all of it is saved" in Path("stderr").read_text()
    assert len(list(Path("runs").glob("CartPole-v1/*/checkpoints/step-*"))) == 1

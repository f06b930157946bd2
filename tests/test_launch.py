"""Processes that train together: their runs, and what happens when one of them ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from resumed import metrics, weights

from grpo_cli import launch
from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.config.resume import named_run
from grpo_cli.distributed import World
from grpo_cli.errors import ConfigError
from grpo_cli.sinks.view import View

WORDS = [
    "env=CartPole-v1", "env.max_steps=40", "num_groups=3", "group_size=3", "epochs=2",
    "policy.hidden=[8]", "sinks=[]", "eval.episodes=3", "eval.final_episodes=3", "eval_every=500",
    "optim.schedule=constant",
]  # fmt: skip
LONG = [*WORDS, "total_steps=10000000", "stop_at=none", "save_every=300", "processes=2"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def run(*words):
    given = [*WORDS, *words]
    return train_job(compose(given), overrides=given, view=View(quiet=True))


def close(one, other):
    for line, twin in zip(one, other, strict=True):
        common = {k: v for k, v in line.items() if "idle" not in k}
        assert {key: twin[key] for key in common} == pytest.approx(common, rel=1e-3, abs=1e-4)


def test_two_processes_make_the_run_that_one_makes():
    alone, together = run("total_steps=900"), run("total_steps=900", "processes=2")
    assert together["env_steps"] == alone["env_steps"]
    close(metrics(alone["run"]), metrics(together["run"]))
    assert len(list(Path("runs").glob("*/*"))) == 2  # one folder each, whoever writes
    line = json.loads(Path(together["run"], "metrics.jsonl").read_text().splitlines()[0])
    assert line["time/wait_s"] >= 0 <= line["time/exchange_s"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen")
def test_ranks_have_cores_of_their_own(monkeypatch):
    own = {3, 5, 6, 9, 11}
    kept = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: own)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: kept.append(list(cores)))
    for rank in range(2):
        with launch._own_cores(World(rank, 2)):
            pass
    assert kept == [[3, 5], [3, 5, 6, 9, 11], [6, 9, 11], [3, 5, 6, 9, 11]]
    kept.clear()
    with launch._own_cores(World(0, 6)):  # fewer cores than ranks: the system deals them
        assert not kept


def test_a_part_that_cannot_be_built_leaves_nothing_behind():
    with pytest.raises(ConfigError, match="baseline=greedy needs"):
        run("processes=2", "group=windows", "advantage.baseline=greedy")
    assert not Path("runs").exists()


def start(*words):
    command = [sys.executable, "-m", "grpo_cli", "train", "--quiet", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def children(process):
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(number) for number in found]


def until_saved(process):
    deadline = time.monotonic() + 240
    while not list(Path("runs").glob("*/*/checkpoints/step-*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    [folder] = Path("runs").glob("*/*")
    return folder


def gone(pid):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_when_a_process_dies_nobody_hangs_and_the_run_can_be_gone_on_with():
    process = start(*LONG)
    folder = until_saved(process)
    [other] = children(process)
    os.kill(other, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "process 0 of 2 lost another one" in said
    done = subprocess.run(
        [sys.executable, "-m", "grpo_cli", "train", "--json", f"resume={folder}",
         "total_steps=6000", "processes=2"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["env_steps"] >= 6000


@pytest.mark.slow
def test_without_rank_0_the_others_end():
    process = start(*LONG)
    until_saved(process)
    [other] = children(process)
    process.kill()
    process.communicate(timeout=60)
    assert gone(other)


@pytest.mark.slow
def test_an_interrupt_saves_and_the_rest_is_as_if_there_had_been_none(monkeypatch):
    process = start(*LONG, "name=halted")
    folder = until_saved(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "all of it is saved" in said
    steps = len(metrics(folder))
    whole = run("total_steps=1500", "stop_at=none", "save_every=300", "processes=2", "name=whole")
    total = max(
        1500, json.loads(Path(folder, "metrics.jsonl").read_text().splitlines()[-1])["step"] + 1
    )
    if total > 1500:
        whole = run(f"total_steps={total}", "stop_at=none", "save_every=300", "processes=2")
    done = subprocess.run(
        [sys.executable, "-m", "grpo_cli", "train", "--quiet", f"resume={folder}",
         f"total_steps={total}"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(metrics(folder)) > steps
    assert metrics(folder) == metrics(whole["run"])
    assert weights(folder) == weights(whole["run"])


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint_bit_for_bit():
    """With everything that has a memory: moments, a coefficient that adapts, a falling rate."""
    words = [
        "total_steps=3000", "save_every=300", "stop_at=none", "processes=2",
        "policy.normalise=true", "reward_scaling=running_std", "kl.coef=0.1", "kl.target=0.01",
        "optim.schedule=linear",
    ]  # fmt: skip
    whole = Path(run(*words, "name=whole")["run"])
    cut = Path(run(*words, "name=cut")["run"])
    first, *later = sorted((cut / "checkpoints").glob("step-*"))
    for folder in later:  # as a power cut would leave it
        shutil.rmtree(folder)
    (cut / "summary.json").unlink()
    assert later
    cfg, resumed = named_run(str(cut), [], allow=False, trusted=False)
    assert resumed.path.name == first.name
    train_job(cfg, overrides=[], view=View(quiet=True), resumed=resumed)
    assert metrics(cut) == metrics(whole)
    assert weights(cut) == weights(whole)


@pytest.mark.slow
def test_torchrun_makes_the_same_run():
    own = run("total_steps=900", "processes=2", "name=own")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "grpo_cli", "train", "--json", *WORDS, "total_steps=900", "name=by"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert metrics(summary["run"]) == metrics(own["run"])
    assert weights(summary["run"]) == weights(own["run"])

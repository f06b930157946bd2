"""Environments and workers that fail: the run goes on with the same numbers, or ends in a line."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import faults
import numpy as np
import pytest
from small_runs import own_place
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.envs import open_env
from grpo_cli.envs.workers import Workers
from grpo_cli.errors import EnvError, NonFinite, WorkerLost
from grpo_cli.sinks.view import View

QUICK = [
    "env.fresh=never",  # a fault counts the steps of training alone
    f"env={faults.__file__}:Faulty", "env.max_steps=20", "num_groups=2", "group_size=3",
    "epochs=1", "policy.hidden=[8]", "total_steps=200", "eval_every=1000", "eval.episodes=1",
    "eval.final_episodes=1", "sinks=[]",
]  # fmt: skip


def slow(how):
    return pytest.param(how, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def train(*words):
    for name, module in sys.modules.items():
        if name.startswith("grpo_own_faults"):
            module.STEPS[0] = 0
    lines, view = [], View(quiet=True)
    view.warn = lines.append  # type: ignore[method-assign]
    given = [*QUICK, *words]
    return Path(train_job(compose(given), overrides=given, view=view)["run"]), lines


def weights(run):
    return (run / "checkpoints/last/policy.safetensors").read_bytes()


@pytest.mark.parametrize("how", ["hang", "SIGKILL", *(slow(how) for how in ("exit", "SIGSEGV"))])
def test_a_lost_worker_costs_nothing(monkeypatch, tmp_path, how):
    words = ["backend=async", "backend.timeout_s=1.5"]
    straight, _ = train("name=straight", *words)
    monkeypatch.setenv("FAULT", f"{how}:30")
    monkeypatch.setenv("FAULT_ONCE", str(tmp_path / "once"))
    run, lines = train(*words)
    said = "hangs" if how == "hang" else "died"
    assert len(lines) == 1
    assert said in lines[0]
    assert "sampling this rollout again (1 of 3)" in lines[0]
    assert weights(run) == weights(straight)


def test_a_worker_that_always_hangs_ends_the_run_with_its_traceback(monkeypatch):
    monkeypatch.setenv("FAULT", "hang:5")
    with pytest.raises(WorkerLost, match=r"no answer for 0\.5 s") as lost:
        train("backend=async", "backend.timeout_s=0.5")
    assert "in faulty" in lost.value.details
    assert lost.value.exit_code == 1


def test_workers_do_not_outlive_a_killed_parent():
    code = (
        "from builders import cartpole\nfrom grpo_cli.envs.workers import Workers\nimport time\n"
        "w = Workers(cartpole().make, 4, num_workers=2)\n"
        "print(*(p.pid for p in w._processes), flush=True)\ntime.sleep(60)"
    )
    here = str(Path(__file__).parent)
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=path
    ) as parent:
        assert parent.stdout is not None
        children = parent.stdout.readline().split()
        parent.kill()
    assert len(children) == 2
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in children)


def _runs(pid):
    try:
        state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # ended, and nobody has asked for its exit code


@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("raise", EnvError, "raised in step.*a fuse has blown"),
        ("text", EnvError, "a reward that is no number"),
        ("shape", EnvError, r"an observation (of shape|that is no)"),
    ],
)
def test_what_an_environment_must_not_do_is_one_line(monkeypatch, how, error, says, backend):
    monkeypatch.setenv("FAULT", f"{how}:7")
    with pytest.raises(error, match=says):
        train(f"backend={backend}")
    assert not Path("runs").exists()


@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.parametrize("how", ["nan", "none", "nan_obs"])
def test_numbers_that_are_none_are_found_and_written_down(monkeypatch, how, backend):
    monkeypatch.setenv("FAULT", f"{how}:7")
    name = "observation" if how == "nan_obs" else "reward"
    with pytest.raises(NonFinite, match=f"non-finite {name} at step .* with seed") as found:
        train(f"backend={backend}")
    [bundle] = Path("runs").glob("*/*/crash-000000")
    assert f"replay={bundle}" in found.value.fix


def test_observations_outside_their_bounds_are_worth_a_word(monkeypatch):
    monkeypatch.setenv("FAULT", "far:7")
    _, lines = train()
    [line] = lines
    assert "declares observations from -100 to 100 at [0]" in line
    assert "policy.normalise=true" in line


def test_an_evaluation_that_pays_nan_leaves_the_policy_saved(monkeypatch):
    monkeypatch.setenv("FAULT", "nan:230")  # 204 steps of training, then episodes of 5 or more
    with pytest.raises(NonFinite, match=r"sampled episode with seed \d+ paid nan"):
        train("eval.final_episodes=9")
    [run] = Path("runs").glob("*/*")
    assert (run / "checkpoints/last/manifest.json").exists()
    assert not (run / "summary.json").exists()


@pytest.mark.parametrize("how", ["exit", slow("hang")])
def test_a_lost_worker_of_an_evaluation_costs_nothing(monkeypatch, tmp_path, how):
    words = ["backend=async", "backend.timeout_s=1.5", "eval.final_episodes=9", "total_steps=20"]
    straight, _ = train("name=straight", *words)
    monkeypatch.setenv("FAULT", f"{how}:40")  # more steps than a worker makes in training
    monkeypatch.setenv("FAULT_ONCE", str(tmp_path / "once"))
    run, lines = train(*words)
    [line] = lines
    assert "evaluating again (1 of 3)" in line
    scores = [json.loads((r / "summary.json").read_text())["eval"] for r in (run, straight)]
    assert scores[0] == scores[1]


def test_the_traceback_of_a_worker_reaches_debug(monkeypatch):
    from grpo_cli.cli.door import describe

    monkeypatch.setenv("FAULT", "raise:7")
    with pytest.raises(EnvError) as caught:
        train("backend=async")
    assert "in faulty" in describe(caught.value)["traceback"]


def test_a_checkpoint_that_cannot_be_written_costs_no_run():
    """RLIMIT_FSIZE lets small files be written, and no large one: a disk that fills up."""
    words = ["train", "--quiet", *QUICK, "save_every=60"]
    words += ["policy.hidden=[64,64]", "name=full", "sinks=[tensorboard]"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        done = CliRunner().invoke(app, words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    # each of them once, however often it was tried, and the last one as an error
    failed = [line for line in done.stderr.splitlines() if "could not be written" in line]
    assert [line.partition(":")[0] for line in failed] == ["warning", "error"]
    assert "training goes on" in failed[0]
    assert done.stderr.count("metrics.jsonl (") == 1
    assert done.stderr.count("events.out.tfevents") == 1
    assert done.exit_code == 2  # the last one: without it the run would be lost
    [run] = Path("runs").glob("*/full-*")
    assert not list((run / "checkpoints").iterdir())
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) >= 1  # the one that was cut short is gone


def test_an_environment_that_crashes_this_process_shows_where():
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FAULT": "SIGSEGV:60"}
    command = [sys.executable, "-m", "grpo_cli", "train", "--quiet", *QUICK, "save_every=1"]
    done = subprocess.run(command, capture_output=True, text=True, env=path)
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr
    assert "in faulty" in done.stderr
    run, _ = train("resume=auto")
    assert weights(run) == weights(train("name=straight", "save_every=1")[0])


def test_workers_start_again_after_a_loss():
    workers = Workers(open_env("CartPole-v1").make, 4, num_workers=2)
    seeds = np.arange(4)
    before = workers.reset(seeds)
    workers._processes[1].kill()
    with pytest.raises(WorkerLost, match="killed by signal 9"):
        workers.step(np.arange(4), np.zeros(4, dtype=np.int64))
    assert np.array_equal(workers.reset(seeds), before)
    workers.close()

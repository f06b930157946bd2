"""Real clusters on this computer: computers of Ray are killed while policies are trained."""

import csv
import json
import re
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

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own, and sockets that it leaves open
]

WORDS = [
    "env=CartPole-v1", "env.max_steps=50", "num_groups=2", "group_size=3", "epochs=1",
    "policy.hidden=[8]", "sinks=[]", "eval.episodes=2", "eval.final_episodes=2", "stop_at=none",
    "save_every=200", "eval_every=100000000", "total_steps=15000", "processes=2", "cluster=ray",
]  # fmt: skip


class Heard(View):
    def __init__(self):
        super().__init__(quiet=True)
        self.warned = []

    def warn(self, text):
        self.warned.append(text)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    yield found
    ray.shutdown()
    found.shutdown()


def test_a_killed_computer_is_done_without(cluster):
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    killed = threading.Event()

    def kill():
        while not list(Path("runs").glob("*/*/checkpoints/step-*")):
            time.sleep(0.1)
        killed.set()
        cluster.remove_node(nodes[1], allow_graceful=False)

    threading.Thread(target=kill, daemon=True).start()
    words = [*WORDS, f"cluster.address={cluster.address}"]
    view = Heard()
    summary = train_job(compose(words), overrides=words, view=view)
    assert killed.is_set()
    assert summary["env_steps"] >= 15000
    assert len(list(Path("runs").glob("CartPole-v1/*"))) == 1
    assert any(re.search(r"was lost; going on at [\d,]+ env steps", said) for said in view.warned)


def saved(where):
    return {path.parents[1] for path in Path("runs").glob(f"{where}/checkpoints/step-*")}


def wait_for(condition, process):
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, Path("stderr").read_text()
        assert time.monotonic() < until
        time.sleep(0.1)


def start(verb, cluster, *words):
    command = [sys.executable, "-m", "grpo_cli", verb, *words, f"cluster.address={cluster.address}"]
    with Path("stderr").open("w") as errors:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)


def test_computers_killed_during_a_sweep_cost_no_trial(cluster):
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    cluster.wait_for_nodes()
    words = [word for word in WORDS if not word.startswith(("processes=", "stop_at="))]
    words += ["lr=interval(1e-4,1e-2)", "sweep.trials=5", "sweep.workers=2", "sweep.confirm=0"]
    process = start("sweep", cluster, *words, "sweep.name=x", "sweep.pruner=none")
    trials = "sweeps/x/trial-*/seed-*"
    wait_for(lambda: saved(trials), process)
    cluster.remove_node(nodes[0], allow_graceful=False)
    before = len(saved(trials))
    wait_for(lambda: len(saved(trials)) > before, process)
    cluster.remove_node(nodes[1], allow_graceful=False)
    assert process.wait() == 0, Path("stderr").read_text()
    with Path("runs/sweeps/x/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == list("01234")
    assert {row["state"] for row in rows} == {"complete"}, rows
    assert sum(int(row["attempts"]) > 1 for row in rows) >= 1
    assert "its computer was lost; it goes on" in Path("stderr").read_text()


def test_ctrl_c_reaches_rank_0_which_saves(cluster):
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    words = [word for word in WORDS if not word.startswith(("save_every=", "total_steps="))]
    words += ["save_every=100000000", "total_steps=100000000"]
    process = start("train", cluster, *words)
    lines = Path("runs").glob
    wait_for(lambda: any(path.stat().st_size for path in lines("*/*/metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, Path("stderr").read_text()
    said = Path("stderr").read_text()
    assert re.search(r"interrupted at [\d,]+ env steps; all of it is saved", said)
    [run] = Path("runs").glob("CartPole-v1/*")
    [checkpoint] = run.glob("checkpoints/step-*")
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert int(checkpoint.name.rpartition("-")[2]) == last

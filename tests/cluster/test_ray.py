"""Real clusters on this computer: a computer of Ray is killed while a policy is trained."""

import re
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

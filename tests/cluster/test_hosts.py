"""Two hosts, network namespaces of this computer that see each other over a cable of their own."""

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

ROOT = Path(__file__).parents[2]
WORDS = [
    "env=CartPole-v1", "env.max_steps=40", "num_groups=3", "group_size=3", "epochs=2",
    "policy.hidden=[8]", "sinks=[]", "eval.episodes=3", "eval.final_episodes=3", "stop_at=none",
    "optim.schedule=constant",
]  # fmt: skip
HOSTS = ("grpo-a", "grpo-b")
HEAD = "10.77.0.1"
# Two computers share no memory.
OWN_MEMORY = 'mount -t tmpfs memory /dev/shm && exec "$@"'


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


def may_make_hosts():
    if sys.platform != "linux" or not shutil.which("ip") or os.geteuid():
        return False
    made = ip("netns", "add", "grpo-try").returncode == 0
    ip("netns", "del", "grpo-try")
    return made


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may_make_hosts(), reason="needs root and network namespaces"),
]


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "cable")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    for host in HOSTS:
        ip("netns", "add", host)
    ip(
        "link",
        "add",
        "cable",
        "netns",
        HOSTS[0],
        "type",
        "veth",
        "peer",
        "cable",
        "netns",
        HOSTS[1],
    )
    for number, host in enumerate(HOSTS, 1):
        for words in (
            f"addr add 10.77.0.{number}/24 dev cable",
            "link set cable up",
            "link set lo up",
        ):
            done = ip("netns", "exec", host, "ip", *words.split())
            assert done.returncode == 0, done.stderr
    started = []
    yield started
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    for host in HOSTS:
        ip("netns", "del", host)


def torchrun(started, host, flags, *words):
    """Start torchrun on a host, in a process group of its own."""
    command = ["ip", "netns", "exec", host, "sh", "-c", OWN_MEMORY, "sh", sys.executable]
    command += ["-m", "torch.distributed.run"]
    command += ["--nproc-per-node=1", f"--local-addr=10.77.0.{HOSTS.index(host) + 1}", *flags]
    with Path(f"{host}.out").open("w") as out, Path(f"{host}.err").open("w") as errors:
        process = subprocess.Popen(
            [*command, "-m", "grpo_cli", "train", *WORDS, *words],
            stdout=out, stderr=errors, start_new_session=True,
        )  # fmt: skip
    started.append(process)
    return process


def said(host):
    return Path(f"{host}.err").read_text()[-3000:]


def test_two_hosts_make_the_run_of_two_processes(hosts):
    flags = ["--nnodes=2", f"--master-addr={HEAD}", "--master-port=29511"]
    both = [
        torchrun(hosts, host, [*flags, f"--node-rank={number}"], "--json", "total_steps=900")
        for number, host in enumerate(HOSTS)
    ]
    codes = [process.wait(timeout=300) for process in both]
    assert codes == [0, 0], [said(host) for host in HOSTS]
    run = json.loads(Path(f"{HOSTS[0]}.out").read_text())["run"]
    words = [*WORDS, "total_steps=900", "processes=2", "name=here", "--json"]
    own = subprocess.run(
        [sys.executable, "-m", "grpo_cli", "train", *words],
        capture_output=True, text=True, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert own.returncode == 0, own.stderr
    assert metrics(run) == metrics(json.loads(own.stdout)["run"])
    assert weights(run) == weights(json.loads(own.stdout)["run"])


def test_a_host_that_is_killed_is_done_without(hosts):
    flags = ["--nnodes=1:2", "--max-restarts=3", "--rdzv-backend=c10d", "--rdzv-id=x"]
    flags += [f"--rdzv-endpoint={HEAD}:29512"]
    words = ["resume=auto", "total_steps=20000", "save_every=300", "eval_every=100000000"]
    # The hosts have one name, by which torchrun does not know who is at the endpoint.
    stays, goes = (
        torchrun(hosts, host, [*flags, f"--rdzv-conf=is_host={here},last_call_timeout=5"], *words)
        for host, here in zip(HOSTS, ("true", "false"), strict=True)
    )
    until = time.monotonic() + 240
    while not list(Path("runs").glob("*/*/checkpoints/step-*")):
        assert stays.poll() is None, said(HOSTS[0])
        assert time.monotonic() < until
        time.sleep(0.1)
    pids = ip("netns", "pids", HOSTS[1]).stdout.split()
    assert len(pids) >= 2  # the agent and its rank: nothing was trained on one host alone
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    assert goes.wait() != 0
    assert stays.wait(timeout=300) == 0, said(HOSTS[0])
    [run] = Path("runs").glob("*/*")
    assert json.loads((run / "summary.json").read_text())["env_steps"] >= 20000
    assert json.loads((run / "meta.json").read_text())["resumed"]

"""This project: the command a person would type, its policies judged afterwards.

    python ours.py TASK SEED [words]

Training writes a checkpoint at every look and evaluates nothing itself; the clock is the time that
sampling and learning took. A second, plain run says what a person waits for, evaluations included.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judge import EVERY, Judge

import grpo_cli
from grpo_cli import rundir
from grpo_cli.checkpoint import load
from grpo_cli.config import build
from grpo_cli.config.build_env import build_env
from grpo_cli.config.built import take
from grpo_cli.config.saved import open_config
from grpo_cli.observations import Observations


def train(words: dict[str, Any], seed: int, extra: list[str], folder: str) -> dict[str, Any]:
    """Run `grpo train`; returns its summary."""
    command = [sys.executable, "-m", "grpo_cli", "train", f"env={words['env']}", f"seed={seed}"]
    command += [f"total_steps={words['budget']}", *extra, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    """Train twice, judge the checkpoints of the first run, and print what was seen."""
    words, seed, extra = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        before, began = os.times(), time.perf_counter()
        quiet = [f"eval_every={words['budget']}", "eval.final_episodes=1", "stop_at=none"]
        keep = [f"save_every={EVERY}", "checkpoint.keep=100000", "sinks=[]"]
        summary = train(words, seed, [*extra, *quiet, *keep], folder)
        after, wall = os.times(), time.perf_counter() - began
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        result = judged(words, Path(folder, summary["run"]), min(1.0, cpu / wall))
        began = time.perf_counter()
        own = train(words, seed, extra, folder)
        result["own"] = {
            "whole_s": round(time.perf_counter() - began, 2), "env_steps": own["env_steps"],
            "solved": own["solved"], "greedy": own["eval"]["greedy"]["mean"],
            "sampled": own["eval"]["sampled"]["mean"],
        }  # fmt: skip
    # Of the commands: this process has the judge's environments.
    result["peak_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    versions = {"grpo": grpo_cli.__version__, "gymnasium": gymnasium.__version__}
    print(json.dumps({**result, "versions": {**versions, "torch": torch.__version__}}))


def judged(words: dict[str, Any], run: Path, share: float) -> dict[str, Any]:
    """Judge every checkpoint of a run; `share` of its wall time is time of the CPU."""
    tree = build.plain(open_config(rundir.RunFolder(run), trusted=True, named=set()))
    source = build_env(tree)
    policy = build.build_policy(tree, source, torch.device("cpu"))
    rows, noise = Observations(source.observation_space), np.random.default_rng(0)

    def act(obs: list[Any], greedy: bool) -> NDArray:
        drawn = None if greedy else noise.random((len(obs), policy.family.noise_width))
        return source.codec.decode(policy.act(rows.stack(obs), drawn)[0])

    judge = Judge(words, source.make, act)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    parts = ("time/sample_s", "time/update_s", "time/other_s")
    clock = np.cumsum([sum(line[part] for part in parts) for line in lines]).tolist()
    again = np.cumsum([int(line["time/replay_steps"]) for line in lines]).tolist()  # simulated too
    steps = [int(line["time/total_timesteps"]) for line in lines]
    at = dict(zip(steps, zip(again, clock, strict=True), strict=True))
    wall = 0.0
    for path in sorted((run / "checkpoints").glob("step-*")):
        step = int(path.name.removeprefix("step-"))
        replayed, wall = at[step]
        take(policy, load(path), path, source)
        judge.look(step + replayed, (wall, wall * share))
        if step + replayed >= words["budget"]:
            break
    return {**judge.result(), "train_wall_s": wall, "train_cpu_s": wall * share}


if __name__ == "__main__":
    main()

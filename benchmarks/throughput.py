"""How near to the limit? Throughput beside PPO, the bound from parts, shares, sizes and memory.

    python benchmarks/throughput.py

One core; everything that is compared is measured in turn in the same run, because computers are
noisy. Results go to results/throughput.json and, as a page, to docs/throughput.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent / "duel"))
from sides import SIDES, interpreter  # type: ignore[import-not-found]
from speed import ONE_THREAD, grpo, plain_env
from throughput_page import page

from grpo_cli.envs import NativeCartPole

HERE = Path(__file__).parent
FILE, PAGE = HERE / "results" / "throughput.json", HERE.parent / "docs" / "throughput.md"
STEPS = "epochs=4 minibatch_size=1024 num_minibatches=1"
MEMBERS = {64: 600_000, 256: 1_500_000}  # and the env steps of a run
TUNED = {"CartPole-v1": 60_000, "LunarLander-v3": 60_000}
WIDTHS = (64, 64)  # of the policy's layers
PPO = (
    "import json, sys, time; sys.path.insert(0, sys.argv[1]); from sb3 import model; import torch\n"
    "torch.set_num_threads(1); words = dict(env='CartPole-v1')\n"
    "learner = model(words, 0, 'ppo'); updates = []; train = learner.train\n"
    "def timed():\n"
    "    began = time.perf_counter(); train(); updates.append(time.perf_counter() - began)\n"
    "learner.train = timed; began = time.perf_counter(); learner.learn(30_000)\n"
    "whole = time.perf_counter() - began; done = learner.num_timesteps\n"
    "print(json.dumps({'steps_per_s': done / whole, 'update_s': sum(updates),\n"
    "    'whole_s': whole, 'sample_epochs': done * learner.n_epochs}))"
)
SHARES = {  # words, env steps; at least five updates each
    f"LunarLander-v3, {name}, 64 members": (
        f"env=LunarLander-v3 backend={name} group_size=8 num_groups=8 {STEPS}", 150_000
    )
    for name in ("sync", "envpool")
} | {
    f"{env}, {name}, 16 members": (
        f"env={env} backend={name} group_size=8 num_groups=2 {STEPS}", 100_000
    )
    for env in ("Hopper-v5", "HalfCheetah-v5")
    for name in ("sync", "envpool")
} | {
    f"{env}, tuned file": (f"env={env}", 60_000)
    for env in ("LunarLander-v3", "Hopper-v5", "HalfCheetah-v5")
}  # fmt: skip
SIZES = (16, 64, 256, 1024, 4096)  # members of an update
ROWS = (1_000, 10_000, 100_000, 1_000_000)  # env steps of an update
WINDOWS = "group=windows num_groups=8 advantage=reinforce_pp"
PIXELS = "env=grpo/Catch-v0 total_steps=5000 eval_every=50000 stop_at=none eval.final_episodes=1"
UPDATES = 10_000


def train(words: str) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Train once; returns the summary and the metrics of every update."""
    with tempfile.TemporaryDirectory() as folder:
        summary = json.loads(grpo(f"train {words} --json", folder))
        text = Path(folder, summary["run"], "metrics.jsonl").read_text()
    return summary, [json.loads(line) for line in text.splitlines()]


def ours(words: str) -> dict[str, float]:
    """Return env steps/s, and sample-epochs/s by whole time and by the time of updates."""
    summary, lines = train(words)
    steps = np.diff([0.0, *(line["time/total_timesteps"] for line in lines)])
    sample_epochs = float(np.sum(steps * [line["train/epochs"] for line in lines]))
    update_s = sum(line["time/update_s"] for line in lines)
    whole_s = summary["env_steps"] / summary["fps"]
    return {
        "steps_per_s": summary["fps"],
        "sample_epochs_per_s": sample_epochs / whole_s,
        "sample_epochs_per_update_s": sample_epochs / update_s,
    }


def ppo() -> dict[str, float]:
    """Return the same of Stable-Baselines3's PPO with rl-zoo3's values, without evaluations."""
    side = next(side for side in SIDES if side.name == "sb3-ppo")
    place = str(HERE / "duel" / "sides")
    done = subprocess.run(
        [interpreter(side), "-c", PPO, place],
        env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "steps_per_s": found["steps_per_s"],
        "sample_epochs_per_s": found["sample_epochs"] / found["whole_s"],
        "sample_epochs_per_update_s": found["sample_epochs"] / found["update_s"],
    }


def best(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Return the seconds of the fastest of the calls that fit."""
    call()
    fastest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


def bound(members: int, epochs: int = 4) -> dict[str, float]:
    """Return microseconds an env step of the parts nobody can do without, and the bound in steps/s.

    The environment is CartPole's equations; the network's products run at the speed that
    one product of 1,024 x 64 and 64 x 64 has on this computer, forward once for acting and once an
    epoch, backward (two products a layer, none for the first layer's input) once an epoch.
    """
    native = NativeCartPole(lambda: gym.make("CartPole-v1"), members, 500)
    everyone, action = np.arange(members), np.zeros(members, dtype=np.int64)
    upright = np.zeros((members, 5))

    def step() -> None:
        native.restore(everyone, upright)  # nobody falls
        native.step(everyone, action)

    a, b = torch.randn(1024, 64), torch.randn(64, 64)
    a_second = 2 * 1024 * 64 * 64 / best(lambda: torch.mm(a, b))
    sizes = list(zip((4, *WIDTHS), (*WIDTHS, 2), strict=True))
    forward = sum(2 * m * n for m, n in sizes)
    backward = 2 * forward - 2 * sizes[0][0] * sizes[0][1]
    parts = {
        "env": best(step) / members * 1e6,
        "acting": forward / a_second * 1e6,
        "learning": epochs * (forward + backward) / a_second * 1e6,
    }
    return {**parts, "gflops": a_second / 1e9, "steps_per_s": 1e6 / sum(parts.values())}


def share(words: str, steps: int) -> dict[str, float]:
    """Return the share that the environment has of a training's time, and the time of a step."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = f"total_steps={steps} eval_every={10 * steps} eval.final_episodes=1 stop_at=none"
        grpo(f"train {words} {quiet} profile=true", folder)
        (file,) = Path(folder).glob("runs/*/*/profile.json")
        profile = json.loads(file.read_text())
    parts = {name: s for name, s in profile["parts"].items() if not name.startswith("evaluate")}
    env = sum(seconds for name, seconds in parts.items() if name.split("/")[-1].startswith("env "))
    whole = sum(parts.values())
    return {"share": env / whole, "us": whole / profile["env_steps"] * 1e6}


def cost(words: str, steps: int) -> float:
    """Return microseconds of training an env step, evaluations left out; the first update too."""
    _, lines = train(f"{words} total_steps={steps} eval_every={10 * steps} stop_at=none")
    parts = ("time/sample_s", "time/update_s", "time/other_s", "time/log_s")
    kept = lines[1:] or lines
    began = lines[0]["time/total_timesteps"] if kept is not lines else 0.0
    seconds = sum(line[part] for line in kept for part in parts)
    return seconds / (lines[-1]["time/total_timesteps"] - began) * 1e6


def memory(updates: int) -> list[dict[str, float]]:
    """Return megabytes that one long run holds, at twenty moments of its updates."""
    words = "env=CartPole-v1 num_groups=1 group_size=2 group.horizon=10 epochs=1 num_minibatches=1"
    rest = f"total_steps={updates * 20} eval_every=20000 save_every=20000 stop_at=none"
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpo_cli", "train", *words.split(), *rest.split()]
        run = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **ONE_THREAD},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while run.poll() is None:
            time.sleep(1)
            done = sum(map(_lines, Path(folder).glob("runs/*/*/metrics.jsonl")))
            if done >= updates * (len(seen) + 1) / 20 and (held := _resident(run.pid)):
                seen.append({"updates": done, "mb": held})
    return seen


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def profile(members: int) -> str:
    """Return the words of the committed profile; everything else is as it is by default."""
    return f"env=CartPole-v1 group_size=8 num_groups={members // 8} {STEPS}"


def plain() -> float:
    """Return steps/s of one plain CartPole: what a computer's other figures are read in."""
    with tempfile.TemporaryDirectory() as folder:
        return plain_env(folder)


def throughput(times: int) -> dict[str, dict[str, list[float]]]:
    """Return lowest, median and highest of the compared runs, made in turn."""
    sides: dict[str, Callable[[], dict[str, float]]] = {
        f"{members} members": lambda members=members: ours(
            f"{profile(members)} total_steps={MEMBERS[members]} eval_every=50000 stop_at=none"
        )
        for members in MEMBERS
    }
    sides |= {
        f"{env}, tuned file": lambda env=env, steps=steps: ours(
            f"env={env} total_steps={steps} stop_at=none"
        )
        for env, steps in TUNED.items()
    }
    sides["SB3 PPO, CartPole-v1"] = ppo
    turns = [{name: side() for name, side in sides.items()} for _ in range(times)]
    return {name: _middle([turn[name] for turn in turns]) for name in sides}


def pixels() -> dict[str, dict[str, float]]:
    """Return the speed of a convolutional policy on every device that there is."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return {device: ours(f"{PIXELS} device={device}") for device in devices}


PARTS: dict[str, Callable[[int], Any]] = {
    "plain env, steps/s": lambda _: plain(),
    "bound": lambda _: {str(members): bound(members) for members in MEMBERS},
    "throughput": throughput,
    "shares": lambda _: {name: share(*run) for name, run in SHARES.items()},
    "members": lambda _: {
        str(size): cost(f"{profile(size)} group.horizon=100", 200 * size + 100_000)
        for size in SIZES
    },
    "rows": lambda _: {
        str(rows): cost(f"env=CartPole-v1 {WINDOWS} group_size={rows // 8} {STEPS}", 4 * rows)
        for rows in ROWS
    },
    "pixels": lambda _: pixels(),
    "memory": lambda _: memory(UPDATES),
}


def _middle(found: list[dict[str, float]]) -> dict[str, list[float]]:
    return {
        key: [min(values), statistics.median(values), max(values)]
        for key in found[0]
        for values in [[one[key] for one in found]]
    }


def main() -> None:
    """Measure, keep, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=3, help="turns of what is compared")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), help="the rest stays as it is")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    found |= {"date": datetime.now(UTC).date().isoformat(), "torch": torch.__version__}
    for name in options.parts:
        found[name] = PARTS[name](options.times)
        print(name, json.dumps(found[name]), flush=True)
        FILE.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(page(json.loads(FILE.read_text())))


if __name__ == "__main__":
    main()

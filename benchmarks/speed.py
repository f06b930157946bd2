"""How fast is it? Throughput of training, start of the command, and the README's first run.

    python benchmarks/speed.py

Everything is timed as whole processes pinned to one core where the system allows it. Computers
are noisy: each figure is the best, the median and the worst of several runs.
"""

import contextlib
import json
import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PROFILE = (
    "env=CartPole-v1 group_size=8 num_groups=8 epochs=4 minibatch_size=1024 num_minibatches=1 "
    "eval_every=50000"  # the default; the tuned file evaluates more often, to stop sooner
)
PARTS = ("sample", "update", "eval", "other", "log")
BUDGET = "total_steps=600000 stop_at=none"


def grpo(words: str, folder: str) -> str:
    """Run `grpo` once and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "grpo_cli", *words.split()],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def throughput(folder: str) -> float:
    """Env steps a second of training, with logging, checkpoints and evaluation at defaults."""
    return json.loads(grpo(f"train {PROFILE} {BUDGET} --json", folder))["fps"]


def plain_env(folder: str) -> float:
    """Steps a second of one plain CartPole: how fast this computer is, to read the rest by."""
    code = (
        "import time, gymnasium\n"
        "env = gymnasium.make('CartPole-v1'); env.reset(seed=0); n = 30000\n"
        "began = time.perf_counter()\n"
        "for i in range(n):\n"
        "    terminated, truncated = env.step(i % 2)[2:4]\n"
        "    if terminated or truncated: env.reset()\n"
        "print(n / (time.perf_counter() - began))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def lander(folder: str) -> float:
    """Env steps a second of LunarLander with its tuned settings."""
    return json.loads(grpo("train env=LunarLander-v3 total_steps=150000 --json", folder))["fps"]


def gradient_step(folder: str) -> float:
    """Microseconds of an update for each gradient step of LunarLander, about 600 rows."""
    summary = json.loads(grpo("train env=LunarLander-v3 total_steps=60000 --json", folder))
    text = (Path(folder) / summary["run"] / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return sum(line["time/update_s"] for line in lines) / lines[-1]["train/n_updates"] * 1e6


def logging_share(folder: str) -> float:
    """Percent of training time spent in sinks, with the dashboard drawn on a real terminal."""
    ours, terminal = pty.openpty()
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    words = "env=CartPole-v1 group_size=8 total_steps=100000 stop_at=none"
    run = subprocess.run(
        [sys.executable, "-m", "grpo_cli", "train", *words.split()],
        cwd=folder,
        env={**os.environ, **ONE_THREAD, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        stderr=terminal,
        stdout=subprocess.PIPE,
        check=True,
    )
    os.close(terminal)
    assert run.returncode == 0
    newest = max(Path(folder).glob("runs/*/*/metrics.jsonl"), key=lambda path: path.stat().st_mtime)
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    spent = {name: sum(line[f"time/{name}_s"] for line in lines) for name in PARTS}
    return 100 * spent["log"] / sum(spent.values())


def _drain(handle: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(handle, 65536):
            pass


def help_cpu(folder: str) -> float:
    """CPU seconds of `grpo --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    grpo("--help", folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def typo_cpu(folder: str) -> float:
    """CPU seconds until a typo is answered."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "grpo_cli", "train", "env=CartPole-v1", "grup_size=4"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_run(folder: str) -> float:
    """Seconds of the command behind `make train`: imports, training and final evaluation."""
    started = time.perf_counter()
    grpo("train env=CartPole-v1 group_size=8", folder)
    return time.perf_counter() - started


def report(name: str, measure: Callable[[str], float], unit: str, times: int, folder: str) -> None:
    """Measure several times and print best, median and worst."""
    found = sorted(measure(folder) for _ in range(times))
    middle = statistics.median(found)
    print(f"{name:<48} {found[0]:>10,.2f} {middle:>10,.2f} {found[-1]:>10,.2f}  {unit}", flush=True)


def main() -> None:
    """Print the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{'':<48} {'lowest':>10} {'median':>10} {'highest':>10}")
    with tempfile.TemporaryDirectory() as folder:
        report("one plain CartPole-v1, random actions", plain_env, "env steps/s", 5, folder)
        report("grpo --help, CPU", help_cpu, "s", 5, folder)
        report("a typo answered, CPU", typo_cpu, "s", 5, folder)
        report("grpo train env=CartPole-v1 group_size=8, whole", first_run, "s", 5, folder)
        report("logging and dashboard, share of training", logging_share, "%", 3, folder)
        report("LunarLander-v3, tuned file", lander, "env steps/s", 3, folder)
        report("LunarLander-v3, update for each gradient step", gradient_step, "us", 3, folder)
        report("CartPole-v1, 64 members, 4 epochs of 1,024", throughput, "env steps/s", 5, folder)


if __name__ == "__main__":
    main()

"""Critic-free beside PPO: everybody's own recommended settings, one protocol, one evaluator.

    python benchmarks/duel --minutes 60

Works through a queue of (environment, side, seed), one process each, and keeps every result in
benchmarks/results/duel/ at once: another call goes on where the last one stopped. `--report` only
writes docs/benchmark.md and its plots from what is there.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from report import write
from sides import SIDES, Side, interpreter, planned
from tasks import TASKS, Task

RESULTS = Path(__file__).parents[1] / "results" / "duel"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
Job = tuple[Task, Side, int]


def file_of(task: Task, side: Side, seed: int) -> Path:
    """Where one result is kept."""
    return RESULTS / task.name / f"{side.name}-s{seed}.json"


def missing(seeds: int, tasks: list[str], sides: list[str]) -> list[Job]:
    """Return what has not been run: all sides of a seed before the next seed of an environment."""
    jobs = []
    for task, number, side in product(TASKS, range(seeds), SIDES):
        if (tasks and task.name not in tasks) or (sides and side.name not in sides):
            continue
        for seed in planned(task, side)[number : number + 1] if side.takes(task) else ():
            if not file_of(task, side, seed).exists():
                jobs.append((task, side, seed))
    return jobs


def run(job: Job, deadline: float) -> None:
    """Run one job, unless time is up; a run that fails leaves its error as the result."""
    task, side, seed = job
    if time.monotonic() > deadline:
        return
    command = [interpreter(side), str(side.script), json.dumps(task.words()), str(seed)]
    env = {**os.environ, **ONE_THREAD}
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *side.words], env=env, capture_output=True, text=True, check=False
    )
    whole = time.perf_counter() - began
    if done.returncode:
        found: dict[str, Any] = {"error": done.stderr.strip()[-2000:]}
    else:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    place = {"task": task.words(), "side": side.name, "seed": seed, "whole_s": round(whole, 2)}
    date = datetime.now(UTC).date().isoformat()
    path = file_of(task, side, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**place, **found, "date": date}) + "\n")
    solved = (found.get("solved") or {}).get("greedy")
    said = f"solved at {solved['steps']:,} steps" if solved else "not solved"
    print(f"{task.name} {side.name} seed {seed}: {found.get('error', said)}", flush=True)


def main() -> None:
    """Read the words, run what is missing until time is up, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="no run starts after that")
    parser.add_argument("--seeds", type=int, default=10, help="at most that many")
    parser.add_argument("--tasks", nargs="*", default=[], help="names; default: all")
    parser.add_argument("--sides", nargs="*", default=[], help="names; default: all")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument("--report", action="store_true", help="only write the page")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    if not options.report:
        jobs = missing(options.seeds, options.tasks, options.sides)
        for side in {side for _, side, _ in jobs}:
            interpreter(side)
        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(lambda job: run(job, deadline), jobs))
    write(RESULTS)


if __name__ == "__main__":
    main()

"""What do further processes bring? Strong and weak scaling, and a model of many.

    python benchmarks/scaling.py measure   # two cores, some minutes; best with nothing else running
    python benchmarks/scaling.py cost      # the same in CPU seconds, where others work as well
    python benchmarks/scaling.py model     # parts of an update, and what follows for 8, 64, 1,024
    python benchmarks/scaling.py curves    # learning curves of one and two processes

Computers are shared and noisy: every ratio is between runs that took place at the same time or in
turn, several times, and all of them are kept in `benchmarks/results/scaling*.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import parts_of_update
from cpu import cpu_us
from learn import ONE_THREAD

from grpo_cli.config import build
from grpo_cli.config.built import build_all
from grpo_cli.config.compose import compose
from grpo_cli.sinks.view import View

RESULTS = Path(__file__).parent / "results"
LANDER = "env=LunarLander-v3 stop_at=none eval_every=1000000000 save_every=1000000000 "
LANDER += "eval.episodes=2 eval.final_episodes=2 sinks=[]"
SKIP = 2  # updates that import, allocate and fill caches
ROWS_OF_GROUP = 380  # of LunarLander-v3 while it learns to land, four members


def grpo(words: str, folder: str, cores: set[int]) -> list[dict[str, Any]]:
    """Train once, pinned to cores; returns the lines of its metrics."""
    where = ",".join(map(str, sorted(cores)))
    command = ["taskset", "-c", where, sys.executable, "-m", "grpo_cli", "train", "--json"]
    done = subprocess.run(
        [*command, *words.split()],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}: {done.stderr}{done.stdout}")
    run = Path(folder) / json.loads(done.stdout)["run"]
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def rate(lines: list[dict[str, Any]]) -> float:
    """Env steps a second of sampling, learning and waiting, without evaluation and start."""
    seconds = sum(
        line["time/sample_s"] + line["time/update_s"] + line["time/other_s"] + line["time/log_s"]
        for line in lines[SKIP:]
    )
    return (lines[-1]["step"] - lines[SKIP - 1]["step"]) / seconds


def share(lines: list[dict[str, Any]], name: str) -> float:
    """Share of the time of sampling and learning that a part takes."""
    spent = sum(line[name] for line in lines[SKIP:])
    return spent / sum(line["time/sample_s"] + line["time/update_s"] for line in lines[SKIP:])


def cost(groups: int, updates: int, times: int, core: int) -> dict[str, Any]:
    """CPU microseconds for each env step: one process, two with its groups, two with twice them."""
    kinds = {
        "one": (f"num_groups={groups}", 1),
        "strong": (f"num_groups={groups} processes=2", 1),
        "weak": (f"num_groups={2 * groups} processes=2", 2),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    balance: dict[str, list[float]] = {"strong": [], "weak": []}
    for seed in range(times):
        for name, (words, times_as_many) in kinds.items():
            steps = times_as_many * groups * ROWS_OF_GROUP * (updates + SKIP)
            given = f"{LANDER} {words} seed={seed} total_steps={steps} name=z"
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(cpu_us(given, folder, core, SKIP))
        balance["strong"].append(even(groups, seed))
        balance["weak"].append(even(2 * groups, seed))
        print(groups, {name: round(values[-1], 1) for name, values in found.items()}, flush=True)
    middle = {name: statistics.median(values) for name, values in found.items()}
    share = {name: statistics.median(values) for name, values in balance.items()}
    return {
        "groups": groups,
        "cpu_us_per_env_step": found,
        "median": middle,
        "even": share,
        "bound": {name: share[name] * middle["one"] / middle[name] for name in share},
    }


def even(groups: int, seed: int, updates: int = 4) -> float:
    """Mean over largest share of the steps of two ranks, of groups that one process samples."""
    words = f"env=LunarLander-v3 num_groups={groups} seed={seed}".split()
    built = build_all(build.plain(compose(words)), View(quiet=True))
    try:
        rollouts = [built.sampler.sample(built.policy, update) for update in range(updates)]
    finally:
        built.backend.close()
    found = []
    for rollout in rollouts:
        rows = np.bincount(rollout.group_N, minlength=groups)
        halves = [rows[: groups // 2].sum(), rows[groups // 2 :].sum()]
        found.append(np.mean(halves) / max(halves))
    return float(np.mean(found))


def pair(first: str, second: str, folder: str, cores: tuple[int, int]) -> list[list[dict]]:
    """Two runs at the same time, each on a core of its own."""
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(grpo, first, folder, {cores[0]})
        two = pool.submit(grpo, second, folder, {cores[1]})
        return [one.result(), two.result()]


def measure(sizes: list[int], updates: int, times: int, cores: tuple[int, int]) -> dict[str, Any]:
    """Compare two processes with two independent runs that take place at the same time.

    Each turn trains two single runs with so many groups at once, then two processes with as many
    groups each, then two processes with as many altogether; the order changes from turn to turn.

    Args:
        sizes: groups of a single run.
        updates: of each run, after `SKIP` that do not count.
        times: turns for each size.
        cores: two of them.
    """
    found: dict[str, Any] = {}
    for groups in sizes:
        turns = []
        for number in range(times):
            with tempfile.TemporaryDirectory() as folder:
                turns.append(_turn(groups, updates, number, cores, folder))
            print(groups, json.dumps(turns[-1]), flush=True)
        names = [name for name in turns[0] if name not in ("load_average",)]
        found[str(groups)] = {
            "turns": turns,
            "median": {name: statistics.median(turn[name] for turn in turns) for name in names},
            "range": {
                name: [min(turn[name] for turn in turns), max(turn[name] for turn in turns)]
                for name in names
            },
        }
        print(groups, json.dumps(found[str(groups)]["median"]), flush=True)
    return found


def _turn(
    groups: int, updates: int, number: int, cores: tuple[int, int], folder: str
) -> dict[str, float]:
    steps = groups * ROWS_OF_GROUP * (updates + SKIP)
    one, both = f"{LANDER} num_groups={groups} seed={number}", {*cores}
    wide = f"{LANDER} num_groups={2 * groups} seed={number} processes=2 name=w"

    def apart() -> dict[str, float]:
        runs = pair(
            f"{one} total_steps={steps} name=a", f"{one}00 total_steps={steps} name=b",
            folder, cores,
        )  # fmt: skip
        return {"two_runs": sum(rate(lines) for lines in runs)}

    def weak() -> dict[str, float]:
        return _of("weak", grpo(f"{wide} total_steps={2 * steps}", folder, both))

    def strong() -> dict[str, float]:
        return _of("strong", grpo(f"{one} total_steps={steps} processes=2 name=s", folder, both))

    parts = [apart, weak, strong] if number % 2 == 0 else [weak, apart, strong]
    seen = {"load_average": os.getloadavg()[0]}
    for part in parts:
        seen |= part()
    ratios = {f"{name}_ratio": seen[name] / seen["two_runs"] for name in ("weak", "strong")}
    return seen | ratios


def _of(name: str, lines: list[dict[str, Any]]) -> dict[str, float]:
    waits = {f"{name}_{part}": share(lines, f"time/{part}_s") for part in ("wait", "exchange")}
    return {name: rate(lines), **waits}


BUDGET = {"CartPole-v1": 25_000, "LunarLander-v3": 150_000}


def curves(seeds: int, envs: list[str], core: int) -> None:
    """Train one and two processes on the same seeds, and compare returns at equal steps.

    Written after every run; what is there already is not made again.
    """
    path = RESULTS / "scaling-curves.json"
    for env in envs:
        for seed in range(seeds):
            for processes in (1, 2):
                found = json.loads(path.read_text()) if path.exists() else {}
                grid = (np.linspace(0.1, 1.0, 10) * BUDGET[env]).tolist()
                known = found.get(env, {})
                table = known.get("curves", {}) if known.get("grid") == grid else {}
                rows = table.setdefault(str(processes), [])
                if len(rows) > seed:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    rows.append(_curve(env, seed, processes, grid, folder, core))
                table = {"1": table.get("1", []), "2": table.get("2", [])}
                found[env] = {"grid": grid, "curves": table, **_agree(table)}
                write("curves", found)
                print(env, processes, seed, rows[-1][-1], flush=True)


def _curve(
    env: str, seed: int, processes: int, grid: list[float], folder: str, core: int
) -> list[float]:
    words = f"env={env} seed={seed} processes={processes} stop_at=none sinks=[] "
    words += f"total_steps={BUDGET[env]} eval_every=1000000000 name=p{processes} "
    words += "eval.episodes=2 eval.final_episodes=2 num_groups=4"
    lines = [line for line in grpo(words, folder, {core}) if "rollout/ep_rew_mean" in line]
    returns = [line["rollout/ep_rew_mean"] for line in lines]
    return np.interp(grid, [line["step"] for line in lines], returns).round(3).tolist()


def _agree(table: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Say at how many places the 95 % bootstrap intervals of the two means overlap."""
    if min(map(len, table.values())) < 2:
        return {}
    draw = np.random.default_rng(0)
    bands = {}
    for name, rows in table.items():
        curve = np.array(rows)
        picks = draw.integers(len(curve), size=(2000, len(curve)))
        bands[name] = np.percentile(curve[picks].mean(axis=1), [2.5, 97.5], axis=0)
    one, two = bands["1"], bands["2"]
    overlap = (one[0] <= two[1]) & (two[0] <= one[1])
    return {
        "overlap": f"{int(overlap.sum())} of {len(overlap)}",
        "band_1": one.round(1).tolist(),
        "band_2": two.round(1).tolist(),
    }


def write(name: str, found: dict[str, Any]) -> None:
    """Keep a result beside what was there."""
    path = RESULTS / f"scaling-{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"wrote {path}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("measure", "cost", "model", "curves"))
    parser.add_argument("--groups", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--envs", nargs="+", default=["CartPole-v1", "LunarLander-v3"])
    parser.add_argument("--cores", type=int, nargs=2, default=(0, 1))
    given = parser.parse_args()
    if given.what == "measure":
        cores = tuple(given.cores)
        write("measure", measure(given.groups, given.updates, given.times, cores))
    elif given.what == "cost":
        found = {str(n): cost(n, given.updates, given.times, given.cores[1]) for n in given.groups}
        write("cost", found)
    elif given.what == "curves":
        curves(given.seeds, given.envs, given.cores[1])
    else:
        write("model", parts_of_update.model(given.cores))


if __name__ == "__main__":
    main()

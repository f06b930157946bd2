"""What a sweep survives, what it costs, and whether it finds anything.

    python benchmarks/sweep.py                  # all of it; results/sweep.json
    python benchmarks/sweep.py kills overhead    # parts of it

Every comparison is a ratio within one run: other programs may use the computer meanwhile. Seconds
depend on that, so seconds of CPU stand beside them.
"""

import argparse
import csv
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from grpo_cli import rundir
from grpo_cli.versions import versions

RESULT = Path(__file__).parent / "results" / "sweep.json"
GRPO = [sys.executable, "-m", "grpo_cli"]
QUICK = (
    "env=CartPole-v1 total_steps=4000 eval_every=2000 eval.episodes=2 eval.final_episodes=2 "
    "sweep.confirm=0"
).split()
SPACE = ["lr=tag(log,interval(3e-4,1e-2))", "group_size=4,8"]
Found = dict[str, Any]
TURNS = 2
"""How often two workers are compared with two processes; a turn trains all `RATES` four times."""
RATES = ["1e-3", "1.1e-3", "1.2e-3", "1.3e-3", "1.4e-3", "1.5e-3"]


def start(home: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a sweep, or a training."""
    return subprocess.Popen(
        [*GRPO, *words], cwd=home, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(home)},
    )  # fmt: skip


def finished(process: "subprocess.Popen[str]") -> str:
    """Wait for success; returns stdout."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def trials(home: Path, name: str) -> list[dict[str, str]]:
    """Read trials.csv."""
    with (home / "runs" / "sweeps" / name / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def kills(home: Path) -> Found:
    """Kill a sweep ten times at random moments; each number has to be there once."""
    count, times, chance = 14, 10, random.Random(0)
    words = ["sweep", *QUICK, *SPACE, f"sweep.trials={count}", "sweep.workers=2", "sweep.name=kill"]
    words += ["sweep.pruner=none", "save_every=500", "total_steps=60000"]  # ten kills find work
    hits, orphans, tried = 0, 0, {}
    while hits < times:
        process = start(home, *words)
        if hits % 2:  # half of them anywhere, at the start too; half while trials run
            _wait_for_a_claim(process, home / "runs/sweeps/kill/owners")
        time.sleep(chance.uniform(1, 12))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        hits += 1
        time.sleep(1)
        orphans += _trial_processes(home)
        if (home / "runs/sweeps/kill/trials.csv").exists():
            for row in trials(home, "kill"):
                tried.setdefault(row["number"], {row["lr"]}).add(row["lr"])
    finished(start(home, *words))
    rows = trials(home, "kill")
    import optuna

    study = optuna.load_study(
        study_name="kill", storage=f"sqlite:///{home}/runs/sweeps/kill/study.db"
    )
    numbers = [trial.user_attrs.get("grpo:number") for trial in study.trials]
    states = [trial.state.name for trial in study.trials]
    pairs = zip(numbers, states, strict=True)
    complete = [int(n or 0) for n, state in pairs if state == "COMPLETE"]
    return {
        "sigkills": hits,
        "asked_for": count,
        "rows": len(rows),
        "each_number_once": sorted(int(row["number"]) for row in rows) == list(range(count)),
        "complete": sum(row["state"] == "complete" for row in rows),
        "errors": [row["error"] for row in rows if row["error"]],
        "complete_in_optuna": len(complete),
        "each_once_in_optuna": sorted(complete) == list(range(count)),
        "others_in_optuna": len(numbers) - len(complete),
        "begun_again": sum(int(row["attempts"]) - 1 for row in rows),
        "changed_settings_when_begun_again": sum(len(some - {""}) > 1 for some in tried.values()),
        "trial_processes_left_behind": orphans,
    }


def _wait_for_a_claim(process: "subprocess.Popen[str]", locks: Path) -> None:
    """Wait until a sweep is at work, or over."""
    before = set(locks.glob("*"))
    while process.poll() is None and set(locks.glob("*")) <= before:
        time.sleep(0.05)


def _trial_processes(home: Path) -> int:
    """Count processes of trials whose working folder is ours."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = os.readlink(entry / "cwd") == str(home)
            count += ours and b"grpo_cli.cli.trial" in (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return count


def overhead(home: Path) -> Found:
    """Measure what a trial takes beyond building, training and scoring, cold and warm."""
    found: Found = {}
    for name, reuse in (("cold", "false"), ("warm", "true")):
        words = ["sweep", *QUICK, *SPACE, "sweep.trials=8", "sweep.pruner=none"]
        finished(start(home, *words, f"sweep.name={name}", f"sweep.reuse={reuse}"))
        beyond = [float(row["wall_s"]) - float(row["job_s"]) for row in trials(home, name)]
        beyond = beyond[1:] if reuse == "true" else beyond  # the first warms the process
        found[f"{name}_s"] = {"median": statistics.median(beyond), "max": max(beyond)}
    begun = time.perf_counter()
    code = "import torch, gymnasium, hydra, numpy"
    subprocess.run([sys.executable, "-c", code], check=True)
    found["importing_torch_gymnasium_hydra_alone_s"] = time.perf_counter() - begun
    return found


def workers(home: Path) -> Found:
    """Compare two workers over one with two independent processes over one, in the same run.

    `serial_s` is what a sweep takes beyond its trials, one after the other; with quiet cores two
    workers would be over two processes by its share, whatever else the computer does meanwhile.
    """
    size = [*QUICK, "total_steps=60000", "sweep.pruner=none", f"lr={','.join(RATES)}"]
    size += ["seed=0", "stop_at=none"]

    def sweep(count: int, turn: int) -> float:
        name, begun = f"w{count}-{turn}", time.perf_counter()
        finished(start(home, "sweep", *size, f"sweep.workers={count}", f"sweep.name={name}"))
        return time.perf_counter() - begun

    def alone(processes: int) -> float:
        """Train the same ones, so many at a time."""
        begun = time.perf_counter()
        plain = [word for word in size if not word.startswith(("sweep.", "lr="))]
        queues = [RATES[n::processes] for n in range(processes)]
        running = [start(home, "train", *plain, f"lr={queue[0]}", "-q") for queue in queues]
        for place in range(1, len(queues[0])):
            for process in running:
                finished(process)
            running = [start(home, "train", *plain, f"lr={q[place]}", "-q") for q in queues]
        for process in running:
            finished(process)
        return time.perf_counter() - begun

    turns = []
    for turn in range(TURNS):
        took: dict[str, float] = {}
        ways = {
            "sweep_1_s": lambda t=turn: sweep(1, t), "train_1_s": lambda: alone(1),
            "sweep_2_s": lambda t=turn: sweep(2, t), "train_2_s": lambda: alone(2),
        }  # fmt: skip
        names = list(ways) if turn % 2 == 0 else list(reversed(ways))
        for name in names:
            took[name] = ways[name]()
        trained = sum(float(row["wall_s"]) for row in trials(home, f"w1-{turn}"))
        serial = took["sweep_1_s"] - trained
        turns.append(
            {
                **took,
                "sweep_ratio": took["sweep_2_s"] / took["sweep_1_s"],
                "independent_ratio": took["train_2_s"] / took["train_1_s"],
                "serial_s": serial,
                "over_by_serial": serial / took["sweep_1_s"],
                "load": os.getloadavg()[0],
            }
        )
        turns[-1]["over"] = turns[-1]["sweep_ratio"] / turns[-1]["independent_ratio"] - 1
        print(json.dumps(turns[-1]), flush=True)
    names = ("over", "over_by_serial", "serial_s")
    middle = {f"median_{name}": statistics.median(turn[name] for turn in turns) for name in names}
    return {"turns": turns, **middle}


def cartpole(home: Path) -> Found:
    """Twelve trials on CartPole, then the winner and the worst quarter on fresh seeds."""
    most = 60_000
    words = [
        "sweep", "env=CartPole-v1", "lr=tag(log,interval(1e-4,3e-2))", "group_size=4,8,16",
        "epochs=2,4,8", f"total_steps={most}", "sweep.trials=12",
        "sweep.objective=steps_to_threshold",
        "sweep.name=cartpole", "sweep.pruner=none", "sweep.reuse=true", "sweep.workers=2",
        "sweep.seeds=3", "sweep.finalists=3", "--json",
    ]  # fmt: skip
    result = json.loads(finished(start(home, *words)))
    rows = [row for row in trials(home, "cartpole") if row["state"] == "complete"]
    rows.sort(key=lambda row: float(row["value"]))
    keys = ("lr", "group_size", "epochs")
    settings = {"winner": [f"{key}={result['best']['params'][key]}" for key in keys]}
    for row in rows[-(len(rows) // 4) :]:
        settings[f"trial {row['number']}"] = [f"{key}={row[key]}" for key in keys]
    seeds = range(20_000, 20_005)  # that neither the trials nor the sweep's own check have seen
    runs = [
        (name, home, [*given, f"total_steps={most}", f"seed={seed}"])
        for name, given in settings.items()
        for seed in seeds
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        reached = list(pool.map(_steps, *zip(*(run[1:] for run in runs), strict=True)))
    steps: dict[str, list[int]] = {}
    for (name, _, _), count in zip(runs, reached, strict=True):
        steps.setdefault(name, []).append(count)
    others = [x for name, some in steps.items() if name != "winner" for x in some]
    return {
        "winner": result["best"],
        "values_of_all_trials": [float(row["value"]) for row in rows],
        "settings": settings,
        "fresh_seeds": list(seeds),
        "budget": most,
        "env_steps_until_solved_or_budget": steps,
        "winner_mean": statistics.fmean(steps["winner"]),
        "worst_quarter_mean": statistics.fmean(others),
    }


def _steps(home: Path, words: list[str]) -> int:
    """Train, and return the env steps until it was solved, all of them where it was not."""
    from grpo_cli.config.compose import compose
    from grpo_cli.config.jobs import train_job
    from grpo_cli.sinks.view import View

    make_run = partial(rundir.create, root=home / "fresh")
    cfg = compose(["env=CartPole-v1", *words])
    summary = train_job(cfg, overrides=words, view=View(quiet=True), make_run=make_run)
    return summary["env_steps"] if summary["solved"] else int(cfg.total_steps)


PARTS: dict[str, Callable[[Path], Found]] = {
    "kills": kills, "overhead": overhead, "workers": workers, "cartpole": cartpole,
}  # fmt: skip


def main() -> None:
    """Measure, and add it to the results."""
    parser = argparse.ArgumentParser(description="What a sweep survives, costs and finds.")
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}")
    for name in parser.parse_args().parts:
        with tempfile.TemporaryDirectory(prefix="grpo-sweep-") as folder:
            part: Found = {
                "when": time.strftime("%Y-%m-%d %H:%M"),
                "cores": len(os.sched_getaffinity(0)),
                "load_before": os.getloadavg()[0],
            }
            part |= PARTS[name](Path(folder).resolve())
        print(name, json.dumps(part, indent=1), flush=True)
        found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        found[name] = part
        found["versions"] = {"python": platform.python_version(), **versions()}
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Does it learn? Trains one environment with several seeds and says how many solve it.

    python benchmarks/learn.py CartPole-v1 --seeds 10 --at-least 475 --within 100000

Every run is the command a person would type, in a process of its own; its score is the mean over
greedy episodes (100, or --episodes) on the Gymnasium environment at the end of the run; `reached`
is when the training episodes of one update, which are sampled, first had that mean. The table
goes to standard output and, with everything needed to repeat it, to benchmarks/results/.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def train(env: str, seed: int, words: list[str], folder: str) -> dict[str, Any]:
    """Run `grpo train` once; returns its summary, or the error it printed."""
    command = [sys.executable, "-m", "grpo_cli", "train", f"env={env}", f"seed={seed}", *words]
    done = subprocess.run(
        [*command, "--json"],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]  # killed
        return {"seed": seed, "error": said, "env_steps": 0}
    return json.loads(done.stdout)


def reached(run: Path, at_least: float) -> int | None:
    """Return the env steps at which the training episodes of an update first had that mean."""
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        if line["rollout/ep_rew_mean"] >= at_least:
            return int(line["time/total_timesteps"])
    return None


def row(summary: dict[str, Any], at_least: float, within: int, folder: str) -> dict[str, Any]:
    """Keep of a summary, and of the run in that folder, what the table shows."""
    if "error" in summary:
        return {"seed": summary["seed"], "error": summary["error"], "solved": False}
    greedy, sampled = (summary["eval"][mode]["mean"] for mode in ("greedy", "sampled"))
    return {
        "seed": summary["seed"],
        "solved": greedy >= at_least and summary["env_steps"] <= within,
        "env_steps": summary["env_steps"],
        "greedy": round(greedy, 2),
        "sampled": round(sampled, 2),
        "reached": reached(Path(folder, summary["run"]), at_least),
        "train_s": round(summary["train_s"], 2),
        "steps_per_s": round(summary["fps"]),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print one line per seed."""
    print(
        f"{'seed':>4} {'solved':>6} {'env steps':>10} {'greedy':>9} {'sampled':>9} "
        f"{'reached':>9} {'seconds':>8}"
    )
    for line in rows:
        if "error" in line:
            print(f"{line['seed']:>4} {'no':>6}  {line['error']}")
            continue
        print(
            f"{line['seed']:>4} {'yes' if line['solved'] else 'no':>6} {line['env_steps']:>10,} "
            f"{line['greedy']:>9.2f} {line['sampled']:>9.2f} "
            f"{line['reached'] or '-':>9} {line['train_s']:>8.1f}"
        )


def main() -> None:
    """Read the words, train all seeds, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("env")
    parser.add_argument("words", nargs="*", help="further key=value words for grpo train")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    parser.add_argument("--at-least", type=float, required=True, help="greedy mean that counts")
    parser.add_argument("--within", type=int, required=True, help="env steps allowed")
    parser.add_argument("--episodes", type=int, default=100, help="of the final score")
    parser.add_argument("--name", help="of the result file; default: the environment")
    options = parser.parse_intermixed_args()

    words = options.words
    if options.episodes != parser.get_default("episodes"):
        words = [*words, f"eval.final_episodes={options.episodes}"]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.workers) as pool:
        runs = pool.map(lambda seed: train(options.env, seed, words, folder), seeds)
        rows = [row(run, options.at_least, options.within, folder) for run in runs]
    show(rows)
    solved = sum(line["solved"] for line in rows)
    steps = [line["env_steps"] if line["solved"] else float("inf") for line in rows]
    print(
        f"{options.env}: {solved} of {len(rows)} seeds reach {options.at_least:g} (greedy, "
        f"{options.episodes:,} episodes) within {options.within:,} env steps; "
        f"median {statistics.median(steps):,.0f} steps"
    )
    result = {
        "env": options.env,
        "words": words,
        "at_least": options.at_least,
        "within": options.within,
        "solved": solved,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "runs": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"learn-{options.name or options.env.replace('/', '-')}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

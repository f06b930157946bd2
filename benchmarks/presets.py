"""Every preset at equal simulator steps: which published variant learns control tasks?

    python benchmarks/presets.py --minutes 30

Works through a queue of (seed, env, preset), one process each, and keeps every score in
results/presets.json at once: another call goes on where the last one stopped. Budgets are the same
for everybody, nothing stops early, scores are means over 30 greedy episodes on the Gymnasium
environment at the end of the run. The table goes to docs/presets.md.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from learn import RESULTS, train
from resumable import read, work_through

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = {"CartPole-v1": 100_000, "LunarLander-v3": 100_000}
SOLVED = {"CartPole-v1": 475.0, "LunarLander-v3": 200.0}
EPISODES = 30  # at the end, in each mode: on LunarLander they take as long as the training does
FILE = RESULTS / "presets.json"
TABLE = ROOT / "docs" / "presets.md"


def presets() -> list[str]:
    """Names of the presets that play whole episodes; the others have tables of their own."""
    files = sorted((ROOT / "conf" / "preset").glob("*.yaml"))
    chosen = {f.stem: (yaml.safe_load(f.read_text()) or {}).get("defaults", []) for f in files}
    return [name for name, words in chosen.items() if not any("/group" in str(w) for w in words)]


def run(preset: str, env: str, seed: int) -> dict[str, Any]:
    """Train once; returns the score, or the error."""
    budget = BUDGETS[env]
    words = [f"preset={preset}", f"total_steps={budget}", "stop_at=none", f"eval_every={budget}"]
    words.append(f"eval.final_episodes={EPISODES}")
    with tempfile.TemporaryDirectory() as folder:
        summary = train(env, seed, words, folder)
    place = {"preset": preset, "env": env, "seed": seed}
    if "error" in summary:
        return {**place, "error": " ".join(summary["error"])}
    scores = {mode: round(summary["eval"][mode]["mean"], 2) for mode in ("greedy", "sampled")}
    return {**place, **scores, "env_steps": summary["env_steps"]}


def table(rows: list[dict[str, Any]], seeds: int) -> str:
    """Return the results as a Markdown page."""
    lines = [
        "# Every preset at equal simulator steps",
        "",
        "Mean return of 30 greedy episodes at the end of the run: median over seeds, lowest and",
        f"highest, and how many of {seeds} seeds are solved. The first row is no preset: each",
        "environment's tuned file as it was. Presets change the estimator and the loss alone;",
        "learning rate, groups and epochs stay those of that file, which was tuned for the first",
        "row, and `remax` and `opo` take one gradient step for each rollout, as they must.",
        "The runs are from 2026-11-21, when CartPole-v1's file had two groups of eight and",
        "LunarLander-v3's four. Both have changed since; the KL of deepseek_outcome,",
        "deepseek_process, gigpo and tgrpo was a mean over steps then.",
        "Made by `python benchmarks/presets.py` from `benchmarks/results/presets.json`.",
        "",
        "| preset | " + " | ".join(f"{env}, {budget:,} steps" for env, budget in BUDGETS.items()),
        "|---|" + "---|" * len(BUDGETS),
    ]
    lines[-2] += " |"
    names = {row["preset"]: None for row in rows}
    order = sorted(names, key=lambda name: (name != "none", -_median(rows, name, "CartPole-v1")))
    for name in order:
        cells = [_cell(rows, name, env) for env in BUDGETS]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _of(rows: list[dict[str, Any]], preset: str, env: str) -> list[dict[str, Any]]:
    return [row for row in rows if (row["preset"], row["env"]) == (preset, env)]


def _median(rows: list[dict[str, Any]], preset: str, env: str) -> float:
    scores = [row.get("greedy", -np.inf) for row in _of(rows, preset, env)]
    return float(np.median(scores)) if scores else -np.inf


def _cell(rows: list[dict[str, Any]], preset: str, env: str) -> str:
    mine = _of(rows, preset, env)
    scores = [row["greedy"] for row in mine if "greedy" in row]
    failed = len(mine) - len(scores)
    if not scores:
        return f"failed {failed} times" if failed else "not run yet"
    solved = sum(score >= SOLVED[env] for score in scores)
    text = f"{np.median(scores):.0f} ({min(scores):.0f} to {max(scores):.0f}), {solved} solved"
    return text + (f", {failed} failed" if failed else "")


def main() -> None:
    """Work through the queue until the time is up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="no run begins after them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    rows = read(FILE)
    done = {(row["preset"], row["env"], row["seed"]) for row in rows}
    queue = [
        (preset, env, seed)
        for seed in range(options.seeds)
        for env in BUDGETS
        for preset in presets()
        if (preset, env, seed) not in done
    ]
    limits = {"minutes": options.minutes, "workers": options.workers}
    rows = work_through(queue, run, rows, FILE, **limits)
    TABLE.write_text(table(rows, options.seeds))
    print(f"{len(rows)} of {len(done) + len(queue)} runs are there")


if __name__ == "__main__":
    main()

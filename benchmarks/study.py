"""What makes critic-free work? One setting at a time, at equal simulator steps.

    python benchmarks/study.py --minutes 60

Every question changes one thing in an environment's tuned file. Works through a queue of (seed,
environment, setting), one process each, and keeps every score in results/study.json at once:
another call goes on where the last one stopped. The table goes to docs/study.md.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from learn import RESULTS, train
from resumable import read, work_through

ROOT = Path(__file__).resolve().parents[1]
FILE, TABLE = RESULTS / "study.json", ROOT / "docs" / "study.md"
EPISODES = 30  # at the end, in each mode
BUDGETS = {
    "CartPole-v1": 40_000,
    "Acrobot-v1": 50_000,
    "Pendulum-v1": 36_000,
    "MountainCarContinuous-v0": 30_000,
    "LunarLander-v3": 250_000,
}
# Where the study changed a file: what it said before, which every row starts from.
BEFORE = {
    "CartPole-v1": "gamma=0.99 group.same_start=true",
    "LunarLander-v3": "advantage.scale=batch",
}
# What the files say, as the defaults of the schema say it; and so many times the budget.
UNTUNED, PATIENCE = (
    "advantage=time_aligned gamma=0.99 policy.log_std=0 policy.normalise=false group.noise_steps=1 "
    "optim.schedule=linear",
    3,
)
# Words that change one thing, or one after the other; * : on LunarLander too, where a run takes
# longest.
QUESTIONS = {
    "tuned file": ["*"],
    "baseline": [
        "advantage=time_aligned *", "advantage=linear *", "advantage=fitted *",
        "advantage=scalar *", "advantage=outcome *", "advantage=bin",
    ],
    "members: groups x size": [
        "num_groups=1 group_size=16 *", "num_groups=2 group_size=8 *",
        "num_groups=4 group_size=4 *", "num_groups=8 group_size=2", "num_groups=2 group_size=4",
        "num_groups=4 group_size=8 *", "num_groups=8 group_size=8",
    ],
    "starts": ["group.same_start=false *", "group.shared_noise=true group.same_start=false"],
    "held noise": ["group.noise_steps=1 *", "group.noise_steps=4 *", "group.noise_steps=16"],
    "scale": [
        "advantage.scale=none *", "advantage.scale=group *",
        "advantage.scale=timestep advantage.fallback=[]",
    ],
    "horizon": [
        "group.horizon=100 *", "group.horizon=100 then group.horizon=null *", "group.slots=8",
        "reward.mask_truncated=true *",
        "gamma=0.9", "gamma=0.99 *", "gamma=1",
    ],
    "selection": ["group.candidates=16", "group.drop_dead=true"],
    "epochs": ["epochs=1", "epochs=4 *", "epochs=20"],
    "minibatches": ["num_minibatches=1", "num_minibatches=4 *", "num_minibatches=16"],
    "trust region": [
        "loss.eps_low=0.1", "loss.eps_low=0.3", "optim.target_kl=null *", "optim.target_kl=0.01",
        "kl.coef=0.01 kl.reference=old",
    ],
    "entropy": ["entropy.coef=0.003", "entropy.coef=0.01 *", "entropy.coef=0.03"],
    "observations": ["policy.normalise=true *", "policy.normalise=false"],
    "lr": ["lr=0.0003", "lr=0.001 *", "lr=0.003", "lr=0.006"],
    "schedule": ["optim.schedule=linear *", "optim.schedule=constant"],
    "optimizer": ["optim.max_grad_norm=5", "policy.activation=relu", "policy.head_gain=1"],
    "look-aheads": ["group=branches"],
    "one set for all": [f"{UNTUNED} {words} *" for words in (
        "num_groups=4 group_size=8 lr=0.001 epochs=4 num_minibatches=4",
        "num_groups=2 group_size=4 lr=0.002 epochs=8 num_minibatches=8",
        "num_groups=2 group_size=4 lr=0.002 epochs=8 num_minibatches=8 policy.normalise=true",
        "num_groups=2 group_size=4 lr=0.002 epochs=8 num_minibatches=8 policy.log_std=-0.5",
        "num_groups=2 group_size=8 lr=0.002 epochs=8 num_minibatches=8",
        "num_groups=2 group_size=8 lr=0.002 epochs=10 num_minibatches=16",
        "num_groups=2 group_size=8 lr=0.002 epochs=10 num_minibatches=16 advantage.scale=none",
        "num_groups=2 group_size=8 lr=0.002 epochs=10 num_minibatches=16 group.same_start=false",
        "num_groups=2 group_size=8 lr=0.003 epochs=10 num_minibatches=16",
        "num_groups=2 group_size=8 lr=0.002 epochs=8 num_minibatches=8 group.noise_steps=4",
        "num_groups=2 group_size=8 lr=0.002 epochs=10 num_minibatches=16 group.noise_steps=2",
        "num_groups=2 group_size=8 lr=0.002 epochs=10 num_minibatches=16 group.noise_steps=4",
    )],
}  # fmt: skip
LONGEST = "LunarLander-v3"


def settings(env: str) -> list[tuple[str, str]]:
    """Return (question, words) of everything that is tried on an environment."""
    every = [(name, words) for name, answers in QUESTIONS.items() for words in answers]
    chosen = [pair for pair in every if env != LONGEST or pair[1].endswith("*")]
    return [(name, words.rstrip("* ")) for name, words in chosen]


def run(env: str, words: str, seed: int) -> dict[str, Any]:
    """Train once; returns the scores, or the error."""
    budget = BUDGETS[env] * (PATIENCE if words.startswith(UNTUNED) else 1)
    fixed = ["stop_at=none", f"eval_every={budget}", "sinks=[]"]
    fixed.append(f"eval.final_episodes={EPISODES}")
    place = {"env": env, "words": words, "seed": seed}
    stages = words.split(" then ")
    with tempfile.TemporaryDirectory() as folder:
        going_on: list[str] = []
        summary: dict[str, Any] = {}
        for number, stage in enumerate(stages, start=1):
            steps = f"total_steps={budget * number // len(stages)}"
            given = [*going_on, *BEFORE.get(env, "").split(), *stage.split(), steps, *fixed]
            summary = train(env, seed, given, folder)
            if "error" in summary:
                return {**place, "error": " ".join(summary["error"])}
            going_on = [f"resume={summary['run']}", "resume_changes=allow"]
        curve = mean_of_the_curve(Path(folder, summary["run"]))
    scores = {mode: round(summary["eval"][mode]["mean"], 2) for mode in ("greedy", "sampled")}
    return {**place, **scores, "curve": round(curve, 2), "train_s": round(summary["train_s"], 1)}


def mean_of_the_curve(run: Path) -> float:
    """Return the mean over env steps of the training episodes' return: sooner is higher."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = np.diff([0.0, *(line["time/total_timesteps"] for line in lines)])
    return float(np.average([line["rollout/ep_rew_mean"] for line in lines], weights=steps))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown page."""
    heads = [f"{env}, {budget:,}" for env, budget in BUDGETS.items()]
    before = "; ".join(f"{env} `{words}`" for env, words in BEFORE.items())
    lines = [
        "# One setting at a time",
        "",
        "Each row changes one thing in the tuned file of the environment (a row that says what the",
        "file says repeats the first); where the study has changed a file since, in what that said",
        f"before: {before}. A cell: mean return over all training episodes, weighted by",
        "env steps (higher: sooner), then the greedy mean of 30 episodes at the end; medians over",
        "seeds, and how many seeds. **Bold**: every seed's curve is above the tuned file's best",
        "seed's; *italic*: below its worst. Every simulator step counts; nothing stops early. With",
        "`group.horizon` the curve is the return of what was played, lower by itself: compare the",
        "greedy means there; *then*: the second half of the budget with that. *One set for all*",
        f"has {PATIENCE} times the budget, and besides `{UNTUNED}`.",
        "Made by `python benchmarks/study.py` from `benchmarks/results/study.json`; what follows",
        "from it is in [LOG.md](LOG.md).",
        "",
        "| question | setting | " + " | ".join(heads) + " |",
        "|---|---|" + "---|" * len(heads),
    ]
    for name, words in settings("CartPole-v1"):
        cells = [_cell(rows, env, words) for env in BUDGETS]
        said = words.removeprefix(UNTUNED).strip()
        if any(cells):
            lines.append(f"| {name} | {f'`{said}`' if said else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(rows: list[dict[str, Any]], env: str, words: str) -> str:
    mine = [row for row in rows if (row["env"], row["words"]) == (env, words)]
    done = [row for row in mine if "curve" in row]
    if not done:
        return "refused" if mine else ""
    base = [r["curve"] for r in rows if (r["env"], r["words"]) == (env, "") and "curve" in r]
    curve, greedy = ([row[key] for row in done] for key in ("curve", "greedy"))
    mark = ""
    if words and base and len(done) > 1 and not words.startswith(UNTUNED):
        mark = "**" if min(curve) > max(base) else "*" if max(curve) < min(base) else ""
    return f"{mark}{np.median(curve):.4g}{mark}; {np.median(greedy):.4g} ({len(done)})"


def main() -> None:
    """Work through the queue until the time is up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="no run begins after them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--envs", nargs="*", default=list(BUDGETS))
    parser.add_argument("--questions", nargs="*", default=list(QUESTIONS))
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    rows = read(FILE)
    done = {(row["env"], row["words"], row["seed"]) for row in rows}
    queue = [
        (env, words, seed)
        for seed in range(options.seeds)
        for env in options.envs
        for question, words in settings(env)
        if question in options.questions and (env, words, seed) not in done
    ]
    limits = {"minutes": options.minutes, "workers": options.workers}
    TABLE.write_text(table(work_through(queue, run, rows, FILE, **limits)))


if __name__ == "__main__":
    main()

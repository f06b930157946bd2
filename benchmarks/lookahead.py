"""Look-aheads beside PPO and whole episodes, every simulated step counted.

    python benchmarks/lookahead.py --seeds 5

Two questions. With 10,000 and 20,000 env steps of CartPole-v1, walks and look-aheads together: what
do the scripts of documents 000 and 001 reach, and what the PPO of Stable-Baselines3, where it is
installed? And on three environments with their own rewards: how many steps until they are solved?

Scores are means over 100 greedy episodes at the end. An update that has begun is finished, so the
steps taken are shown. Every setting is kept in results/lookahead.json at once: another call goes on
where the last one stopped. The tables go to docs/lookahead.md.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

import gymnasium as gym
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from learn import ONE_THREAD, RESULTS

from grpo_cli import GRPO

FILE = RESULTS / "lookahead.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "lookahead.md"
EPISODES = 100
Score = tuple[float, int]  # greedy mean, env steps
Run = Callable[[list[int]], list[Score]]  # of each seed

BUDGETS = (10_000, 20_000)
DOCUMENT_001 = {"n_steps": 256, "batch_size": 64, "n_epochs": 10, "learning_rate": 3e-4}

# What counts as solved, and the words that solve it; with whole episodes see learn.py.
SOLVED = {"CartPole-v1": 475, "Acrobot-v1": -100, "Pendulum-v1": -200}
BRANCHES = {
    "CartPole-v1": "group=branches num_groups=8 total_steps=250000",
    "Acrobot-v1": "group=branches num_groups=8 total_steps=500000",
    "Pendulum-v1": "group=branches group.horizon=40 group.walks=8 num_groups=16 group_size=8 "
    "total_steps=500000",
}

PAGE_TEXT = """# Look-aheads beside PPO and whole episodes

Greedy mean of 100 episodes at the end of a run: mean and standard deviation over seeds, and the
lowest. Every simulated step counts, in walks, look-aheads and branches; an update that has
begun is finished, so more are taken than were asked for.
Made by `python benchmarks/lookahead.py` from `benchmarks/results/lookahead.json`.

## The scripts of documents 000 and 001

CartPole-v1 with two budgets. The scripts are those of `examples/documents`, with a seed.
Document 001's and `sb3_grpo` look 2 steps ahead and are paid by the document's reward function;
document 000's and `sb3_contrib` look 20 steps ahead and are paid by the environment, which says
nothing about states that are more than 20 steps from falling. PPO is that of Stable-Baselines3.
An untrained policy gets 22.

| what | steps asked for | taken | greedy | lowest |
|---|---|---|---|---|
{by_budget}

## Steps until solved

With the environments' own rewards, from the tuned files of 2026-11-21 and the words shown
(branches: before they had groups of four); whole episodes are those that `benchmarks/learn.py` made
then. The files have changed since, Pendulum-v1's and CartPole-v1's most
([changelog](../CHANGELOG.md)); what today's reach is in `benchmarks/results/learn-*.json`. A
run stops once a check of 100 episodes, greedy and sampled, exceeds the file's `stop_at` by its
standard error, or at `total_steps`; steps are those until then. Solved is a greedy mean at
the end of at least {goals}.

| environment | words | solved | greedy | lowest | steps, median | most |
|---|---|---|---|---|---|---|
{by_goal}
"""


def custom_reward_scaling(rewards: np.ndarray) -> np.ndarray:
    """Document 000's."""
    return np.clip(rewards / (np.abs(rewards).max() + 1e-8), -1, 1)


def cartpole_reward_fn(
    state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor
) -> torch.Tensor:
    """Document 001's."""
    reward = 1.0 - torch.abs(next_state[:, 2]) - 0.1 * torch.abs(next_state[:, 0])
    return reward.unsqueeze(-1)


def command(words: str, seeds: list[int]) -> list[Score]:
    """Train with `grpo train -m`, all seeds in one process."""
    said = [*words.split(), "sinks=[]", f"eval.final_episodes={EPISODES}"]
    said.append("seed=" + ",".join(map(str, seeds)))
    with tempfile.TemporaryDirectory() as folder:
        source = "import torch\n" + inspect.getsource(cartpole_reward_fn)
        Path(folder, "document.py").write_text(source)
        done = subprocess.run(
            [sys.executable, "-m", "grpo_cli", "train", "-m", *said, "--json"],
            cwd=folder,
            env={**os.environ, **ONE_THREAD},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    summaries = [job["summary"] for job in json.loads(done.stdout)]
    return [(summary["eval"]["greedy"]["mean"], summary["env_steps"]) for summary in summaries]


def model(make: Callable[..., Any], budget: int, seeds: list[int]) -> list[Score]:
    """Train models with the interface of Stable-Baselines3, and play them here."""
    scores = []
    for seed in seeds:
        made = make("MlpPolicy", gym.make("CartPole-v1"), seed=seed, device="cpu")
        made.learn(budget)
        played = mean(_play(made, 10_000 + episode) for episode in range(EPISODES))
        scores.append((played, int(made.num_timesteps)))
    return scores


def _play(made: Any, seed: int) -> float:  # noqa: ANN401 - two libraries' models
    env = gym.make("CartPole-v1")
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(made.predict(obs, deterministic=True)[0])
        total, over = total + float(reward), terminated or truncated
    return total


def queue() -> dict[tuple[str, str, int], Run]:
    """Return what there is to run, by environment, name and budget (0: the words say it)."""
    by_document = {
        "document 001's script": partial(GRPO, **DOCUMENT_001, reward_function=cartpole_reward_fn),
        "document 000's script": partial(
            GRPO, samples_per_time_step=5, reward_scaling_fn=custom_reward_scaling
        ),
    }
    if find_spec("stable_baselines3") is None:
        print("no PPO: pip install stable-baselines3")
    else:
        ppo = import_module("stable_baselines3").PPO
        by_document["PPO, its defaults"] = partial(ppo)
        by_document["PPO, document 001's keywords"] = partial(ppo, **DOCUMENT_001)
    runs: dict[tuple[str, str, int], Run] = {}
    for name, make in by_document.items():
        for budget in BUDGETS:
            runs["CartPole-v1", name, budget] = partial(model, make, budget)
    for words in (
        "preset=sb3_grpo reward=./document.py:cartpole_reward_fn",
        "preset=sb3_contrib",
        "group=episodes",
    ):
        for budget in BUDGETS:
            said = f"env=CartPole-v1 {words} total_steps={budget} stop_at=none"
            runs["CartPole-v1", f"`{words}`", budget] = partial(command, said)
    for env, words in BRANCHES.items():
        runs[env, f"`{words}`", 0] = partial(command, f"env={env} {words}")
    return runs


def episodes(env: str) -> dict[str, Any]:
    """Return what learn.py found with whole episodes, as a row."""
    found = json.loads((RESULTS / f"learn-{env}.json").read_text())
    name = " ".join(["group=episodes", *found["words"]])
    scores = [(run["greedy"], run["env_steps"]) for run in found["runs"]]
    return {"env": env, "name": f"`{name}`", "budget": 0, "scores": scores}


def page(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown page."""
    by_budget, by_goal = [], []
    for row in [*rows, *(episodes(env) for env in SOLVED)]:
        greedy, steps = zip(*row["scores"], strict=True)
        scored = f"{mean(greedy):.0f} ± {pstdev(greedy):.0f} | {min(greedy):.0f}"
        if row["budget"]:
            asked = f"{row['budget']:,} | {mean(steps):,.0f}"
            by_budget.append(f"| {row['name']} | {asked} | {scored} |")
        else:
            goal = SOLVED[row["env"]]
            solved = f"{sum(g >= goal for g in greedy)} of {len(greedy)}"
            taken = f"{median(steps):,.0f} | {max(steps):,}"
            by_goal.append(f"| {row['env']} | {row['name']} | {solved} | {scored} | {taken} |")
    goals = ", ".join(f"{goal} on {env}" for env, goal in SOLVED.items())
    return PAGE_TEXT.format(
        by_budget="\n".join(by_budget), by_goal="\n".join(sorted(by_goal)), goals=goals
    )


def main() -> None:
    """Work through the queue until the time is up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="nothing begins after them")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * options.minutes
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    kept = {(row["env"], row["name"], row["budget"]): row for row in rows}
    runs = queue()
    for place, run in runs.items():
        if place in kept or time.monotonic() > end:
            continue
        env, name, budget = place
        scores = run(list(range(options.seeds)))
        kept[place] = {"env": env, "name": name, "budget": budget, "scores": scores}
        rows = [kept[where] for where in runs if where in kept]
        FILE.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
        print(json.dumps(kept[place]), flush=True)
    PAGE.write_text(page(rows))
    print(f"{len(rows)} of {len(runs)} settings are there")


if __name__ == "__main__":
    main()

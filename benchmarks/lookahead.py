"""Do look-aheads learn what PPO learns? The documents' examples beside PPO, every step counted.

    python benchmarks/lookahead.py --seeds 5

CartPole-v1 with 10,000 and 20,000 env steps, walks and look-aheads together: document 001's reward
function through preset=sb3_grpo, document 000's look-ahead through preset=sb3_contrib, and episodes
for comparison. PPO is that of Stable-Baselines3, where it is installed, with its own defaults and
with those of document 001's example; it gets at least as many steps as were asked for. Scores are
means over 100 greedy episodes; an update that has begun is finished, so the steps taken are shown.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, pstdev

from learn import RESULTS, train

ENV = "CartPole-v1"
BUDGETS = (10_000, 20_000)
DOCUMENT = """
import torch

def cartpole_reward_fn(state, action, next_state):
    cart_pos = next_state[:, 0]
    pole_angle = next_state[:, 2]
    reward = 1.0 - torch.abs(pole_angle) - 0.1 * torch.abs(cart_pos)
    return reward.unsqueeze(-1)
"""
OURS = {
    "sb3_grpo, reward function": ["preset=sb3_grpo", "reward=./document.py:cartpole_reward_fn"],
    "sb3_contrib": ["preset=sb3_contrib"],
    "branches": ["group=branches"],
    "episodes": [],
}
PPO = {
    "PPO, its defaults": {},
    "PPO, document 001": {"n_steps": 256, "batch_size": 64, "n_epochs": 10, "learning_rate": 3e-4},
}

Score = tuple[float, int]  # greedy mean, env steps


def ours(words: list[str], folder: str, budget: int, seed: int) -> Score:
    """Train with `grpo train` to the end of the budget."""
    words = [*words, f"total_steps={budget}", "stop_at=none", "sinks=[]"]
    summary = train(ENV, seed, words, folder)
    if "error" in summary:
        raise SystemExit(summary["error"])
    return summary["eval"]["greedy"]["mean"], summary["env_steps"]


def ppo(keywords: dict[str, float], budget: int, seed: int) -> Score:
    """Train with Stable-Baselines3."""
    import gymnasium as gym

    sb3 = import_module("stable_baselines3")
    model = sb3.PPO("MlpPolicy", gym.make(ENV), seed=seed, device="cpu", **keywords)
    model.learn(budget)
    evaluation = import_module("stable_baselines3.common.evaluation")
    score, _ = evaluation.evaluate_policy(model, gym.make(ENV), n_eval_episodes=100, warn=False)
    return float(score), int(model.num_timesteps)


def main() -> None:
    """Read the words, train everything, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="runs of grpo side by side")
    options = parser.parse_args()
    seeds, rows = range(options.seeds), []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "document.py").write_text(DOCUMENT)
        runs: dict[str, Callable[[int, int], Score]] = {
            name: partial(ours, words, folder) for name, words in OURS.items()
        }
        if find_spec("stable_baselines3") is None:
            print("no PPO: pip install stable-baselines3")
        else:
            runs |= {name: partial(ppo, keywords) for name, keywords in PPO.items()}
        for name, run in runs.items():
            # PPO's own seeding is global: one at a time.
            with ThreadPoolExecutor(options.workers if name in OURS else 1) as pool:
                for budget in BUDGETS:
                    scores = list(pool.map(partial(run, budget), seeds))
                    row = {"name": name, "budget": budget, "scores": scores}
                    rows.append(row)
                    print(line(row), flush=True)
    result = {"env": ENV, "date": datetime.now(UTC).date().isoformat(), "runs": rows}
    (RESULTS / "lookahead.json").write_text(json.dumps(result, indent=1) + "\n")


def line(row: dict) -> str:
    """One line of the table."""
    greedy, steps = zip(*row["scores"], strict=True)
    return (
        f"{row['name']:<26} {row['budget']:>7,} steps (taken {mean(steps):>7,.0f})  "
        f"greedy {mean(greedy):6.1f} +- {pstdev(greedy):5.1f}  worst {min(greedy):6.1f}"
    )


if __name__ == "__main__":
    main()

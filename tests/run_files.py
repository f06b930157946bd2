"""Run folders of a few lines, in the form that training writes them."""

import json
from pathlib import Path

from grpo_cli.rundir import RunFolder

CONFIG = "env:\n  id: {env}\nseed: {seed}\nlr: {lr}\nloss:\n  name: clip\n  eps_low: 0.2\n"


def run_folder(
    root: Path,
    seed: int = 0,
    *,
    env: str = "CartPole-v1",
    name: str = "grpo",
    lr: float = 0.01,
    returns: tuple[float, ...] = (10.0, 20.0, 30.0),
    score: float | None = 40.0,
) -> RunFolder:
    """Write a run whose update i took it to 100 (i + 1) env steps; without a score it goes on."""
    path = root / env / f"{name}-s{seed}-20260101-00000{seed}"
    path.mkdir(parents=True)
    run = RunFolder(path)
    run.checkpoints.mkdir()
    started = f"2026-01-01T00:00:0{seed}+00:00"
    meta = {"schema": 1, "env": env, "seed": seed, "started": started, "command": []}
    run.write_json("meta.json", meta)
    run.write("config.yaml", CONFIG.format(env=env, seed=seed, lr=lr))
    run.write("overrides.yaml", f"- env={env}\n- lr={lr}\n- seed={seed}\n")
    lines = [
        {
            "step": 100 * (i + 1),
            "rollout/ep_rew_mean": ret,
            "time/total_timesteps": 100.0 * (i + 1),
            "time/iterations": i + 1.0,
        }
        for i, ret in enumerate(returns)
    ]
    run.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    if score is not None:
        scored = {
            "episodes": 3, "mean": score, "ci_low": score - 1, "ci_high": score + 1, "std": 1.0,
            "median": score, "iqm": score, "length_mean": 9.0, "success_rate": None,
        }  # fmt: skip
        summary = {
            "run": str(path), "env": env, "solved": score >= 40, "stop_at": 40.0,
            "env_steps": 100 * len(returns), "updates": len(returns), "seed": seed, "wall_s": 2.0,
            "fps": 100.0, "eval": {"greedy": scored, "sampled": {**scored, "mean": score - 1}},
        }  # fmt: skip
        run.write_json("summary.json", summary)
    return run

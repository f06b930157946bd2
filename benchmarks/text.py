"""A language model learns arithmetic by GRPO alone: exact match on held-out sums, before and after.

    python examples/text/make_model.py arithmetic models/arithmetic
    python benchmarks/text.py models/arithmetic --adapter none lora --seeds 0 1 2

Runs `grpo train` as a person would type it and reads what it wrote; processor time is that of the
child. Results go to benchmarks/results/text.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).with_name("results") / "text.json"
GOAL = 0.8
PROMPTS = 500
COMMON = [
    "preset=agilerl", "env=text/arithmetic", "group_size=16", "num_groups=32",
    "optim.max_grad_norm=1.0", "policy.temperature=1.0", "policy.micro_batch=512",
    "eval_every=50000", "save_every=1000000", "eval.episodes=200", f"eval.final_episodes={PROMPTS}",
    "total_steps=600000", "optim.schedule=linear", "stop_at=none",
]  # fmt: skip
SETTINGS = {"none": ["lr=0.0001"], "lora": ["lr=0.0005", "policy.rank=32", "policy.alpha=64"]}


def grpo(*words: str) -> tuple[dict, float]:
    """Run a verb; its JSON, and seconds of processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "grpo_cli", words[0], "--json", *words[1:]],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), spent


def right(found: dict) -> dict[str, float]:
    """Share of right answers in each mode."""
    return {mode: round(score["success_rate"], 3) for mode, score in found["eval"].items()}


def untouched(model: str, seed: int) -> dict[str, float]:
    """Score the model as it came: a run that learns nothing worth mentioning."""
    words = [w for w in COMMON if not w.startswith("total_steps")]
    found, _ = grpo(
        "train", *words, f"policy.model={model}", f"seed={seed}", "policy.adapter=lora",
        "lr=1e-12", "total_steps=1", "name=before",
    )  # fmt: skip
    return right(found)


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model")
    parser.add_argument("--adapter", nargs="+", default=["none", "lora"], choices=SETTINGS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for seed in asked.seeds:
        before = untouched(asked.model, seed)
        for adapter in asked.adapter:
            words = [
                *COMMON, *SETTINGS[adapter], f"policy.model={asked.model}",
                f"policy.adapter={adapter}", f"seed={seed}", f"name=text-{adapter}",
            ]  # fmt: skip
            found, spent = grpo("train", *words)
            after = right(found)
            known[f"{adapter}-{seed}"] = {
                "before": before, "after": after, "tokens": found["env_steps"],
                "updates": found["updates"], "cpu_s": round(spent), "prompts": PROMPTS,
                "reached": after["greedy"] >= GOAL,
                "words": [w for w in words if not w.startswith("policy.model")],
            }  # fmt: skip
            print(f"{adapter} seed {seed}: {before} -> {after}, {spent:.0f} s of processor")
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()

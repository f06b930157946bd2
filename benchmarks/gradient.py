"""What does a gradient step cost, written out and by torch's graph, docs/adr/0006?

    python benchmarks/gradient.py

One core, CartPole's policy, clipping and Adam included, the fastest of 60 turns; printed.
"""

import os
import time
from functools import partial

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `grpo` does, before NumPy is loaded

import numpy as np
import torch
from gymnasium import spaces

from grpo_cli.adam import Adam, clip_grad_norm
from grpo_cli.distributions import Categorical
from grpo_cli.entropy import bonus
from grpo_cli.gradient import Gradient, by_graph, gradient_of
from grpo_cli.kl import exact
from grpo_cli.losses import clip
from grpo_cli.objective import Objective
from grpo_cli.policies import Policy, mlp
from grpo_cli.rollout import Batch

TURNS, STEPS = 60, 16


def measure(rows: int) -> dict[str, float]:
    """Return microseconds of a gradient step on so many rows, both ways by turns."""
    box = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    policy, objective = Policy(mlp(box), 64, Categorical(2)), Objective(clip, exact, bonus)
    optimizer = Adam(policy.parameters(), lr=0.0)
    action, half = torch.randint(0, 2, (rows, 1)), torch.full((rows,), -0.69)
    batch = Batch(torch.randn(rows, 4), action, half, torch.randn(rows), torch.ones(rows), None)
    ways = {
        "written out": gradient_of(policy, objective),
        "graph": partial(by_graph, policy, objective),
    }

    def step(gradient: Gradient) -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            gradient(batch)
            clip_grad_norm(optimizer.gradients(), 0.5)
            optimizer.step()
        return (time.perf_counter() - began) / STEPS * 1e6

    turns = [{name: step(gradient) for name, gradient in ways.items()} for _ in range(TURNS)]
    return {name: min(turn[name] for turn in turns) for name in ways}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for rows in (25, 150, 1024):
        print(rows, {name: round(us) for name, us in measure(rows).items()})

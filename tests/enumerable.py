"""A world small enough to enumerate: two groups of two members, two steps, two actions."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from builders import make_rollout

from grpo_cli.rollout import Floats, Rollout

STARTS = (0.4, -1.1)  # first observations of the two groups
THETA = 0.7


def move(state: float, action: int) -> float:
    """Next state."""
    return 0.8 * state + (1.0 if action else -0.6)


def pay(state: float, action: int) -> float:
    """Reward."""
    return state**2 + 0.7 * state * action + action


def choice(state: float) -> float:
    """Probability of action 1."""
    return 1 / (1 + np.exp(-THETA * state))


def walk(
    start: float, actions: Sequence[int]
) -> tuple[list[float], list[float], list[float], float]:
    """States, rewards, scores (d log p / d theta) and probability of two steps."""
    states = [start, move(start, actions[0])]
    rewards = [pay(s, a) for s, a in zip(states, actions, strict=True)]
    chance = [choice(s) for s in states]
    scores = [(a - p) * s for s, a, p in zip(states, actions, chance, strict=True)]
    prob = np.prod([p if a else 1 - p for a, p in zip(actions, chance, strict=True)])
    return states, rewards, scores, float(prob)


def exact_gradient() -> float:
    """d/d theta of the expected sum of rewards of one member of each group, by enumeration."""
    total = 0.0
    for start in STARTS:
        for actions in itertools.product((0, 1), repeat=2):
            _, rewards, scores, prob = walk(start, actions)
            total += prob * (rewards[0] * scores[0] + rewards[1] * sum(scores))
    return total


def expected_gradient(estimate: Callable[[Rollout, Floats], Floats]) -> float:
    """Expectation of the estimated gradient over everything 2 groups of 2 members can do."""
    total = 0.0
    choices = list(itertools.product((0, 1), repeat=2))
    for drawn in itertools.product(choices, repeat=4):
        walks = [walk(STARTS[m // 2], actions) for m, actions in enumerate(drawn)]
        obs = torch.tensor([[s] for states, *_ in walks for s in states], dtype=torch.float64)
        rollout = make_rollout([rewards for _, rewards, _, _ in walks], [0, 0, 1, 1], obs=obs)
        scores = np.concatenate([scores for _, _, scores, _ in walks])
        prob = np.prod([prob for *_, prob in walks])
        total += prob * (estimate(rollout, rollout.reward) * scores).sum() / 2
    return total

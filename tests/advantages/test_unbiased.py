"""Which estimators have the policy gradient as their expectation, by enumeration."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import make_rollout
from enumerable import STARTS, choice, exact_gradient, expected_gradient, move, walk

from grpo_cli.advantages import peer, peer_stats
from grpo_cli.returns import returns_to_go
from grpo_cli.rollout import BASELINE, LEARN

WHOLE = {"value": "return", "key": "group"}


def by(**settings):
    plain = {"fallback": [], "scale": "none", **settings}
    return lambda rollout, reward: peer(rollout, reward, 1.0, **plain).advantage


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"key": "group"},
        {"key": "batch"},
        {**WHOLE},
        {**WHOLE, "baseline": "none"},
        {**WHOLE, "baseline": "shrunk"},
        {"key": "batch", "baseline": "none", "adjust": "linear"},
    ],
    ids=["time", "scalar", "batch", "rloo", "none", "shrunk", "fitted"],
)
def test_what_looks_at_others_only_is_unbiased(settings):
    assert expected_gradient(by(**settings)) == pytest.approx(exact_gradient(), rel=1e-9)


def test_the_greedy_member_is_an_unbiased_baseline():
    def with_greedy(rollout, reward):
        rewards = reward.reshape(-1, 2).tolist()
        for start in STARTS:
            first = int(choice(start) > 0.5)
            second = int(choice(move(start, first)) > 0.5)
            rewards.append(walk(start, (first, second))[1])
        role = np.array([LEARN] * 4 + [BASELINE] * 2, dtype=np.int8)
        more = make_rollout(rewards, [0, 0, 1, 1, 0, 1], role=role)
        return by(**WHOLE, baseline="greedy")(more, more.reward)[:8]

    assert expected_gradient(with_greedy) == pytest.approx(exact_gradient(), rel=1e-9)


def blind(rollout):
    """Every state looks the same, so that members meet themselves at the other step."""
    return replace(rollout, obs=torch.zeros(len(rollout.step), 1))


def test_anchor_states_are_unbiased_because_ones_own_visits_are_no_peers():
    def anchored(rollout, reward):
        return by(key="state")(blind(rollout), reward)

    def naive(rollout, reward):
        to_go = returns_to_go(reward, rollout.member, 1.0)
        return to_go - peer_stats(to_go, rollout.group_N).mean

    exact = exact_gradient()
    assert expected_gradient(anchored) == pytest.approx(exact, rel=1e-9)
    assert abs(expected_gradient(naive) - exact) > 0.01 * abs(exact)


@pytest.mark.parametrize(
    ("settings", "unbiased"),
    [
        ({}, True),
        ({"baseline": "mean"}, True),  # but for the factor (G - 1) / G
        ({"baseline": "mean", "scale": "group"}, False),
        ({"baseline": "score_norm"}, False),  # one's own action weighs one's own return
    ],
)
def test_directions_on_a_bandit(settings, unbiased):
    p, r = np.array([0.2, 0.5, 0.3]), np.array([1.0, 0.0, 3.0])
    exact = p * (r - p @ r)
    arms = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = np.zeros(3)
    for draw in arms:
        rollout = make_rollout([[r[arm]] for arm in draw])
        norm = 1 - 2 * p[draw] + p @ p
        given = {**WHOLE, "fallback": [], "scale": "none", **settings, "score_norm": norm}
        got = peer(rollout, rollout.reward, 1.0, **given).advantage
        found += p[draw].prod() * (got[:, None] * (np.eye(3)[draw] - p)).mean(axis=0)
    cosine = found @ exact / np.linalg.norm(found) / np.linalg.norm(exact)
    assert (cosine > 1 - 1e-9) == unbiased

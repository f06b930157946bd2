"""Laws that hold for every file of conf/advantage."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from builders import make_rollout

from grpo_cli.advantages import check_peer, peer
from grpo_cli.rollout import BASELINE

FILES = sorted((Path(__file__).parents[2] / "conf/advantage").glob("*.yaml"))
NO_PEERS = {"reinforce", "fitted"}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def shipped(request):
    settings = yaml.safe_load(request.param.read_text())
    assert settings.pop("name") == "peer"
    return request.param.stem, settings


def world(seed=0, groups=3, size=4):
    """Ragged members; the first of each group is the greedy one, and nobody else's peer."""
    noise = np.random.default_rng(seed)
    lengths = noise.integers(2, 9, groups * size)
    rewards = [noise.normal(size=length).tolist() for length in lengths]
    obs = torch.from_numpy(noise.integers(0, 3, size=(lengths.sum(), 1)))
    role = np.zeros(groups * size, dtype=np.int8)
    role[::size] = BASELINE
    group = np.repeat(np.arange(groups), size).tolist()
    return make_rollout(rewards, group, obs=obs.float(), role=role)


def advantages(rollout, reward, settings, gamma=0.9):
    norm = np.linspace(0.1, 1, len(reward))
    return peer(rollout, reward, gamma, **settings, score_norm=norm).advantage


def test_it_is_known_to_fit(shipped):
    check_peer(shipped[1])


def test_it_compares_something(shipped):
    rollout = world()
    got = advantages(rollout, rollout.reward, shipped[1])
    assert np.isfinite(got).all()
    assert (got[rollout.role[rollout.member] == BASELINE] == 0).all()
    assert (got != 0).mean() > 0.3


def test_doubled_rewards_double_it_or_leave_it(shipped):
    rollout = world()
    once, twice = (advantages(rollout, k * rollout.reward, shipped[1]) for k in (1, 2))
    levels = [shipped[1], *shipped[1]["plus"]]
    scaled = shipped[1]["value"] == "process" or all(
        level.get("scale", shipped[1]["scale"]) != "none" for level in levels
    )
    assert twice == pytest.approx(once if scaled else 2 * once, rel=1e-5, abs=1e-7)


def test_members_that_did_the_same_are_not_compared(shipped):
    name, settings = shipped
    role = np.array([BASELINE, 0, 0, 0, BASELINE, 0, 0, 0], dtype=np.int8)
    same = [[0.1, 0.7, 0.3]] * 4
    obs = torch.tensor([[0.0], [1.0], [2.0]]).repeat(8, 1)
    rollout = make_rollout(same * 2, [0] * 4 + [1] * 4, obs=obs, role=role)
    got = advantages(rollout, rollout.reward, settings)
    zero = (got == 0).all()
    # scalar, batch and process means compare the early steps with the late ones
    assert zero or name in NO_PEERS | {"reinforce_pp", "scalar", "process"}


def test_the_order_of_groups_does_not_matter(shipped):
    rollout = world()
    rewards = [rollout.reward[rollout.member == m].tolist() for m in range(12)]
    order = [*range(8, 12), *range(4), *range(4, 8)]
    where = [np.flatnonzero(rollout.member == m) for m in order]
    moved = np.concatenate(where)
    group = rollout.group.tolist()
    other = make_rollout(
        [rewards[m] for m in order], group, obs=rollout.obs[moved], role=rollout.role
    )
    norm = np.linspace(0.1, 1, len(moved))
    one = peer(rollout, rollout.reward, 0.9, **shipped[1], score_norm=norm).advantage
    two = peer(other, other.reward, 0.9, **shipped[1], score_norm=norm[moved]).advantage
    assert two == pytest.approx(one[moved])

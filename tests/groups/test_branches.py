"""Branches: continuations from visited states, as members and as a baseline."""

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy
from steps import source

from grpo_cli.advantages import peer
from grpo_cli.envs import make_simulator
from grpo_cli.errors import ConfigError
from grpo_cli.groups import branches, candidates
from grpo_cli.groups.visits import Draw
from grpo_cli.returns import returns_to_go
from grpo_cli.transitions import TransitionReward

GAMMA = 0.9


def sampled(kind, opened, policy, num_groups=4, group_size=3, reward=None, **settings):
    simulator, _ = make_simulator(opened, 12)
    mode = kind(simulator, opened.codec, num_groups, group_size, 0, GAMMA, reward, **settings)
    return mode.sample(policy, 2)


def test_members_start_in_one_visited_state_and_go_on_to_the_end():
    opened = source()
    rollout = sampled(branches, opened, make_cartpole_policy(opened), num_groups=6, walks=1)
    first = rollout.obs[torch.from_numpy(rollout.first_row)]
    assert first[:, 1].tolist() == [step for step in range(6) for _ in range(3)]  # steps done there
    assert (first.reshape(6, 3, 2) == first.reshape(6, 3, 2)[:, :1]).all()
    assert np.bincount(rollout.member).tolist() == [6 - s for s in range(6) for _ in range(3)]
    assert rollout.reward.tolist() == rollout.action[:, 0].tolist()  # the environment pays so
    assert rollout.terminated.all()
    assert rollout.sim_steps == 6 + 3 * (6 + 5 + 4 + 3 + 2 + 1)
    assert rollout.parent_step.tolist() == first[:, 1].tolist()


def test_a_horizon_cuts_members_off():
    opened = source()
    policy = make_cartpole_policy(opened)
    rollout = sampled(branches, opened, policy, num_groups=6, walks=1, horizon=2)
    assert np.bincount(rollout.member).tolist() == [min(2, 6 - s) for s in range(6) for _ in "abc"]
    assert rollout.truncated.tolist() == [step < 4 for step in range(6) for _ in "abc"]


def test_shared_noise_leaves_the_first_actions_apart():
    opened = source()
    rollout = sampled(branches, opened, make_cartpole_policy(opened), shared_noise=True)
    action = rollout.action[:, 0].numpy()
    later = [
        {tuple(action[(rollout.member == m) & (rollout.step > 0)]) for m in range(g * 3, g * 3 + 3)}
        for g in range(4)
    ]
    assert [len(group) for group in later] == [1] * 4
    assert len({*action[rollout.step == 0]}) > 1


@pytest.mark.parametrize("shared", [True, False])
def test_candidates_without_a_horizon_are_the_first_steps_of_branches(shared):
    opened = cartpole()
    policy = make_cartpole_policy(opened)
    both = [
        sampled(kind, opened, policy, horizon=None, shared_noise=shared)
        for kind in (branches, candidates)
    ]
    rows = torch.from_numpy(both[0].first_row)
    worth = returns_to_go(both[0].reward, both[0].member, GAMMA)[both[0].first_row]
    fresh = np.arange(12) % 3 > 0  # the first candidate is the walk's own action
    assert torch.equal(both[0].obs[rows], both[1].obs)
    assert torch.equal(both[0].action[rows][fresh], both[1].action[fresh])
    assert worth[fresh] == pytest.approx(both[1].reward[fresh])


def test_a_step_of_the_walk_is_worth_what_vine_ppo_says():
    opened = cartpole()
    policy = make_cartpole_policy(opened)
    every = {"walks": 1, "num_groups": 200}  # one walk, all its states
    branch = sampled(branches, opened, policy, **{**every, "state_frac": 1.0})
    steps = int(branch.episodes.length[0])
    walk = sampled(branches, opened, policy, **every, learn="walk")
    worth = returns_to_go(branch.reward, branch.member, GAMMA)[branch.first_row]
    value = np.append(worth.reshape(-1, 3).mean(axis=1)[:steps], 0.0)  # nothing after the end
    expected = 1.0 + GAMMA * value[1:] - value[:-1]  # CartPole pays 1 a step
    found = peer(
        walk, walk.reward, GAMMA, value="return", key="group", fallback=(), scale="none"
    ).advantage
    learned = walk.weight == 1
    first = walk.parent[learned] == 0
    assert learned.reshape(-1, 4)[:, 0].all()  # one of four members learns
    assert learned.sum() == len(walk.reward) / 4
    assert found[learned][first] == pytest.approx(expected)


@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_with_a_horizon_both_sides_count_as_many_steps(horizon):
    opened = source()
    policy = make_cartpole_policy(opened)
    every = {"walks": 1, "num_groups": 6, "horizon": horizon}  # one walk, all its states
    branch = sampled(branches, opened, policy, **every)
    walk = sampled(branches, opened, policy, **every, learn="walk")
    within = np.where(branch.step < horizon - 1, branch.reward, 0.0)
    later = returns_to_go(within, branch.member, GAMMA)[branch.first_row]
    value = np.append(later.reshape(6, 3).mean(axis=1), 0.0)  # nothing after the end
    paid = walk.action[walk.weight == 1][:, 0].numpy()  # the environment pays so
    assert walk.reward[walk.weight == 1] == pytest.approx(paid + GAMMA * value[1:])
    whole = returns_to_go(branch.reward, branch.member, GAMMA)[branch.first_row]
    assert walk.reward[walk.weight == 0] == pytest.approx(whole)


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_step_that_changes_nothing_within_the_horizon_has_no_advantage(horizon):
    opened = cartpole()
    rollout = sampled(
        branches, opened, make_cartpole_policy(opened), num_groups=200, walks=1, learn="walk",
        horizon=horizon,
    )  # fmt: skip
    # CartPole pays 1 a step, and its pole stands for the first eight whatever is done.
    early = np.flatnonzero((rollout.parent == 0) & (rollout.parent_step < 8 - horizon))
    assert len(early) == 4 * (8 - horizon)
    assert rollout.reward[early] == pytest.approx(sum(GAMMA**step for step in range(horizon)))


def test_drawn_states_and_their_successors_are_saved_and_no_others():
    draw = Draw(1, successors=True)
    for address, key in enumerate([0.5, 0.9, 0.8, 0.2, 0.7, 0.6, 0.3]):
        if draw.wants([key], [address])[0]:
            draw.save(key, address, np.array([address]))
    # The first is drawn until the fourth is; each with the one that follows, and not the next.
    assert draw.drawn == [3]
    assert sorted(draw.states) == [0, 1, 3, 4]


def test_branching_at_drawn_steps_asks_their_successors_too():
    opened = source()
    policy = make_cartpole_policy(opened)
    rollout = sampled(branches, opened, policy, num_groups=2, learn="walk", walks=1)
    drawn = rollout.parent_step[::4]
    asked = {s for d in drawn for s in (d, d + 1) if s < 6}
    assert rollout.sim_steps == 6 + 3 * sum(6 - s for s in asked)


def test_the_walk_knows_no_other_reward():
    opened, reward = source(), TransitionReward(lambda s, a, n: s[:, 0])
    with pytest.raises(ConfigError, match="knows only the environment's reward"):
        sampled(branches, opened, make_cartpole_policy(opened), learn="walk", reward=reward)

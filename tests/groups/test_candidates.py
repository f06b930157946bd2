"""Candidates: what an action is worth, how it counts, and that nothing else differs."""

import logging

import gymnasium as gym
import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy
from steps import Count, source

from grpo_cli.advantages import peer, score
from grpo_cli.envs import make_simulator, open_env
from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.groups import candidates
from grpo_cli.losses import clip
from grpo_cli.policies import auto, make_policy
from grpo_cli.randomness import Purpose, rng
from grpo_cli.rewards import none
from grpo_cli.rollout import Batch, as_tensor
from grpo_cli.transitions import TransitionReward


def document_reward(state, action, next_state):
    """The reward function of the sb3-grpo document, word for word."""
    cart_pos = next_state[:, 0]
    pole_angle = next_state[:, 2]
    reward = 1.0 - torch.abs(pole_angle) - 0.1 * torch.abs(cart_pos)
    return reward.unsqueeze(-1)


def tried(opened, policy=None, update=0, num_groups=4, group_size=3, reward=None, **settings):
    simulator, _ = make_simulator(opened, 12)
    mode = candidates(simulator, opened.codec, num_groups, group_size, 0, 1.0, reward, **settings)
    return mode.sample(policy or make_cartpole_policy(opened), update)


def by_state(rollout, column):
    return np.asarray(column).reshape(rollout.num_groups, -1)


def test_values_are_sums_over_the_horizon_and_every_step_counts():
    # Six steps an episode, each pays its action; all later steps share their noise, so candidates
    # of a state differ by nothing but what they pay themselves.
    rollout = tried(source(), num_groups=6, actions="all", horizon=3, walks=1)
    value = by_state(rollout, rollout.reward)
    assert (value - value[:, :1]).tolist() == [[0, 1, 2]] * 6
    assert rollout.step.tolist() == [0] * 18
    assert rollout.parent_step.tolist() == [t for t in range(6) for _ in range(3)]
    # One walk of 6 steps; from steps 0 to 5 look-aheads of 3, 3, 3, 3, 2 and 1 steps, 3 times each.
    assert rollout.sim_steps == 6 + 3 * (3 + 3 + 3 + 3 + 2 + 1)
    assert rollout.replay_steps == 0
    assert rollout.episodes.length.tolist() == [6]


def test_without_shared_noise_chance_differs_too():
    rollout = tried(source(), actions="all", shared_noise=False)
    value = by_state(rollout, rollout.reward)
    assert any((row - row[0]).tolist() != [0, 1, 2] for row in value)


def test_the_first_drawn_candidate_is_the_walks_own_action():
    rollout = tried(source(), num_groups=6, horizon=1, walks=1)
    own = rollout.action[:, 0].reshape(6, 3)[:, 0]
    assert rollout.reward.tolist() == rollout.action[:, 0].tolist()
    assert rollout.obs[::3, 0].tolist() == [0, *own.cumsum(0).tolist()[:-1]]  # what was paid so far


def test_an_action_drawn_twice_is_simulated_once_and_worth_the_same():
    drawn = tried(source(), num_groups=6, horizon=3, walks=1)
    every = tried(source(), num_groups=6, horizon=3, walks=1, actions="all")
    action = by_state(drawn, drawn.action[:, 0])
    value = np.take_along_axis(by_state(every, every.reward), action, axis=1)
    assert by_state(drawn, drawn.reward).tolist() == value.tolist()
    distinct = [len({*row}) for row in action.tolist()]
    assert min(distinct) < 3
    # One walk of 6 steps; at most three steps ahead of each.
    ahead = np.multiply(distinct, [3, 3, 3, 3, 2, 1]).sum()
    assert drawn.sim_steps == 6 + ahead
    apart = tried(source(), num_groups=6, horizon=3, walks=1, shared_noise=False)
    assert apart.sim_steps == every.sim_steps  # chance tells them apart


def test_groups_are_the_same_however_many_others_are_drawn():
    few, many = (
        tried(source(), num_groups=n, walks=2, state_frac=f) for n, f in ((3, 0.25), (7, 1.0))
    )
    columns = ("parent", "parent_step", "reward", "logprob")
    rows = [
        {tuple(getattr(r, c)[m] for c in columns) for m in range(len(r.group))} for r in (few, many)
    ]
    assert rows[0] < rows[1]


def test_the_same_address_gives_the_same_rollout():
    opened = cartpole()
    policy = make_cartpole_policy(opened)
    simulator, _ = make_simulator(opened, 12)
    mode = candidates(simulator, opened.codec, 6, 3, 0)
    mode.sample(policy, 0)
    again = mode.sample(policy, 5)
    straight = candidates(make_simulator(opened, 12)[0], opened.codec, 6, 3, 0).sample(policy, 5)
    assert torch.equal(again.obs, straight.obs)
    assert again.reward.tolist() == straight.reward.tolist()


def test_native_and_plain_simulators_give_the_same_values():
    def made(**kwargs):
        return gym.make("CartPole-v1", **kwargs)

    plain = open_env("Plain", own_class=made, max_steps=500)
    policy = make_cartpole_policy(plain)
    native, slow = (tried(o, policy, num_groups=30, group_size=2) for o in (cartpole(), plain))
    assert torch.equal(native.obs, slow.obs)
    assert native.reward.tolist() == slow.reward.tolist()
    assert native.sim_steps == slow.sim_steps


def test_the_walk_goes_on_from_the_best():
    rollout = tried(source(), num_groups=6, actions="all", commit="best", walks=1)
    assert rollout.episodes.ret.tolist() == [12.0]  # six times the best action, which pays 2
    assert rollout.obs[::3, 0].tolist() == [0, 2, 4, 6, 8, 10]
    value = by_state(rollout, rollout.reward)
    assert (value - value[:, :1]).tolist() == [[0, 1, 2]] * 6


@pytest.mark.parametrize("weighting", ["policy", "uniform"])
def test_weights(weighting):
    policy = make_cartpole_policy(source())
    torch.nn.init.normal_(policy.head.weight)
    rollout = tried(source(), policy, actions="all", weighting=weighting)
    with torch.no_grad():
        chance = policy.family.logprob(policy(rollout.obs), rollout.action).exp().numpy()
    expected = chance if weighting == "policy" else np.ones(12)
    assert rollout.weight == pytest.approx(expected, abs=1e-6)
    assert set(tried(source(), policy).weight) == {1.0}  # drawn: chance has weighed already


class Bandit(Count):
    """One pull: 0, 1 or 2."""

    def __init__(self):
        super().__init__(length=1)


def test_the_gradient_over_all_actions_is_the_softmax_policy_gradient():
    opened = source(Bandit)
    policy = make_cartpole_policy(opened)
    torch.nn.init.normal_(policy.head.bias, generator=torch.Generator().manual_seed(3))
    rollout = tried(opened, policy, num_groups=2, actions="all", horizon=1, walks=2)

    def advantage(rollout, reward, gamma):
        return peer(
            rollout, reward, gamma, value="return", key="group", baseline="mean", fallback=(),
            scale="none",
        )  # fmt: skip

    scored = score(rollout, none, "batch", advantage, 1.0)
    device = torch.device("cpu")
    with torch.no_grad():
        old = policy.family.logprob(policy(rollout.obs), rollout.action)
    batch = Batch(
        rollout.obs, rollout.action, old, as_tensor(scored.advantage, device),
        as_tensor(rollout.weight, device), None,
    )  # fmt: skip
    clip(policy.outlook(batch), batch)[0].backward()
    # dJ/db_k = pi_k (r_k - J), with rewards 0, 1, 2 and J = sum of pi_k r_k.
    chance = torch.softmax(policy(rollout.obs)[0], 0).detach()
    worth = torch.tensor([0.0, 1.0, 2.0])
    exact = chance * (worth - chance @ worth)
    assert policy.head.bias.grad == pytest.approx(-exact, abs=1e-6)


def test_one_step_of_cartpole_says_nothing_and_two_do():
    reward = TransitionReward(document_reward)
    one = tried(cartpole(), num_groups=20, group_size=2, reward=reward, actions="all", horizon=1)
    two = tried(cartpole(), num_groups=20, group_size=2, reward=reward, actions="all", horizon=2)
    spread = [np.ptp(by_state(r, r.reward), axis=1) for r in (one, two)]
    assert not spread[0].any()  # position and angle move with the old speeds: explicit Euler
    assert (spread[1] > 0).mean() > 0.9


def test_next_states_are_true_at_the_end_of_an_episode():
    seen = []

    def reward(state, action, next_state):
        seen.append(torch.cat([state, action, next_state], dim=1))
        return action.float()

    tried(
        source(), num_groups=6, actions="all", horizon=2, walks=1, reward=TransitionReward(reward)
    )
    rows = torch.cat(seen)
    paid, steps, action, paid_after, steps_after = rows.T
    assert torch.equal(paid + action, paid_after)
    assert torch.equal(steps + 1, steps_after)
    assert steps_after.max() == 6  # the last of an episode, no reset in between


def test_a_tiled_reward_is_warned_about(caplog):
    def tiled(state, action, next_state):
        return state[:, 1:2]

    with caplog.at_level(logging.WARNING):
        tried(source(), actions="all", horizon=1, reward=TransitionReward(tiled))
    assert "every action is worth the same at each of 4 states" in caplog.text
    assert "group.horizon=1" in caplog.text
    caplog.clear()
    tried(source(), actions="all", horizon=1)
    assert not caplog.text


class Doors(Count):
    """Pays 0, 1 or 10; the last door is never open, and at odd steps the first alone is."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], self._info()

    def step(self, action):
        obs, _, terminated, truncated, _ = super().step(action)
        return obs, [0.0, 1.0, 10.0][int(action)], terminated, truncated, self._info()

    def _info(self):
        return {"action_mask": np.array([1, self.steps % 2 == 0, 0], np.int8)}


def doors(**settings):
    opened = source(Doors)
    policy = make_policy(
        auto,
        opened.observation_space,
        opened.codec.family,
        rng(0, Purpose.INIT),
        torch.device("cpu"),
    )
    return tried(opened, policy, num_groups=6, actions="all", walks=1, **settings)


@pytest.mark.parametrize("shared_noise", [True, False])
@pytest.mark.parametrize("commit", ["sampled", "best"])
def test_what_a_mask_forbids_is_neither_tried_nor_compared(commit, shared_noise):
    rollout = doors(horizon=1, commit=commit, shared_noise=shared_noise)
    assert rollout.action[:, 0].tolist() == [0, 1, 0] * 3
    assert rollout.group.tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5]
    assert rollout.parent_step.tolist() == rollout.group.tolist()
    assert rollout.obs["observation"][:, 1].tolist() == rollout.group.tolist()
    assert rollout.reward.tolist() == [0, 1, 0] * 3
    assert rollout.terminated.tolist() == [False] * 8 + [True]
    assert rollout.member.tolist() == list(range(9))
    assert np.bincount(rollout.group, rollout.weight) == pytest.approx(np.ones(6))
    if commit == "best":
        assert rollout.episodes.ret.tolist() == [3.0]  # the second door wherever it is open
    assert rollout.sim_steps == 6 + 9


def test_a_state_with_one_allowed_action_teaches_nothing():
    rollout = doors(horizon=1)
    for baseline in ("mean", "loo"):
        found = peer(
            rollout, rollout.reward, 1.0, value="return", key="group", baseline=baseline,
            fallback=(), scale="group", ddof=1,
        ).advantage  # fmt: skip
        assert np.isfinite(found).all()
        assert found[2::3].tolist() == [0, 0, 0]
        assert (found[1::3] > 0).all()


def test_forbidden_actions_do_not_hide_that_all_others_are_worth_the_same(caplog):
    def tiled(state, action, next_state):
        return action * 0.0

    with caplog.at_level(logging.WARNING):
        doors(horizon=1, reward=TransitionReward(tiled))
    assert "every action is worth the same at each of 6 states" in caplog.text


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="tries 3 actions, and group_size=5"):
        tried(source(), group_size=5, actions="all")
    with pytest.raises(ConfigError, match="needs a discrete action space"):
        tried(open_env("Pendulum-v1"), actions="all")


def test_reward_functions_that_cannot_be_learned_from():
    with pytest.raises(ConfigError, match=r"<lambda> returned shape \(12, 2\) for 12 transitions"):
        tried(source(), actions="all", reward=TransitionReward(lambda s, a, n: s))
    with pytest.raises(NonFinite, match="non-finite reward at step"):
        tried(source(), reward=TransitionReward(lambda s, a, n: s[:, 0] / 0.0))

"""States: single actions, compared at each state."""

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy

from grpo_cli.envs import DynamicBandit, make_backend, open_env
from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.groups import episodes, one_step, states, win_rates


def sample(mode):
    source = open_env("grpo/DynamicBandit-v0")
    backend, _ = make_backend("auto", source, 6)
    return mode(backend, source.codec, 2, 3, 0).sample(make_cartpole_policy(source), 0)


def test_a_state_is_an_episode_of_one_step():
    one, other = sample(states), sample(episodes)
    assert one.action.tolist() == other.action.tolist()
    assert one.reward.tolist() == other.reward.tolist()
    assert one.step.tolist() == [0] * 6
    assert one.group.tolist() == [0, 0, 0, 1, 1, 1]


def test_longer_episodes_are_refused_before_anything_is_built():
    with pytest.raises(ConfigError, match="up to 500 steps") as refused:
        states.demand(2, 3, cartpole().max_steps)
    assert "env.max_steps=1" in refused.value.fix
    assert states.demand(2, 3, cartpole(max_steps=1).max_steps).rows == 6


def test_rows_of_a_persons_own():
    column = torch.arange(4)[:, None]
    reward = np.array([1.0, 2.0, 3.0, 4.0])
    rollout = one_step(column, column, torch.zeros(4), reward, np.array([0, 0, 1, 1]))
    assert rollout.member.tolist() == [0, 1, 2, 3]
    assert rollout.group_N.tolist() == [0, 0, 1, 1]
    assert rollout.episodes.ret.tolist() == rollout.reward.tolist() == [1, 2, 3, 4]
    with pytest.raises(NonFinite):
        one_step(column, column, torch.zeros(4), reward * np.nan, np.zeros(4, dtype=int))


def test_win_rates_by_hand():
    """Group 0: a beats b, draws with c; b loses to c. d, alone in group 1, is compared to none."""
    nan = np.nan
    wins = np.array(
        [[nan, 1, 0.5, 1], [0, nan, 0, 1], [0.5, 1, nan, 1], [0, 0, 0, nan]], dtype=float
    )
    assert win_rates(wins, np.array([0, 0, 0, 1])).tolist() == [0.75, 0.0, 0.75, 0.5]
    wins[0, 2] = wins[2, 0] = nan  # not compared: only b is left to both
    assert win_rates(wins, np.array([0, 0, 0, 1])).tolist() == [1.0, 0.0, 1.0, 0.5]


def test_the_bandit_changes_its_mind_every_phase():
    bandit = DynamicBandit(phase=2)
    paid = []
    for seed in range(8):
        bandit.reset(seed=seed)
        _, reward, terminated, truncated, info = bandit.step(3)
        assert (terminated, truncated) == (True, False)
        paid.append((reward, info["is_success"]))
    assert paid == [
        (0.4, True), (0.4, True), (0.8, True), (0.8, True),
        (0.4, True), (0.4, True), (0.2, False), (0.2, False),
    ]  # fmt: skip

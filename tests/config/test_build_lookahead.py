"""Group modes that look ahead, from words to runs."""

import json
from pathlib import Path

import pytest
from builders import cartpole
from small_runs import own_place, train

from grpo_cli.errors import ConfigError
from grpo_cli.transitions import is_transition_reward

OWN = """
import torch

def upright(state, action, next_state, *, weight=1.0):
    assert state.shape == next_state.shape and action.shape == (len(state), 1)
    return weight * (1.0 - next_state[:, 2].abs()).unsqueeze(-1)

def of_the_rollout(rollout):
    return 2 * rollout.reward
"""
SMALL = ("env=CartPole-v1", "total_steps=400", "num_groups=8", "group_size=2")
PRESETS = ("sb3_contrib", "sb3_grpo", "trpo_vine", "vine_ppo")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for home in own_place(tmp_path, monkeypatch):
        (home / "my_reward.py").write_text(OWN)
        yield home


def measured(summary):
    lines = (Path(summary["run"]) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_run_two_updates(preset):
    summary = train(*SMALL, f"preset={preset}", "total_steps=1500", "group.state_frac=1")
    assert len(measured(summary)) >= 2
    assert all(line["group/frac_reward_zero_std"] <= 1 for line in measured(summary))


@pytest.mark.parametrize("env", ["Pendulum-v1", "LunarLander-v3"])
def test_other_environments(env):
    words = ["num_groups=3", "group_size=2", "total_steps=20", "env.max_steps=12"]
    first = measured(train(f"env={env}", "preset=sb3_contrib", *words, "group.horizon=3"))[0]
    assert (first["time/replay_steps"] > 0) == (env == "LunarLander-v3")


def test_a_reward_of_transitions_is_asked_in_the_look_ahead():
    words = [*SMALL, "preset=sb3_grpo", "reward=./my_reward.py:upright"]
    one, two = (
        measured(train(*words, f"+reward.weight={weight}", "group.horizon=1"))[0]
        for weight in (1, 3)
    )
    assert 0.9 < one["reward_scaling/mean"] <= 1  # one step near the upright
    assert two["reward_scaling/mean"] == pytest.approx(3 * one["reward_scaling/mean"])


def test_a_reward_of_the_rollout_is_asked_afterwards():
    words = [*SMALL, "preset=sb3_grpo"]
    plain, doubled = (
        measured(train(*words, *more))[0]["reward_scaling/mean"]
        for more in ([], ["reward=./my_reward.py:of_the_rollout"])
    )
    assert plain > 0
    assert doubled == pytest.approx(2 * plain)


def test_episodes_ask_no_transitions():
    with pytest.raises(ConfigError, match=r"function of \(state, action, next_state\)") as refused:
        train("env=CartPole-v1", "reward=./my_reward.py:upright")
    assert "group=candidates" in refused.value.fix


def test_backends_that_cannot_go_back_are_refused():
    with pytest.raises(ConfigError, match="backend=async cannot"):
        train(*SMALL, "group=candidates", "backend=async")


def test_which_functions_are_rewards_of_transitions():
    assert is_transition_reward(lambda state, action, next_state: 0)
    assert is_transition_reward(lambda state, action, next_state, k=1, *, more=2: 0)
    assert not is_transition_reward(lambda rollout: 0)
    assert not is_transition_reward(lambda rollout, *, k: 0)
    assert not is_transition_reward(cartpole())

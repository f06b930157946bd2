"""The committed list of environment ids."""

import gymnasium
import pytest

from grpo_cli.config import env_ids


def test_the_list_is_what_the_generator_would_write():
    missing = [env_id for env_id in env_ids.listed_ids() if env_id not in gymnasium.registry]
    if missing:
        pytest.skip(f"another Gymnasium than the list was made with: {missing}")
    assert set(env_ids._generate()) >= set(env_ids.listed_ids())


def test_what_is_left_out():
    listed = env_ids.listed_ids()
    assert "CartPole-v1" in listed
    assert "HalfCheetah-v5" in listed
    assert not {"HalfCheetah-v3", "GymV26Environment-v0", "phys2d/CartPole-v1"} & set(listed)


def test_known():
    assert env_ids.is_known("Acrobot-v1")
    assert not env_ids.is_known("Acrobot")
    assert not env_ids.is_known("os:Acrobot-v1")

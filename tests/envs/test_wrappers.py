"""Wrappers stand in the order they are listed, the time limit outermost; backends respect them."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers as gym_wrappers

from grpo_cli.envs import Sync, Wrapper, make_backend, make_simulator, open_env
from grpo_cli.errors import ConfigError, MissingPackage

STACK = Wrapper("FrameStackObservation", partial(gym_wrappers.FrameStackObservation, stack_size=3))
TWICE = Wrapper("RepeatAction", partial(gym_wrappers.RepeatAction, num_repeats=2))
FLAT = Wrapper("FlattenObservation", gym_wrappers.FlattenObservation)
TIME = Wrapper("TimeAwareObservation", gym_wrappers.TimeAwareObservation)


def kinds(env):
    """The classes around an environment, from the outside."""
    found = []
    while isinstance(env, gym.Wrapper):
        found.append(type(env).__name__)
        env = env.env
    return found


def test_the_first_listed_is_innermost_and_the_time_limit_outermost():
    source = open_env("Pendulum-v1", wrappers=[STACK, FLAT])
    assert kinds(source.make()) == [
        "TimeLimit", "FlattenObservation", "FrameStackObservation", "OrderEnforcing",
    ]  # fmt: skip
    assert source.observation_space.shape == (9,)
    assert source.reward_threshold is None
    assert source.max_steps == 200


def test_the_time_limit_counts_the_agents_steps():
    """Each of 5 steps is two of the environment's, and pays for both."""
    source = open_env("Pendulum-v1", max_steps=5, wrappers=[TWICE])
    env, plain = source.make(), open_env("Pendulum-v1").make()
    env.reset(seed=3)
    plain.reset(seed=3)
    push = np.array([0.5], np.float32)
    for step in range(1, 6):
        obs, reward, _, truncated, _ = env.step(push)
        first, second = plain.step(push), plain.step(push)
        assert obs == pytest.approx(second[0])
        assert reward == pytest.approx(float(first[1]) + float(second[1]))
        assert truncated == (step == 5)


def test_the_time_that_is_shown_is_that_of_the_limit():
    source = open_env("Pendulum-v1", max_steps=7, wrappers=[TIME])
    assert source.observation_space.high[-1] == 7
    env = source.make()
    env.reset(seed=0)
    steps = 1
    while not env.step(env.action_space.sample())[3]:
        steps += 1
    assert steps == 7


def test_neither_native_nor_envpool_is_taken():
    for env_id in ("CartPole-v1", "Acrobot-v1"):
        source = open_env(env_id, wrappers=[STACK, FLAT])
        backend, _ = make_backend("auto", source, 2)
        assert isinstance(backend, Sync)
        assert backend.reset(np.arange(2)).shape[1] == source.observation_space.shape[0]
    with pytest.raises(ConfigError, match="no native"):
        make_backend("native", open_env("CartPole-v1", wrappers=[FLAT]), 2)


def test_a_snapshot_holds_what_a_wrapper_remembers():
    """Proved by going back: a stack of frames would show others after it."""
    source = open_env("Pendulum-v1", wrappers=[STACK, TIME])
    simulator, _ = make_simulator(source, 2)
    assert simulator.name == "attributes"


def refuses(env):
    raise ValueError("no such luck\nat all")


def needs(env):
    raise gym.error.DependencyNotInstalled('run `pip install "luck"`')


@pytest.mark.parametrize(
    ("around", "kind", "says"),
    [
        (refuses, ConfigError, r"the wrapper my\.w cannot stand around Pendulum-v1: no such luck$"),
        (needs, MissingPackage, r"the wrapper my\.w needs a package"),
        (lambda env: 3, ConfigError, r"the wrapper my\.w returned a int"),
    ],
)
def test_what_cannot_be_wrapped_is_one_line(around, kind, says):
    with pytest.raises(kind, match=says):
        open_env("Pendulum-v1", wrappers=[Wrapper("my.w", around)])


def limited():
    return gym_wrappers.TimeLimit(gym.make("Pendulum-v1").unwrapped, 50)


def length(source):
    env = source.make()
    env.reset(seed=0)
    steps = 1
    while not env.step(env.action_space.sample())[3]:
        steps += 1
    return steps


def test_a_time_limit_of_ones_own_is_the_limit():
    source = open_env("own", own_class=limited)
    assert (source.max_steps, source.endless, length(source)) == (50, False, 50)


@pytest.mark.parametrize(("words", "steps"), [({}, 200), ({"max_steps": 300}, 300)])
def test_a_time_limit_inside_other_wrappers_is_not_a_second_one(words, steps):
    def hidden():
        return gym_wrappers.RescaleAction(gym.make("Pendulum-v1"), -1, 1)

    assert length(open_env("own", own_class=hidden, **words)) == steps
    assert length(open_env("own", own_class=hidden, wrappers=[TWICE], **words)) == steps


def test_a_time_that_counts_other_steps_than_the_limit_is_refused():
    assert length(open_env("Pendulum-v1", wrappers=[TWICE, TIME])) == 200
    with pytest.raises(ConfigError, match="inside RepeatAction counts other steps"):
        open_env("Pendulum-v1", wrappers=[TIME, TWICE])

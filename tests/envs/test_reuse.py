"""An episode depends on its seed and its actions, never on what was played before it."""

import gymnasium as gym
import numpy as np
import pytest
from builders import make_cartpole_policy
from gymnasium.utils.env_checker import data_equivalence as same

from grpo_cli.envs import Sync, open_env, settled
from grpo_cli.evaluate import Evaluator
from grpo_cli.randomness import Use


class Remembers(gym.Env):
    """Pays more in every episode, as an environment does whose reset leaves something behind."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    episodes = 0

    def draw(self):
        return self.np_random.uniform(-1, 1, 1).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episodes += 1
        return self.draw(), {}

    def step(self, action):
        return self.draw(), float(self.episodes), False, False, {}


class Honest(Remembers):
    def step(self, action):
        return self.draw(), float(action), False, False, {}


class Unseeded(Honest):
    def draw(self):
        return np.random.default_rng().uniform(-1, 1, 1).astype(np.float32)


class Raises(Honest):
    def step(self, action):
        raise RuntimeError("not today")


class NoNumber(Honest):
    def draw(self):
        return np.full(1, np.nan, np.float32)


def opened(cls, fresh="auto"):
    return settled(open_env("Own", max_steps=4, own_class=cls), fresh)


@pytest.mark.parametrize(
    ("cls", "fresh", "repeats"),
    [
        (Honest, False, True),
        (Remembers, True, True),
        (Unseeded, False, False),
        (NoNumber, False, True),  # the same every time; training says what it is
        (Raises, False, True),  # training says where it raised
    ],
)
def test_what_two_short_episodes_find_out(cls, fresh, repeats):
    source, found = opened(cls)
    assert (source.fresh, found) == (fresh, repeats)


def test_a_person_decides():
    assert opened(Honest, "always")[0].fresh
    assert not opened(Remembers, "never")[0].fresh


def test_a_fresh_environment_is_made_for_every_episode_and_closed():
    made, closed = [], []

    class Counted(Honest):
        def __init__(self):
            made.append(self)

        def close(self):
            closed.append(self)

    source = opened(Counted, "always")[0]
    made.clear()
    closed.clear()
    backend = Sync(source.make, 2)
    for _ in range(3):
        backend.reset(np.array([1, 1]))
    assert (len(made), len(closed)) == (6, 4)
    backend.close()
    assert len(closed) == 6


def told(env, seed, actions):
    said = [env.reset(seed=seed)[0].tolist()]
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        said.append((obs.tolist(), reward, terminated, truncated))
        if terminated or truncated:
            break
    return said


def test_bipedal_walker_is_the_same_after_other_episodes():
    """Its reset keeps the physics world, which some of eight episodes show."""
    pytest.importorskip("Box2D")
    plain = open_env("BipedalWalker-v3")
    source, repeats = settled(plain)
    assert (source.fresh, repeats) == (True, True)
    space, one, two = plain.action_space, source.make(), source.make()
    space.seed(0)
    drawn = [[space.sample() for _ in range(120)] for _ in range(8)]
    new = [told(plain.make(), seed, actions) for seed, actions in enumerate(drawn)]
    assert [told(one, seed, actions) for seed, actions in enumerate(drawn)] == new
    backwards = list(enumerate(drawn))[::-1]
    assert [told(two, seed, actions) for seed, actions in backwards][::-1] == new
    used = plain.make()
    reused = [told(used, seed, actions) for seed, actions in backwards][::-1]
    assert reused != new  # what would happen without


def test_an_evaluation_repeats_itself():
    source = opened(Remembers)[0]
    policy = make_cartpole_policy(source)
    judge = Evaluator(source, 0, Use.CHECK)
    first, second = (judge.scores(policy, 3, "greedy")["greedy"] for _ in range(2))
    assert same(first.ret, second.ret, exact=True)
    judge.close()

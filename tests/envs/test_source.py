import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from grpo_cli.envs import open_env
from grpo_cli.envs.spaces import action_codec
from grpo_cli.errors import ConfigError, EnvError

NESTED = spaces.Dict(a=spaces.Tuple([spaces.Text(3), spaces.Discrete(2)]))


class Corridor(gym.Env):
    """A person's own environment."""

    def __init__(self, length=3, action_space=None, observation_space=None):
        self.length = length
        self.action_space = action_space or spaces.Discrete(2, start=-1)
        self.observation_space = observation_space or spaces.Box(-9, 9, (1,), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return np.array([0.0]), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.at += int(action)
        return np.array([float(self.at)]), 1.0, abs(self.at) >= self.length, False, {}


def test_facts_of_a_registered_id():
    source = open_env("CartPole-v1")
    assert (source.max_steps, source.reward_threshold, source.slug) == (500, 475.0, "CartPole-v1")
    assert source.codec.family.num_outputs == 2


def test_a_longer_and_a_shorter_time_limit():
    for limit in (3, 600):
        env = open_env("MountainCar-v0", max_steps=limit).make()  # its own limit is 200
        env.reset(seed=0)
        for step in range(1, limit + 1):
            assert env.step(1)[3] == (step == limit)


def test_own_class_with_arguments_and_a_warning_about_the_missing_limit():
    with pytest.warns(UserWarning, match="no time limit"):
        source = open_env("./corridor.py:Corridor", {"length": 5}, own_class=Corridor)
    assert (source.max_steps, source.reward_threshold, source.slug) == (10_000, None, "Corridor")
    env = source.make()
    assert env.unwrapped.length == 5  # type: ignore[attr-defined]
    env.reset()
    flat = np.array([[0], [1]])
    assert source.codec.decode(flat).tolist() == [-1, 0]
    env.step(source.codec.decode(flat)[0])


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("Text", {"observation_space": spaces.Text(3)}),
        ("entry a.0 is of kind Text", {"observation_space": NESTED}),
        ("Graph", {"observation_space": spaces.Graph(spaces.Box(0, 1), None)}),
        ("Sequence", {"observation_space": spaces.Sequence(spaces.Discrete(2))}),
        ("Sequence", {"action_space": spaces.Sequence(spaces.Discrete(2))}),
        ("OneOf", {"action_space": spaces.Tuple([spaces.OneOf([spaces.Discrete(2)])])}),
    ],
)
def test_spaces_that_cannot_be_used_are_named(kind, kwargs):
    with pytest.raises(ConfigError, match=kind):
        open_env("Corridor", kwargs, 10, Corridor)


def test_what_cannot_be_made_is_one_line():
    with pytest.raises(ConfigError, match="NoSuchEnv"):
        open_env("NoSuchEnv-v0")
    with pytest.raises(EnvError, match="could not be made: TypeError"):
        open_env("CartPole-v1", {"gravity_of_mars": True})
    with pytest.raises(ConfigError, match=r"not a gymnasium\.Env"):
        open_env("./f.py:f", own_class=lambda: 3)  # type: ignore[arg-type, return-value]


def boom():
    raise RuntimeError("no licence\nsecond line")


def test_a_constructor_that_raises():
    with pytest.raises(EnvError, match=r"RuntimeError: no licence$"):
        open_env("./f.py:boom", own_class=boom)


def test_box_actions_span_the_bounds_and_respect_them():
    box = spaces.Box(np.float32([-2, 0]), np.float32([2, 10]), dtype=np.float32)
    codec = action_codec("x", box)
    flat = np.array([[0.0, 0.0], [1.0, -1.0], [-3.0, 0.5]], dtype=np.float32)
    assert codec.decode(flat).tolist() == [[0, 5], [2, 0], [-2, 7.5]]
    assert codec.decode(flat).dtype == np.float32
    squashed = action_codec("x", box, "tanh").decode(np.array([[9.0, -9.0], [0.0, 0.0]]))
    assert squashed == pytest.approx(np.array([[2, 0], [0, 5]]), abs=1e-4)


def test_box_actions_without_bounds_are_taken_as_they_are():
    box = spaces.Box(-np.inf, np.inf, (1, 2), np.float64)
    assert action_codec("x", box).decode(np.array([[7.0, -8.0]])).tolist() == [[[7.0, -8.0]]]
    with pytest.raises(ConfigError, match="without bounds"):
        action_codec("x", box, "tanh")


def test_a_space_that_is_missing_is_named():
    class NoSpace(gym.Env):
        observation_space = spaces.Box(-1, 1, (2,))

    with pytest.raises(ConfigError, match="Own has no action_space"):
        open_env("Own", own_class=NoSpace)

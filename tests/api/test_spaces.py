"""GRPO on environments of every space, seen and acted in."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from grpo_cli import GRPO
from grpo_cli.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:.*no time limit")
QUICK = {"n_steps": 40, "n_epochs": 1, "seed": 0}
IMAGE = spaces.Box(0, 255, (8, 8, 1), np.uint8)
PARTS = spaces.Dict({"left": spaces.Discrete(2), "rest": spaces.Tuple([spaces.MultiBinary(2)])})


class Match(gym.Env):
    """Shows a bit for one step, and pays 1 for the same bit first in the action."""

    def __init__(self, shown, action_space):
        self.observation_space, self.action_space = shown, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.bit = int(self.np_random.integers(2))
        return _shown(self.observation_space, self.bit), {}

    def step(self, action):
        assert self.action_space.contains(action)
        paid = float(_first(action) == self.bit)
        return _shown(self.observation_space, self.bit), paid, True, False, {}


def _shown(space, bit):
    if isinstance(space, spaces.Dict):
        return {key: _shown(part, bit) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_shown(part, bit) for part in space.spaces)
    if isinstance(space, spaces.Discrete):
        return space.start + bit
    image = np.zeros(space.shape, space.dtype)
    image[: len(image) // 2] = bit * 255
    return image


def _first(action):
    while isinstance(action, dict | tuple):
        action = next(iter(action.values())) if isinstance(action, dict) else action[0]
    return int(np.ravel(action)[0] > 0)


BOTH = spaces.Dict({"a": IMAGE, "b": spaces.Discrete(2)})


@pytest.mark.parametrize(
    ("policy", "image", "shown", "action_space"),
    [
        ("MlpPolicy", None, spaces.Discrete(2, start=3), spaces.MultiBinary(2)),
        ("MlpPolicy", None, spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]), PARTS),
        ("MlpPolicy", None, spaces.Dict({"a": spaces.Discrete(2)}), spaces.MultiDiscrete([2, 3])),
        ("CnnPolicy", "features_dim", IMAGE, spaces.Box(-1, 1, (2,), np.float32)),
        ("MultiInputPolicy", "cnn_output_dim", BOTH, PARTS),
    ],
)
def test_every_space_is_learned_from_saved_and_predicted_with(
    policy, image, shown, action_space, tmp_path
):
    model = GRPO(
        policy, Match(shown, action_space), group="candidates", n_steps=32, learning_rate=5e-3,
        seed=0, policy_kwargs={"features_extractor_kwargs": {image: 16} if image else {}},
    )  # fmt: skip
    model.learn(600)
    model.save(tmp_path / "model")
    loaded = GRPO.load(tmp_path / "model")
    assert (loaded.observation_space, loaded.action_space) == (shown, action_space)
    for bit in (0, 1):
        action, _ = loaded.predict(_shown(shown, bit), deterministic=True)
        assert action_space.contains(action)
        assert _first(action) == bit


def test_many_observations_and_actions_of_several_parts():
    model = GRPO("MultiInputPolicy", Match(BOTH, PARTS), **QUICK)
    many = {"a": np.zeros((3, 8, 8, 1), np.uint8), "b": np.array([0, 1, 1])}
    actions, _ = model.predict(many)
    assert actions.shape == (3,)
    assert all(PARTS.contains(action) for action in actions)
    alone = {"a": np.zeros((8, 8, 1), np.uint8), "b": 1}
    (_, second, _), _ = model.predict(many, deterministic=True)
    assert repr(model.predict(alone, deterministic=True)[0]) == repr(second)
    with pytest.raises(ConfigError, match="entry b was not given"):
        model.predict({"a": alone["a"]})


@pytest.mark.parametrize("group", ["episodes", "candidates"])
def test_reward_functions_receive_entries_by_path(group):
    seen = set()

    def rewards(state, action, next_state):
        seen.update((path, entry.dtype) for path, entry in state.items())
        seen.add(tuple(action.shape[1:]))
        return (next_state["a.0"] == 1).float()

    shown = spaces.Dict({"a": spaces.Tuple([spaces.Discrete(2)]), "b": IMAGE})
    env = Match(shown, spaces.MultiBinary([2, 3]))
    GRPO("MlpPolicy", env, reward_function=rewards, group=group, **QUICK).learn(40)
    assert seen == {("a.0", torch.int64), ("b", torch.uint8), (6,)}


def test_reward_functions_cannot_take_actions_of_several_parts(caplog):
    with pytest.raises(ConfigError, match="takes tensors, and actions are a Dict"):
        GRPO("MlpPolicy", Match(IMAGE, PARTS), reward_function=lambda s, a, n: s)
    assert not caplog.records


def test_too_much_at_once():
    with pytest.raises(ConfigError, match="more than half") as raised:
        GRPO("MlpPolicy", "CartPole-v1", samples_per_time_step=5, n_steps=10**8)
    assert raised.value.fix == "lower n_steps or samples_per_time_step"

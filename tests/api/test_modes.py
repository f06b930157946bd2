"""What GRPO compares: actions tried at visited states, or whole episodes."""

import inspect
import os
import threading

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import own_place, train

from grpo_cli import GRPO
from grpo_cli.api.given import opened
from grpo_cli.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:.*no time limit")
QUICK = {"n_steps": 40, "n_epochs": 1, "seed": 0}


def upright(state, action, next_state):
    return 1.0 - next_state[:, 2].abs()


@pytest.fixture
def home(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def model(env="CartPole-v1", **words):
    return GRPO("MlpPolicy", env, **{**QUICK, **words})


def kind(made):
    return made.words.group, getattr(made._mode, "actions", None), made._mode.group_size


class Line(gym.Env):
    """Three steps left or right; counts the steps of this very object."""

    observation_space = gym.spaces.Box(-9, 9, (1,), np.float32)

    def __init__(self, num_actions=2):
        self.action_space = gym.spaces.Discrete(num_actions)
        self.total = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.age = 0, 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.x, self.age, self.total = self.x + int(action), self.age + 1, self.total + 1
        return np.full(1, self.x, np.float32), 0.0, self.age == 3, False, {}


class Dice(Line):
    """Throws dice that no seed decides."""

    def step(self, action):
        self.x = int.from_bytes(os.urandom(2), "big") / 2**14
        return super().step(action)


class Locked(Line):
    """Cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, ("episodes", None, 8)),
        ({"samples_per_time_step": 3}, ("candidates", "drawn", 3)),
        ({"reward_scaling_fn": np.sign}, ("candidates", "drawn", 5)),
        ({"reward_function": upright}, ("candidates", "all", 2)),
        ({"reward_function": upright, "samples_per_time_step": 3}, ("candidates", "drawn", 3)),
        ({"group": "candidates"}, ("candidates", "drawn", 5)),
        ({"group": "episodes", "reward_function": upright}, ("episodes", None, 8)),
    ],
)
def test_what_is_said_decides_what_is_compared(words, expected, caplog):
    assert kind(model(**words)) == expected
    assert not caplog.records


def test_a_group_that_does_not_exist():
    with pytest.raises(ConfigError, match="group=windows does not exist"):
        model(group="windows")


@pytest.mark.parametrize(
    ("words", "preset"),
    [
        ({"samples_per_time_step": 5}, ["preset=sb3_contrib", "num_groups=32"]),
        (
            {"reward_function": upright},
            ["preset=sb3_grpo", "reward=./my_reward.py:upright", "num_groups=256"],
        ),
    ],
)
def test_the_same_as_the_preset_of_the_command_line(home, words, preset):
    (home / "my_reward.py").write_text(inspect.getsource(upright))
    train("env=CartPole-v1", *preset, "epochs=10", "total_steps=2000", "seed=3")
    (run,) = home.glob("runs/*/*")
    saved = load_file(run / "checkpoints/last/policy.safetensors")
    learned = GRPO("MlpPolicy", "CartPole-v1", seed=3, **words).learn(2000)
    for name, tensor in learned.policy.state_dict().items():
        torch.testing.assert_close(tensor, saved[name], atol=1e-5, rtol=0)


def test_all_actions_count_by_the_probability_of_the_policy_that_acted():
    made = model(reward_function=upright)
    rollout = made._mode.sample(made.policy, 0)
    assert rollout.action[:, 0].tolist() == [0, 1] * 40
    np.testing.assert_allclose(rollout.weight, np.exp(rollout.logprob), rtol=1e-6)
    np.testing.assert_allclose(rollout.weight.reshape(-1, 2).sum(axis=1), 1, rtol=1e-6)


def test_candidates_are_judged_by_their_true_next_states():
    seen = []

    def step_right(state, action, next_state):
        seen.append(((next_state - state)[:, 0] - action[:, 0]).abs().max().item())
        return (next_state - state)[:, 0]

    made = model(Line(num_actions=3), reward_function=step_right, gamma=0.5)
    rollout = made._mode.sample(made.policy, 0)
    assert seen
    assert max(seen) == 0  # never the start of the next episode
    worth = rollout.reward.reshape(-1, 3)
    # One step further right is worth 1 more; what follows is the same for all three.
    np.testing.assert_allclose(np.diff(worth), 1)
    made.learn(20_000)
    assert made.predict(np.zeros(1), deterministic=True)[0] == 2


def test_updates_visit_n_steps_states_and_every_simulated_step_counts():
    given = gym.vector.SyncVectorEnv([Line] * 2)
    made = model(given, samples_per_time_step=4)
    ticks = []
    made.learn(1, callback=lambda seen, _: ticks.append(seen))
    # 2 environments x 40 states; 14 x 2 walks of 3 steps pass 84, and each action that was drawn
    # there, of 80 x 4, is followed to the end, 3, 2 or 1 steps: once where it was drawn again.
    rollout = made._mode.sample(made.policy, 0)
    assert len(rollout.reward) == 80 * 4
    distinct = [len({*four}) for four in rollout.action.reshape(80, 4).tolist()]
    ahead = (distinct * (3 - np.asarray(rollout.parent_step)[::4])).sum()
    assert made.num_timesteps == rollout.sim_steps == 84 + ahead
    assert len(ticks) == -(-rollout.sim_steps // 2)
    episodes = [info["episode"]["l"] for seen in ticks for info in seen["infos"] if info]
    assert episodes == [3] * 28
    assert sum(seen["dones"].sum() for seen in ticks) == 28


def test_the_given_environment_is_copied_with_what_was_set_on_it():
    env, plain = gym.make("CartPole-v1"), gym.make("CartPole-v1")
    env.unwrapped.gravity = 20.0  # type: ignore[attr-defined]
    heavy, light = (model(e, samples_per_time_step=3).learn(100) for e in (env, plain))
    assert (heavy._mode.backend.name, light._mode.backend.name) == ("attributes", "native")
    line = Line()
    recorded = gym.wrappers.RecordEpisodeStatistics(line)
    model(recorded, samples_per_time_step=3).learn(100)
    assert line.total == recorded.episode_count == 0


def test_copies_open_no_window():
    env = gym.make("CartPole-v1", render_mode="human")
    other = opened(env).fresh.make()
    assert (env.render_mode, other.render_mode) == ("human", None)


@pytest.mark.parametrize(("env", "why"), [(Dice, "cannot go back"), (Locked, "neither be copied")])
def test_whole_episodes_where_no_state_can_be_gone_back_to(env, why, caplog):
    made = model(env(), samples_per_time_step=3)
    assert kind(made) == ("episodes", None, 3)
    (record,) = caplog.records
    assert "whole episodes are compared, not actions" in record.message
    assert why in record.message
    with pytest.raises(ConfigError, match=why):
        model(env(), group="candidates")


def test_actions_are_drawn_where_all_are_too_many(caplog):
    made = model("Pendulum-v1", reward_function=lambda s, a, n: n[:, 0])
    assert kind(made) == ("candidates", "drawn", 5)
    (record,) = caplog.records
    assert "all of a Box cannot be tried" in record.message


def test_a_saved_model_goes_on_in_the_same_way(tmp_path):
    words = {"samples_per_time_step": 3, "reward_function": upright}
    for said in ({"reward_function": upright}, words, {"group": "candidates"}):
        made = model(**said).learn(200)
        made.save(tmp_path / "model")
        functions = {"reward_function": upright} if "reward_function" in said else {}
        loaded = GRPO.load(tmp_path / "model", "CartPole-v1", **functions)
        assert kind(loaded) == kind(made)
        assert loaded.words.learning_rate == made.words.learning_rate
        further = [m.learn(300, reset_num_timesteps=False) for m in (made, loaded)]
        for one, other in zip(*(m.policy.parameters() for m in further), strict=True):
            assert torch.equal(one, other)

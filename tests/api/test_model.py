"""GRPO with PPO's interface; what needs Stable-Baselines3 itself is in test_sb3.py."""

import json
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch

from grpo_cli import GRPO
from grpo_cli.api.keywords import Keywords
from grpo_cli.errors import CheckpointError, ConfigError, NonFinite

QUICK = {"n_steps": 100, "n_epochs": 1, "seed": 0}


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.policy.state_dict().values()])


def trained(env="CartPole-v1", steps=150, **words):
    return GRPO("MlpPolicy", env, **{**QUICK, **words}).learn(steps)


def test_it_learns_and_counts():
    model = GRPO("MlpPolicy", "CartPole-v1", **QUICK)
    before = weights(model)
    assert model.learn(300) is model
    assert model.num_timesteps >= 300
    assert not torch.equal(weights(model), before)
    steps = model.num_timesteps
    assert model.learn(50, reset_num_timesteps=False).num_timesteps >= steps + 50
    assert 50 <= model.learn(50).num_timesteps < steps


def test_a_seed_repeats_a_run_and_no_seed_does_not():
    assert torch.equal(weights(trained()), weights(trained()))
    assert not torch.equal(weights(trained()), weights(trained(seed=1)))
    assert Keywords().seed != Keywords().seed


def test_updates_use_about_n_steps_rows(tmp_path):
    trained(n_steps=400, steps=3000, run_dir=tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rows = np.diff([0, *(json.loads(line)["step"] for line in lines)])
    assert rows[0] < 300  # one group of 8, about 22 steps each: their length is not known yet
    assert 300 < rows[1:].mean() < 500


def test_environments_that_are_given_are_the_ones_that_are_stepped():
    envs = [gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1")) for _ in range(2)]
    vector = gym.vector.SyncVectorEnv([lambda env=env: env for env in envs])
    model = trained(vector)
    assert model.n_envs == 2
    assert all(env.episode_count > 0 for env in envs)
    assert model.get_env() is vector or "stable_baselines3" in repr(type(model.get_env()))


@pytest.mark.parametrize("mode", ["async", "vector_entry_point"])
def test_vector_environments_that_cannot_be_stepped_singly_are_made_again(mode):
    vector = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode=mode)
    assert trained(vector).n_envs == 2
    vector.close()


def test_vector_wrappers_are_not_passed_over():
    vector = gym.make_vec("CartPole-v1", num_envs=2)
    changed = gym.wrappers.vector.TransformReward(vector, lambda reward: -10 * reward)
    with pytest.raises(ConfigError, match="TransformReward stands between"):
        GRPO("MlpPolicy", changed)
    assert trained(gym.wrappers.vector.RecordEpisodeStatistics(vector)).n_envs == 2


def test_what_is_no_environment():
    with pytest.raises(ConfigError, match="a dict is no environment"):
        GRPO("MlpPolicy", {})
    with pytest.raises(ConfigError, match="no environment NoSuch-v0"):
        GRPO("MlpPolicy", "NoSuch-v0")
    with pytest.raises(ConfigError, match="no policy CnnPolic"):
        GRPO("CnnPolic", "CartPole-v1")
    model = GRPO("MlpPolicy", "CartPole-v1", **QUICK)
    with pytest.raises(ConfigError, match="other spaces"):
        model.set_env("Acrobot-v1")
    with pytest.raises(ConfigError, match="without its env"):
        GRPO("MlpPolicy", None).learn(1)


class Closes(gym.Wrapper):
    """Counts how often it is closed."""

    closed = 0

    def close(self):
        self.closed += 1
        super().close()


@pytest.mark.parametrize("group", ["episodes", "candidates"])
def test_an_environment_stays_open_after_training(group):
    env = Closes(gym.make("CartPole-v1"))
    trained(env, group=group)
    env.reset(seed=0)
    env.step(0)
    assert env.closed == 0
    env.close()
    assert env.closed == 1


def test_predict_one_and_many():
    model = GRPO("MlpPolicy", "CartPole-v1", **QUICK)
    one, state = model.predict(np.zeros(4, np.float32), deterministic=True)
    assert (one, state) in {(0, None), (1, None)}
    many, _ = model.predict(np.zeros((200, 4), np.float32))
    assert many.shape == (200,)
    assert set(many.tolist()) == {0, 1}  # drawn: about even at the start
    assert len(set(model.predict(np.zeros((9, 4)), deterministic=True)[0].tolist())) == 1
    with pytest.raises(ConfigError, match=r"\(3,\)"):
        model.predict(np.zeros(3))


def test_continuous_actions_stay_within_their_bounds():
    model = trained("Pendulum-v1", steps=10, samples_per_time_step=2)
    action, _ = model.predict(np.zeros(3, np.float32))
    assert action.shape == (1,)
    assert model.action_space.contains(action)


def test_reward_functions_of_two_and_of_three():
    shapes = []

    def three(state, action, next_state):
        shapes.append((state.shape, action.shape, next_state.shape))
        return next_state[:, :1]

    def two(obs, action):
        return action[:, 0].float()

    for group in ("episodes", "candidates"):
        by_three = trained(reward_function=three, group=group)
        count = shapes[-1][0][0]
        assert shapes[-1] == ((count, 4), (count, 1), (count, 4))
        by_two = trained(reward_function=two, group=group)
        assert not torch.equal(weights(by_three), weights(by_two))
    with pytest.raises(ConfigError, match="reward_function"):
        GRPO("MlpPolicy", "CartPole-v1", reward_function=lambda a: a)


class Ladder(gym.Env):
    """Observes its step; ends after three with a last observation of 3, and pays 7 a step."""

    observation_space = gym.spaces.Box(0, 9, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += 1
        return np.full(1, self.at, np.float32), 7.0, self.at == 3, False, {}


def test_reward_functions_see_the_true_next_state(tmp_path, recwarn):
    pairs = set()

    def rewards(state, action, next_state):
        pairs.update(zip(state[:, 0].tolist(), next_state[:, 0].tolist(), strict=True))
        return next_state

    model = trained(Ladder(), 30, reward_function=rewards, run_dir=tmp_path, group="episodes")
    assert pairs == {(0, 1), (1, 2), (2, 3)}  # the last is 3, not the next episode's 0
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert line["rollout/ep_rew_mean"] == 21  # what the environment paid
    assert line["reward_scaling/mean"] == 2  # what is learned from: 1, 2, 3
    assert (tmp_path / "model.zip").is_file()
    assert GRPO.load(tmp_path / "model").num_timesteps == model.num_timesteps


def test_reward_functions_are_checked():
    with pytest.raises(ConfigError, match="returned shape"):
        trained(reward_function=lambda s, a, n: n)
    with pytest.raises(NonFinite):
        trained(reward_function=lambda s, a, n: n[:, 0] * torch.nan)


def test_a_scaling_of_ones_own_sees_all_rewards_of_a_rollout():
    seen = []

    def scale(rewards):
        seen.append(rewards)
        return 2 * rewards

    model = trained(reward_scaling_fn=scale, group="episodes")
    assert sum(map(len, seen)) == model.num_timesteps


def test_critic_only_words_are_ignored_with_one_warning():
    with pytest.warns(UserWarning, match="gae_lambda, vf_coef: ignored") as said:
        model = GRPO("MlpPolicy", "CartPole-v1", vf_coef=1.0, gae_lambda=0.9, **QUICK)
    assert len(said) == 1
    assert torch.equal(weights(model.learn(150)), weights(trained()))


def test_words_may_follow_a_schedule_and_stand_in_ppo_s_order():
    model = GRPO("MlpPolicy", "CartPole-v1", lambda left: 1e-3 * left, 100, n_epochs=1, seed=0)
    model.learn(1000)
    assert 0 < model._learner.lr < 1e-3


@pytest.mark.parametrize(
    ("word", "value"), [("n_steps", 0), ("samples_per_time_step", 1), ("learning_rate", 0.0)]
)
def test_words_out_of_range(word, value):
    with pytest.raises(ConfigError, match=word):
        GRPO("MlpPolicy", "CartPole-v1", **{word: value})


def test_policy_kwargs():
    words = {"net_arch": {"pi": [8], "vf": [99]}, "activation_fn": torch.nn.ReLU}
    model = GRPO("MlpPolicy", "CartPole-v1", policy_kwargs=words, **QUICK)
    assert tuple(next(model.policy.parameters()).shape) == (8, 4)
    with pytest.raises(ConfigError, match="share_features"):
        GRPO("MlpPolicy", "CartPole-v1", policy_kwargs={"share_features": True})


def test_saving_and_loading(tmp_path):
    words = {"policy_kwargs": {"net_arch": [8], "activation_fn": torch.nn.ReLU}}
    model = trained(**words)
    model.save(tmp_path / "model")
    loaded = GRPO.load(tmp_path / "model", "CartPole-v1")
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    same = [m.predict(obs, deterministic=True)[0].tolist() for m in (model, loaded)]
    assert same[0] == same[1]
    further = [m.learn(200, reset_num_timesteps=False) for m in (model, loaded)]
    assert torch.equal(*map(weights, further))  # optimizer, counters and randomness go on


def test_words_of_any_kind_come_back(tmp_path):
    words = {"max_grad_norm": None, "learning_rate": np.float32(0.01), "n_steps": np.int64(64)}
    GRPO("MlpPolicy", "CartPole-v1", **words).save(tmp_path / "model")
    again = GRPO.load(tmp_path / "model", "CartPole-v1").words
    assert again.max_grad_norm is None
    assert (again.learning_rate, again.n_steps) == (pytest.approx(0.01), 64)


def test_a_saved_model_holds_no_code(tmp_path):
    trained(reward_scaling_fn=np.sign).save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"json", "safetensors"}
    loaded = GRPO.load(tmp_path / "model.zip", "CartPole-v1")
    with pytest.raises(ConfigError, match="without its reward_scaling_fn"):
        loaded.learn(10)
    GRPO.load(tmp_path / "model.zip", "CartPole-v1", reward_scaling_fn=np.sign).learn(10)


def test_damaged_and_foreign_files(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        GRPO.load(tmp_path / "none")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(CheckpointError, match="cannot be read"):
        GRPO.load(tmp_path / "text")
    trained().save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["policy.safetensors"] = files["policy.safetensors"][:-1] + b"\x01"
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(CheckpointError, match="SHA-256"):
        GRPO.load(tmp_path / "bad.zip")


def test_nothing_is_written_unless_asked(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    trained()
    assert not list(tmp_path.iterdir())
    trained(tensorboard_log=tmp_path / "tb")
    trained(tensorboard_log=tmp_path / "tb")
    assert sorted(path.name for path in (tmp_path / "tb").iterdir()) == ["GRPO_1", "GRPO_2"]


def test_verbose_shows_the_training(capfd):
    trained(verbose=1)
    assert "steps/s" in capfd.readouterr().err


def test_a_function_can_stop_the_training():
    model = GRPO("MlpPolicy", "CartPole-v1", **QUICK)
    model.learn(10_000, callback=[lambda seen, _: model.num_timesteps < 50])
    assert model.num_timesteps == 50


def test_torch_keeps_its_threads():
    before = torch.get_num_threads()
    trained()
    assert torch.get_num_threads() == before

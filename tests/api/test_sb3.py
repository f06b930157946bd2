"""GRPO in the hands of Stable-Baselines3: environments, callbacks, evaluation."""

import gymnasium as gym
import pytest

from grpo_cli import GRPO
from grpo_cli.errors import ConfigError

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.callbacks import (
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

QUICK = {"n_steps": 100, "n_epochs": 1, "seed": 0}


def cartpole():
    return Monitor(gym.make("CartPole-v1"))


def test_vector_environments():
    dummy = make_vec_env("CartPole-v1", n_envs=3)
    model = GRPO("MlpPolicy", dummy, **QUICK).learn(200)
    assert model.n_envs == 3
    assert model.get_env() is dummy
    assert len(dummy.envs[2].get_episode_rewards()) > 0  # its own environments were stepped
    assert GRPO("MlpPolicy", VecMonitor(DummyVecEnv([gym_cartpole] * 3)), **QUICK).n_envs == 3
    with pytest.raises(ConfigError, match="VecNormalize"):
        GRPO("MlpPolicy", VecNormalize(dummy))


def test_worker_processes():
    workers = SubprocVecEnv([gym_cartpole] * 2, start_method="fork")
    assert GRPO("MlpPolicy", workers, **QUICK).learn(100).n_envs == 2
    workers.close()
    workers = SubprocVecEnv([without_spec], start_method="fork")
    with pytest.raises(ConfigError, match="without a spec"):
        GRPO("MlpPolicy", workers)
    workers.close()


def gym_cartpole():
    return gym.make("CartPole-v1")


def without_spec():
    env = gym.make("CartPole-v1").unwrapped
    env.spec = None
    return env


def test_evaluation():
    model = GRPO("MlpPolicy", "CartPole-v1", **QUICK)
    mean, _ = evaluate_policy(model, cartpole(), n_eval_episodes=3)
    assert 8 <= mean <= 500
    rewards, lengths = evaluate_policy(
        model, make_vec_env("CartPole-v1", n_envs=2), 4, return_episode_rewards=True
    )
    assert rewards == lengths


def test_callbacks(tmp_path):
    model = GRPO("MlpPolicy", DummyVecEnv([cartpole, cartpole]), **QUICK)
    evaluates = EvalCallback(
        cartpole(), eval_freq=50, n_eval_episodes=2, verbose=0,
        best_model_save_path=str(tmp_path), log_path=str(tmp_path),
    )  # fmt: skip
    model.learn(300, callback=[evaluates, CheckpointCallback(100, str(tmp_path))])
    # Two environments: a callback is called once every two env steps.
    assert evaluates.n_calls == -(-model.num_timesteps // 2)
    assert evaluates.evaluations_timesteps[:2] == [100, 200]
    assert (tmp_path / "rl_model_200_steps.zip").is_file()
    best = GRPO.load(tmp_path / "best_model")
    assert evaluate_policy(best, cartpole(), 2)[0] > 0


def test_candidates(tmp_path):
    watched = make_vec_env("CartPole-v1", n_envs=2, monitor_dir=str(tmp_path))  # not to be copied
    model = GRPO("MlpPolicy", watched, samples_per_time_step=3, **{**QUICK, "n_steps": 10})
    assert (model.words.group, model.n_envs) == ("candidates", 2)
    evaluates = EvalCallback(
        cartpole(), eval_freq=50, n_eval_episodes=2, verbose=0, log_path=str(tmp_path)
    )
    model.learn(300, callback=[evaluates, StopTrainingOnMaxEpisodes(1000)])
    watched.close()
    assert evaluates.n_calls == -(-model.num_timesteps // 2)  # look-aheads are steps too
    assert evaluates.evaluations_timesteps[:2] == [100, 200]
    assert evaluate_policy(model, cartpole(), 2)[0] > 0


def test_callbacks_that_stop(tmp_path):
    model = GRPO("MlpPolicy", DummyVecEnv([cartpole]), tensorboard_log=tmp_path, **QUICK)
    enough = StopTrainingOnRewardThreshold(1.0)
    model.learn(
        10_000,
        callback=EvalCallback(
            cartpole(), eval_freq=70, n_eval_episodes=1, verbose=0, callback_on_new_best=enough
        ),
    )
    assert model.num_timesteps == 70
    model.learn(10_000, callback=StopTrainingOnMaxEpisodes(5))
    assert model.num_timesteps < 500

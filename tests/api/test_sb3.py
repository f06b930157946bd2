"""GRPO in the hands of Stable-Baselines3: environments, callbacks, evaluation."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch

from grpo_cli import GRPO
from grpo_cli.errors import ConfigError

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import (
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import FakeImageEnv, IdentityEnv, SimpleMultiObsEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

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


MOVES = partial(FakeImageEnv, discrete=False, n_channels=3, screen_height=40, screen_width=48)


@pytest.mark.parametrize(
    ("policy", "make", "words"),
    [
        ("MlpPolicy", partial(IdentityEnv, 4), {}),
        ("MlpPolicy", cartpole, {"net_arch": [8], "activation_fn": torch.nn.ReLU}),
        ("CnnPolicy", FakeImageEnv, {}),
        ("CnnPolicy", MOVES, {"net_arch": [8], "features_extractor_kwargs": {"features_dim": 16}}),
        ("MultiInputPolicy", SimpleMultiObsEnv, {}),
        (
            "MultiInputPolicy",
            partial(SimpleMultiObsEnv, discrete_actions=False),
            {"net_arch": {"pi": [8, 9]}, "features_extractor_kwargs": {"cnn_output_dim": 16}},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*no time limit")
def test_with_the_weights_of_ppo_it_is_ppo(policy, make, words):
    theirs = PPO(policy, make(), seed=0, policy_kwargs=words).policy
    model = GRPO(policy, make(), policy_kwargs=words, **QUICK)
    body = [theirs.features_extractor, theirs.mlp_extractor.policy_net, theirs.action_net]
    with torch.no_grad():
        layers = zip(_layers(model.policy), _layers(torch.nn.ModuleList(body)), strict=True)
        for mine, layer in layers:
            mine.weight.copy_(layer.weight)
            mine.bias.copy_(layer.bias)
    shown = DummyVecEnv([make] * 3).reset()
    with torch.no_grad():
        told = theirs.get_distribution(theirs.obs_to_tensor(shown)[0]).distribution
    rows, _ = model._observations.batch(shown)
    params = torch.from_numpy(model.policy.params(rows))
    if hasattr(told, "logits"):
        torch.testing.assert_close(params.log_softmax(1), told.logits, atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(params[:, : told.mean.shape[1]], told.mean, atol=1e-5, rtol=0)


def _layers(module):
    kinds = torch.nn.Linear, torch.nn.Conv2d
    return [layer for layer in module.modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize(
    ("policy", "make"), [("CnnPolicy", MOVES), ("MultiInputPolicy", SimpleMultiObsEnv)]
)
@pytest.mark.filterwarnings("ignore:.*no time limit", "ignore:Training and eval env")
def test_images(policy, make, tmp_path):
    words = {**QUICK, "n_steps": 20}
    model = GRPO(policy, VecTransposeImage(DummyVecEnv([lambda: Monitor(make())] * 2)), **words)
    best = StopTrainingOnRewardThreshold(-1000.0)
    evaluates = EvalCallback(
        Monitor(make()), eval_freq=30, n_eval_episodes=1, verbose=0,
        best_model_save_path=str(tmp_path), callback_on_new_best=best,
    )  # fmt: skip
    model.learn(1000, callback=[CheckpointCallback(10, str(tmp_path)), evaluates])
    assert model.num_timesteps == 60  # two environments
    for name in ("best_model", "rl_model_20_steps"):
        loaded = GRPO.load(tmp_path / name, make())
        for env in (Monitor(make()), VecTransposeImage(DummyVecEnv([lambda: Monitor(make())]))):
            assert np.isfinite(evaluate_policy(loaded, env, 1)[0])
    # The wrapper's images are the same images, with their channels first.
    plain = DummyVecEnv([make])
    shown = plain.reset()
    turned = VecTransposeImage(plain).transpose_observations(shown)
    actions = [model.predict(seen, deterministic=True)[0] for seen in (shown, turned)]
    np.testing.assert_array_equal(*actions)


def test_a_stack_of_frames_is_not_passed_over():
    with pytest.raises(ConfigError, match="VecFrameStack stands between"):
        GRPO("CnnPolicy", VecFrameStack(DummyVecEnv([FakeImageEnv]), 4))

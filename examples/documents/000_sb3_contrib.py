# Document 000, "Generalized Policy Reward Optimization".
# Changed: the import; a vector environment returns observations alone from reset, and four values
# from step, with `dones`; the loop ends.
from stable_baselines3.common.vec_env import DummyVecEnv
import gymnasium as gym
import numpy as np

from grpo_cli import GRPO


def custom_reward_scaling(rewards: np.ndarray) -> np.ndarray:
    """Example: Normalize rewards between -1 and 1."""
    return np.clip(rewards / (np.abs(rewards).max() + 1e-8), -1, 1)


env = DummyVecEnv([lambda: gym.make("CartPole-v1")])
model = GRPO(
    "MlpPolicy",
    env,
    samples_per_time_step=5,
    reward_scaling_fn=custom_reward_scaling,
    verbose=1,
)

model.learn(total_timesteps=10_000)
model.save("grpo_cartpole")

obs = env.reset()
total_reward = 0.0
for _ in range(1000):
    action, _states = model.predict(obs)
    obs, reward, dones, info = env.step(action)
    total_reward += reward[0]
    if dones[0]:
        print(f"Episode finished with total reward: {total_reward}")
        total_reward = 0.0

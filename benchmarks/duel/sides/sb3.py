"""Stable-Baselines3's PPO, or SB3-contrib's ARS, with the values that rl-zoo3 recommends.

    python sb3.py TASK SEED ppo|ars [normalize]

Rendering is off: `make_vec_env` would turn it on, which slows LunarLander threefold.
"""

import json
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import ARS  # type: ignore[import-not-found]
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judge import Judge, maker

ZOO = tomllib.loads(Path(__file__).with_name("zoo.toml").read_text())
OF_THE_POLICY = ("log_std_init", "ortho_init", "net_arch")


def falling(start: float) -> Callable[[float], float]:
    """Return a schedule from `start` to 0."""
    return lambda remaining: remaining * start


def model(words: dict[str, Any], seed: int, kind: str, more: dict[str, Any]) -> BaseAlgorithm:
    """Build the model as rl-zoo3 does."""
    given = {"policy": "MlpPolicy", "n_envs": 1, **ZOO[kind][words["env"]], **more}
    env: Any = DummyVecEnv([maker(words)] * given.pop("n_envs"))
    if given.pop("normalize", False):
        env = VecNormalize(env, norm_reward=kind == "ppo", gamma=given.get("gamma", 0.99))
    network = {key: given.pop(key) for key in OF_THE_POLICY if key in given}
    if given.pop("relu", False):
        network["activation_fn"] = torch.nn.ReLU
    for key, value in given.items():
        if isinstance(value, list):
            given[key] = falling(*value)
    make = {"ppo": PPO, "ars": ARS}[kind]
    return make(env=env, seed=seed, device="cpu", policy_kwargs=network or None, **given)


class Looks(BaseCallback):
    """Lets the judge look after every update."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def _on_rollout_start(self) -> None:
        self._judge.look(self.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._judge.look(self.num_timesteps)


def main() -> None:
    """Train once and print what the judge saw."""
    words, seed, kind = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    learner = model(words, seed, kind, dict.fromkeys(sys.argv[4:], True))
    normalise = learner.get_vec_normalize_env()

    def act(obs: list[Any], greedy: bool) -> NDArray:
        rows: Any = np.array(obs)
        rows = rows if normalise is None else normalise.normalize_obs(rows)
        return learner.predict(rows, deterministic=greedy)[0]

    judge = Judge(words, maker(words), act)
    learner.learn(words["budget"], callback=Looks(judge))
    names = ("stable-baselines3", "sb3-contrib", "gymnasium", "torch")
    print(json.dumps({**judge.result(), "versions": {name: version(name) for name in names}}))


if __name__ == "__main__":
    main()

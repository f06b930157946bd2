"""Short runs with a person's own code, for the tests of the jobs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import eval_job, train_job
from grpo_cli.config.schema import EvalConf
from grpo_cli.sinks.view import View

QUICK = ["num_groups=1", "epochs=1", "eval.episodes=2", "eval.final_episodes=3", "total_steps=300"]
OWN_ENV = """
import gymnasium as gym
import numpy as np

class Guess(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.sign = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.sign, {}

    def step(self, action):
        reward = float((self.sign[0] > 0) == action)
        return self.sign, reward, False, False, {"is_success": reward > 0}

class Broken(Guess):
    def __init__(self):
        raise RuntimeError("no licence")

class Late(Guess):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("no data")

class Words(Guess):
    observation_space = gym.spaces.Text(3)
"""
OWN_CODE = """
def double(reward):
    return 2 * reward

def times(reward, *, k):
    return k * reward

def short(reward):
    return reward[:1]
"""


def own_place(tmp_path: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with own code, and a secret of one's own; for a fixture to yield from."""
    forget()  # what fixtures of other modules have left
    patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home = tmp_path / "home"
    home.mkdir()
    patch.chdir(home)
    (home / "my_env.py").write_text(OWN_ENV)
    (home / "my_code.py").write_text(OWN_CODE)
    yield home
    forget()


def forget():
    """Know of own modules and their folders no more than a new process would."""
    for name in [name for name in sys.modules if name.startswith(("my_", "grpo_own_"))]:
        del sys.modules[name]
    gym.registry.pop("Guess-v0", None)
    sys.path[:] = [folder for folder in sys.path if not folder.endswith("/home")]


def train(*words):
    given = [*QUICK, *words]
    return train_job(compose(given), overrides=given, view=View(quiet=True))


def evaluate(ckpt, *, trusted=False, **words):
    conf = EvalConf(ckpt=str(ckpt), **{"episodes": 3, **words})
    return eval_job(conf, view=View(quiet=True), trusted=trusted)

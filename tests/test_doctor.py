"""What the doctor sees in environments that are sound, and in those that are not."""

import gymnasium as gym
import numpy as np
import pytest

from grpo_cli import doctor
from grpo_cli.envs import open_env


class Sound(gym.Env):
    """Episodes of 5 steps, all numbers from its own generator."""

    observation_space = gym.spaces.Box(-10, 10, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def draw(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.draw(), {}

    def step(self, action):
        self.count += 1
        return self.draw(), float(action), self.count == 5, False, {}


class Unseeded(Sound):
    def draw(self):
        return np.random.default_rng().uniform(-1, 1, 2).astype(np.float32)


class Remembers(Sound):
    """Resets everything but one counter, as a physics world that is made only once does."""

    total = 0

    def step(self, action):
        self.total += 1
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward + 0.001 * self.total, terminated, truncated, info


class Wide(Sound):
    def draw(self):
        return 99 * super().draw()


class NoNumber(Sound):
    def draw(self):
        return np.full(2, np.nan, np.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "MEASURE_S", 0.01)


def examined(cls):
    source = open_env("Own", max_steps=20, own_class=cls)
    return {check.name: check for check in doctor.environment(source)}


def failures(cls):
    return {name for name, check in examined(cls).items() if check.ok is False}


def test_a_sound_environment():
    found = examined(Sound)
    assert failures(Sound) == set()
    assert found["same actions, same episode"].says == "yes"
    assert found["backend sync"].says.endswith("steps/s with 16 members")
    assert found["backend native"].ok is None
    assert found["going back to a state"].says.endswith("proved by going back")


def test_randomness_from_elsewhere():
    assert {"same seed, same start", "same actions, same episode"} <= failures(Unseeded)
    assert examined(Unseeded)["going back to a state"].ok is None


def test_state_that_outlives_a_reset():
    assert failures(Remembers) - {"Gymnasium's checker"} == {"the same after other episodes"}
    assert "reward differs" in examined(Remembers)["the same after other episodes"].says


def test_observations_outside_their_space():
    assert "Gymnasium's checker" in failures(Wide)


def test_what_is_no_number():
    found = examined(NoNumber)["only finite numbers"]
    assert (found.ok, found.says) == (False, "seed 11, step 0: observation is not finite")


def test_the_computer():
    found = {check.name: check for check in doctor.computer()}
    assert found["Python"].ok
    assert "torch" in found["packages"].says
    for extra in doctor.EXTRAS:
        check = found[f"extra {extra}"]
        assert check.ok or check.fix == f"pip install 'grpo-cli[{extra}]'"

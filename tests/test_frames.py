"""Frames of stacked observations are kept once, and a policy sees what the environment showed."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from builders import make_cartpole_policy

from grpo_cli.envs import Sync, Wrapper, open_env
from grpo_cli.frames import Frames, Stacks
from grpo_cli.groups import check_memory, episodes, memory, windows
from grpo_cli.rollout import join, pieces, stacked

SIDE, STACK, STEPS = 16, 3, 7


class Noise(gym.Env):
    """Every frame is new; episodes end by chance."""

    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def _frame(self):
        return self.np_random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._frame(), {}

    def step(self, action):
        return self._frame(), float(action), self.np_random.random() < 0.2, False, {}


def source(stack=STACK):
    wrappers = (
        Wrapper("FrameStackObservation", lambda e: gym.wrappers.FrameStackObservation(e, stack)),
    )
    return open_env("noise:Noise", max_steps=STEPS, own_class=Noise, wrappers=wrappers)


@pytest.fixture(scope="module")
def opened():
    return source()


@pytest.fixture(scope="module")
def policy(opened):
    return make_cartpole_policy(opened)


def sampled(opened, policy, mode):
    sampler = mode(Sync(opened.make, 6), opened.codec, 2 if mode is episodes else 6, 3, 0)
    return sampler.sample(policy, 0)


def replayed(opened, rollout):
    """Observations of every row, from the seeds and actions alone."""
    env, rows = opened.make(), []
    for member, seed in enumerate(rollout.seed):
        obs, _ = env.reset(seed=int(seed))
        for action in rollout.action[torch.from_numpy(rollout.member == member)]:
            rows.append(obs)
            obs = env.step(int(action))[0]
    return np.array(rows)


@pytest.mark.parametrize("mode", [episodes, windows])
def test_rows_are_what_the_environment_showed_and_frames_are_there_once(opened, policy, mode):
    rollout = sampled(opened, policy, mode)
    assert isinstance(rollout.obs, Frames)
    assert (stacked(rollout.obs).numpy() == replayed(opened, rollout)).all()
    # A member's first row brings its whole stack, every other row one frame.
    members, rows = len(rollout.group), len(rollout.reward)
    assert len(rollout.obs.frames) == members * STACK + (rows - members)
    assert rollout.obs.shape == (rows, STACK, SIDE, SIDE)


def test_cut_joined_and_sliced_they_stay_what_they_are(opened, policy):
    rollout = sampled(opened, policy, episodes)
    whole = stacked(rollout.obs)
    keep = np.arange(6) % 2 == 0
    rows = torch.from_numpy(keep[rollout.member])
    assert (stacked(rollout.members(keep).obs) == whole[rows]).all()
    assert (stacked(join([rollout, rollout]).obs) == torch.cat([whole, whole])).all()
    assert (torch.cat([stacked(part) for part in pieces(rollout.obs)]) == whole).all()


def test_the_policy_reads_frames_as_it_reads_stacks(opened, policy):
    obs = sampled(opened, policy, episodes).obs
    with torch.no_grad():
        assert (policy(obs) == policy(stacked(obs))).all()


def test_observations_that_share_nothing_are_kept_whole():
    rng = np.random.default_rng(0)
    rounds = [rng.integers(0, 256, (4, 3, SIDE, SIDE), dtype=np.uint8) for _ in range(3)]
    stacks = Stacks()
    numbers = [stacks.keep(np.arange(4), obs) for obs in rounds]
    frames = stacks.frames()
    assert len(frames) == 3 * 4 * 3
    for number, obs in zip(numbers, rounds, strict=True):
        assert (frames[torch.from_numpy(number)].numpy() == obs).all()


def test_memory_is_foreseen_for_single_frames(monkeypatch):
    """A stack of eight takes little more than a stack of two."""
    free = 2 * 10_000 * (memory.COPIES * (SIDE * SIDE + 8 * memory.INDEX_BYTES) + 160)
    monkeypatch.setattr(memory, "_free_bytes", lambda: free)
    check_memory(source(8), 10_000)
    with pytest.raises(memory.ConfigError):
        check_memory(source(8), 10_001)

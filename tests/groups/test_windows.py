"""Windows: consecutive steps of one environment, across resets."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from builders import cartpole, make_cartpole_policy

from grpo_cli.advantages import peer, score
from grpo_cli.config import build
from grpo_cli.config.build_env import build_env
from grpo_cli.config.build_reward import build_reward
from grpo_cli.config.compose import compose
from grpo_cli.envs import Sync, make_backend, open_env
from grpo_cli.errors import ConfigError
from grpo_cli.groups import windows
from grpo_cli.rewards import none
from grpo_cli.sinks.view import View

SIZE = 60  # a random policy lives about 22 steps on CartPole


def sample(tail="zero", size=SIZE, groups=2, update=0):
    source = cartpole()
    backend, _ = make_backend("auto", source, groups, restarts=True)
    mode = windows(backend, source.codec, groups, size, 0, tail=tail)
    rollout = mode.sample(make_cartpole_policy(source), update)
    backend.close()
    return rollout


def rows_of(rollout, group):
    return np.bincount(rollout.group_N, minlength=rollout.num_groups)[group]


def test_a_window_has_its_steps_and_every_step_its_member():
    rollout = sample()
    assert [rows_of(rollout, group) for group in (0, 1)] == [SIZE, SIZE]
    assert rollout.sim_steps == rollout.slot_steps == 2 * SIZE
    starts = np.flatnonzero(rollout.step == 0)
    assert starts.tolist() == rollout.first_row.tolist()
    assert len(set(rollout.seed)) == len(rollout.seed)  # every piece starts elsewhere


def test_zero_cuts_the_last_episode_of_each_window():
    rollout = sample()
    unfinished = ~(rollout.terminated | rollout.truncated)
    assert np.bincount(rollout.group[unfinished]).tolist() == [1, 1]
    whole = rollout.per_member(rollout.reward)[~unfinished]
    assert rollout.episodes.ret.tolist() == whole.tolist() == rollout.episodes.length.tolist()


def test_mask_leaves_out_the_unfinished_and_nothing_else():
    cut, masked = sample("zero"), sample("mask")
    over = cut.terminated | cut.truncated
    kept = over[cut.member]
    assert masked.reward.tolist() == cut.reward[kept].tolist()
    assert masked.obs.tolist() == cut.obs[kept].tolist()
    assert masked.seed.tolist() == cut.seed[over].tolist()
    assert masked.sim_steps == cut.sim_steps  # what was simulated counts
    assert masked.episodes.ret.tolist() == cut.episodes.ret.tolist()


def test_mask_goes_on_until_one_episode_is_whole():
    masked = sample("mask", size=2, groups=1)
    assert masked.terminated.tolist() == [True]
    assert masked.reward.sum() == masked.sim_steps > 2


def test_updates_differ_and_repeat():
    assert sample(update=0).obs.tolist() == sample(update=0).obs.tolist()
    assert sample(update=0).seed.tolist() != sample(update=1).seed.tolist()


def test_a_window_inside_one_episode_has_no_episode():
    rollout = sample(size=3, groups=1)
    assert len(rollout.episodes.ret) == 0
    assert rollout.reward.tolist() == [1, 1, 1]


def test_what_cannot_be():
    source = cartpole()
    with pytest.raises(ConfigError, match="tail=cut"):
        windows(make_backend("sync", source, 1)[0], source.codec, 1, 8, 0, tail="cut")
    with pytest.raises(ConfigError, match="backend native"):
        windows(make_backend("native", source, 1)[0], source.codec, 1, 8, 0)


def test_the_backend_that_is_chosen_can_restart_and_memory_is_that_of_the_window():
    words = build.plain(compose(["env=CartPole-v1", "preset=textbook"]))
    source = build_env(words)
    _, backend = build.build_sampler(words, source, View(quiet=True), build_reward(words))
    assert (backend.name, len(backend.envs)) == ("sync", 1)
    assert windows.demand(3, 200, 500, tail="zero").rows == 600
    assert windows.demand(3, 200, 500, tail="finish").rows == 2100
    backend.close()


def document_004(rewards, dones, gamma=0.99):
    """The page's `_calc_returns` and `collect_rollout`, line by line in plain Python."""
    returns, total = [], 0.0
    for reward, done in zip(reversed(rewards), reversed(dones), strict=True):
        total = reward + gamma * total * (1 - done)
        returns.insert(0, total)
    mean = sum(returns) / len(returns)
    variance = sum((value - mean) ** 2 for value in returns) / (len(returns) - 1)  # torch's std
    return [(value - mean) / (variance**0.5 + 1e-8) for value in returns]


def test_the_textbook_preset_gives_the_documents_advantages():
    words = build.plain(compose(["env=CartPole-v1", "preset=textbook"]))
    scorer, _ = build.build_score(words, build_reward(words), lambda rollout, needs: {})
    rollout = sample(size=200, groups=1)
    last = np.append(np.diff(rollout.member) != 0, False)  # the tail is cut, not done
    expected = document_004(rollout.reward.tolist(), last.astype(float).tolist())
    assert scorer(rollout).advantage == pytest.approx(expected, abs=1e-12)
    assert len(rollout.group) > 5


def test_a_window_of_one_long_episode_is_compared_with_itself():
    """Rewards 1, 1, 1, gamma 1: returns 3, 2, 1, mean 2; `mean` is with one's own other steps."""
    rollout = sample(size=3, groups=1)
    advantage = partial(
        peer, value="return_to_go", key="group", baseline="mean", fallback=[], scale="none"
    )
    assert score(rollout, none, "batch", advantage, 1.0).advantage.tolist() == [1, 0, -1]


class Box(gym.Env):
    """Counts its steps; ends after five of them, every second time with success."""

    observation_space = gym.spaces.Box(0, 9, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    played = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_of_episode, self.played = 0, self.played + 1
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.step_of_episode += 1
        over = self.step_of_episode == 5
        info = {"is_success": self.played % 2 == 0} if over else {}
        return np.full(1, self.step_of_episode, np.float32), 1.0, over, False, info


def by_hand(tail):
    """Two windows of 12 steps over episodes of 5."""
    source = open_env("Box", own_class=Box, max_steps=9)
    mode = windows(Sync(source.make, 2), source.codec, 2, 12, 0, tail=tail)
    return mode.sample(make_cartpole_policy(source), 0)


@pytest.mark.parametrize(
    ("tail", "lengths", "simulated"),
    [("zero", [5] * 4 + [2] * 2, 24), ("mask", [5] * 4, 24), ("finish", [5] * 6, 30)],
)
def test_steps_by_hand(tail, lengths, simulated):
    rollout = by_hand(tail)
    assert np.bincount(rollout.member).tolist() == lengths
    assert rollout.group.tolist() == [0, 1] * (len(lengths) // 2)
    assert rollout.obs[:, 0].tolist() == rollout.step.tolist()  # seen before the step
    assert rollout.terminated.tolist() == [length == 5 for length in lengths]
    assert rollout.episodes.success.tolist()[:4] == [False, False, True, True]
    assert rollout.sim_steps == simulated

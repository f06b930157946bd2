"""The small environments that are shipped: what they show, and how they pay."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from grpo_cli.envs.tmaze import EAST, NORTH, SOUTH, WEST


def game(name, **kwargs):
    return gym.make(f"grpo/{name}", **kwargs).unwrapped


@pytest.mark.parametrize("name", ["TMaze-v0", "Catch-v0"])
def test_they_are_environments(name):
    check_env(game(name), skip_render_check=True)


@pytest.mark.parametrize(("seed", "cue", "pays"), [(0, [1, 1, 0], SOUTH), (1, [0, 1, 1], NORTH)])
@pytest.mark.parametrize("turn", [NORTH, SOUTH])
def test_the_start_names_the_arm_that_pays(seed, cue, pays, turn):
    env = game("TMaze-v0", length=2)
    assert env.reset(seed=seed)[0].tolist() == cue
    # West of the start and beside the corridor are walls.
    for action, seen in ((WEST, cue), (NORTH, cue), (EAST, [1, 0, 1]), (SOUTH, [1, 0, 1])):
        obs, reward, terminated, _, _ = env.step(action)
        assert (obs.tolist(), reward, terminated) == (seen, 0.0, False)
    assert [env.step(EAST)[0].tolist() for _ in range(2)] == [[0, 1, 0]] * 2
    assert env.step(WEST)[0].tolist() == [1, 0, 1]
    env.step(EAST)
    _, reward, terminated, _, info = env.step(turn)
    assert (reward, terminated, info) == (turn == pays, True, {"is_success": turn == pays})


def test_both_arms_pay_equally_often():
    env = game("TMaze-v0")
    cues = [int(env.reset(seed=seed)[0][0]) for seed in range(400)]
    assert 160 < sum(cues) < 240  # four standard deviations


def test_whoever_follows_the_ball_catches_it_and_nobody_else():
    env = game("Catch-v0")
    for seed in range(20):
        image, _ = env.reset(seed=seed)
        assert np.flatnonzero(image[0]).tolist() == [env.column]
        assert (image[-1, 5], np.count_nonzero(image)) == (255, 2)
        start = env.column
        for row in range(1, 10):
            _, ball, _ = np.nonzero(image)
            image, reward, terminated, _, _ = env.step(1 + np.sign(ball[0] - ball[1]))
            assert image[row, start] == 255
            assert (reward, terminated) == ((1.0, True) if row == 9 else (0.0, False))
        env.reset(seed=seed)
        # Nine steps to the left end in column 0.
        last = [env.step(0) for _ in range(9)][-1]
        assert (last[1], last[4]["is_success"]) == ((1.0, True) if start == 0 else (-1.0, False))

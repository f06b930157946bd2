import os

import gymnasium as gym
import numpy as np
import pytest
from builders import cartpole

from grpo_cli.config.build import plain as words
from grpo_cli.config.build_env import build_env
from grpo_cli.config.compose import compose
from grpo_cli.envs import Sync, make_backend, open_env
from grpo_cli.envs.backends import parity
from grpo_cli.envs.native import NativeCartPole
from grpo_cli.envs.pool import EnvPool
from grpo_cli.envs.workers import Workers
from grpo_cli.errors import ConfigError, EnvError

needs_envpool = pytest.mark.skipif(not EnvPool.installed(), reason="extra `fast`")
# EnvPool's numbers are its own: alike in distribution, not episode by episode.
LIKE_GYMNASIUM = ["sync", "native", "async"]
BACKENDS = [*LIKE_GYMNASIUM, pytest.param("envpool", marks=needs_envpool)]


@pytest.fixture
def backend(request):
    made, _ = make_backend(request.param, cartpole(), 6)
    yield made
    made.close()


on_all = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
on_those_like_gymnasium = pytest.mark.parametrize("backend", LIKE_GYMNASIUM, indirect=True)


@on_all
def test_members_with_one_seed_start_alike_in_every_update(backend):
    for seeds in ([1, 1, 1, 2, 2, 2], [9, 9, 9, 1, 1, 1], [4, 4, 4, 4, 4, 4]):
        obs = backend.reset(np.array(seeds))
        for seed in set(seeds):
            rows = obs[np.array(seeds) == seed]
            assert (rows == rows[0]).all()
        assert len(np.unique(obs, axis=0)) == len(set(seeds))
        ids = np.arange(6)
        for _ in range(3):  # steps in between must not change the next starts
            backend.step(ids, np.array([0, 1, 0, 1, 0, 1]))


@on_those_like_gymnasium
def test_starts_are_gymnasiums_own(backend):
    plain = gym.make("CartPole-v1")
    obs = backend.reset(np.array([5, 6, 7, 8, 9, 10]))
    for seed, row in zip(range(5, 11), obs, strict=True):
        assert plain.reset(seed=seed)[0] == pytest.approx(row, abs=1e-7)


@on_those_like_gymnasium
def test_it_moves_as_the_plain_environment_does(backend):
    """Step for step, with members dropping out as they end."""
    seeds = np.array([1, 1, 2, 2, 3, 3])
    plain = [gym.make("CartPole-v1") for _ in seeds]
    for env, seed in zip(plain, seeds, strict=True):
        env.reset(seed=int(seed))
    noise = np.random.default_rng(0)
    backend.reset(seeds)
    ids, ended = np.arange(6), 0
    while len(ids):
        actions = noise.integers(2, size=len(ids))
        obs, reward, terminated, truncated, _ = backend.step(ids, actions)
        for place, member in enumerate(ids):
            expected = plain[member].step(actions[place])
            assert obs[place] == pytest.approx(expected[0], abs=1e-5)
            assert (reward[place], terminated[place], truncated[place]) == expected[1:4]
        ended += int((terminated | truncated).sum())
        ids = ids[~(terminated | truncated)]
    assert ended == 6


@pytest.mark.parametrize("name", BACKENDS)
def test_the_time_limit_truncates(name):
    backend, _ = make_backend(name, cartpole(max_steps=5), 2)
    backend.reset(np.array([1, 2]))
    for step in range(1, 6):
        _, _, terminated, truncated, _ = backend.step(np.arange(2), np.array([step % 2, step % 2]))
        assert truncated.tolist() == [step == 5] * 2
        assert not terminated.any()


def test_auto_takes_native_where_it_fits_and_says_why():
    chosen, why = make_backend("auto", cartpole(), 2)
    assert chosen.name == "native"
    assert "vector version" in why
    changed = open_env("CartPole-v1", {"sutton_barto_reward": True})
    assert make_backend("auto", changed, 2)[0].name == "sync"
    heavy, plain = gym.make("CartPole-v1"), gym.make("CartPole-v1")
    heavy.unwrapped.gravity = 20.0  # type: ignore[attr-defined]
    assert NativeCartPole.fits(plain)
    assert not NativeCartPole.fits(heavy)
    assert not NativeCartPole.fits(gym.wrappers.TransformReward(plain, lambda r: -r))
    with pytest.raises(ConfigError, match="native"):
        make_backend("native", open_env("Acrobot-v1"), 2)
    with pytest.raises(ConfigError, match="does not exist"):
        make_backend("warp", cartpole(), 2)


@needs_envpool
def test_auto_takes_envpool_only_where_parity_is_in_the_table():
    assert parity()["Acrobot-v1"]["agrees"]
    chosen, why = make_backend("auto", open_env("Acrobot-v1"), 2)
    assert chosen.name == "envpool"
    assert "agrees" in why
    assert make_backend("auto", open_env("Acrobot-v1", {"render_mode": None}), 2)[0].name == "sync"


@needs_envpool
@pytest.mark.parametrize(
    "env_id", [env_id for env_id, entry in parity().items() if entry["agrees"]]
)
def test_every_id_in_the_parity_table_starts_its_groups_alike(env_id):
    if env_id.startswith("MiniGrid"):
        pytest.importorskip("minigrid")
    source = build_env(words(compose([f"env={env_id}"])))
    backend, _ = make_backend("envpool", source, 16)
    plain = make_backend("sync", source, 8)[0].reset(np.arange(8))
    one_start = (plain == plain[0]).all()  # on a lake, in an empty room
    for update in range(2):
        obs = backend.reset(np.repeat(np.arange(8), 2) + 8 * update)
        assert (obs[::2] == obs[1::2]).all()
        assert one_start == (obs == obs[0]).all()
    backend.close()


class Broken(gym.Env):
    """Raises, or dies, at its first step."""

    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        if action == 1:
            os._exit(9)
        raise ZeroDivisionError("no gravity")


@pytest.mark.parametrize("backend_class", [Sync, Workers])
def test_an_environment_that_raises_becomes_one_line(backend_class):
    backend = backend_class(Broken, 2)
    backend.reset(np.array([0, 1]))
    with pytest.raises(EnvError, match="ZeroDivisionError: no gravity"):
        backend.step(np.array([0, 1]), np.array([0, 0]))
    backend.close()


def test_a_worker_that_dies_becomes_one_line():
    backend = Workers(Broken, 2, num_workers=2)
    backend.reset(np.array([0, 1]))
    with pytest.raises(EnvError, match="died"):
        backend.step(np.array([0, 1]), np.array([0, 1]))
    backend.close()


def test_native_is_the_plain_cartpole_bit_for_bit_through_whole_episodes():
    source, seeds, ids = cartpole(), np.arange(12), np.arange(12)
    pair = NativeCartPole(source.make, 12, 500), Sync(source.make, 12)
    noise = np.random.default_rng(0)
    obs, plain = (backend.reset(seeds) for backend in pair)
    steps = 0
    while len(ids):
        assert np.array_equal(obs, plain)
        lean = obs @ np.array([0.1, 0.4, 3.0, 1.0]) + noise.normal(0, 0.5, len(ids))
        (obs, *told, _), (plain, *expected, _) = (b.step(ids, (lean > 0) * 1) for b in pair)
        for mine, its in zip(told, expected, strict=True):
            assert np.array_equal(mine, its)
        going = ~(told[1] | told[2])
        steps += len(ids)
        ids, obs, plain = ids[going], obs[going], plain[going]
    assert steps > 1000  # some of them end only at the limit

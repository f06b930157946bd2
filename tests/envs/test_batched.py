import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import FilterObservation, FlattenObservation, TransformReward

from grpo_cli.config.build import plain
from grpo_cli.config.build_env import build_env
from grpo_cli.config.compose import compose
from grpo_cli.envs import make_backend
from grpo_cli.envs.batched import batched
from grpo_cli.envs.pool import EnvPool

ONE_HOT = "minigrid.wrappers.OneHotPartialObsWrapper"
KEYS = "{name: FilterObservation, filter_keys: [image, direction]}"
needs_envpool = pytest.mark.skipif(not EnvPool.installed(), reason="extra `fast`")


class Told(gym.Env):
    """Shows a number, a choice that does not start at 0, and a picture."""

    observation_space = spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (2, 2, 3), np.uint8),
            "choice": spaces.Discrete(4, start=2),
            "number": spaces.Box(-1, 1, (1,)),
        }
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}


def stacked(shown):
    if isinstance(shown[0], dict):
        return {key: np.stack([one[key] for one in shown]) for key in shown[0]}
    return np.stack(shown)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: env,
        lambda env: FilterObservation(env, ["number", "choice"]),
        FlattenObservation,
        lambda env: FlattenObservation(FilterObservation(env, ["picture", "choice"])),
        lambda env: gym.wrappers.TimeLimit(FlattenObservation(env), 9),
    ],
)
def test_a_batch_is_shown_as_every_single_one(wrap):
    env, bare = wrap(Told()), Told()
    expected = stacked([env.reset(seed=seed)[0] for seed in range(5)])
    show = batched(env)
    assert show is not None
    found = show(stacked([bare.reset(seed=seed)[0] for seed in range(5)]))
    assert isinstance(found, dict) == isinstance(expected, dict)
    for key in expected if isinstance(expected, dict) else [...]:
        mine, its = found[key], expected[key]
        assert mine.dtype == its.dtype
        assert np.array_equal(mine, its)


def test_what_does_more_than_look_has_no_twin():
    assert batched(TransformReward(Told(), lambda reward: -reward)) is None
    assert batched(FlattenObservation(TransformReward(Told(), lambda reward: -reward))) is None
    nested = Told()
    nested.observation_space = spaces.Dict({"within": spaces.Dict({"a": spaces.Discrete(2)})})
    assert batched(FlattenObservation(nested)) is None


def opened(*words):
    return build_env(plain(compose(["env=MiniGrid-DoorKey-5x5-v0", *words])))


def trajectories(backend, seeds, actions):
    """What each member is told on one road, as bytes; a member that ends is told nothing more."""
    told = [[row.tobytes()] for row in backend.reset(seeds)]
    ids = np.arange(len(seeds))
    for action in actions:
        obs, reward, *ends, _ = backend.step(ids, np.full(len(ids), action))
        for place, member in enumerate(ids):
            said = (reward[place].astype(np.float32), *(end[place] for end in ends))
            told[member].append(obs[place].tobytes() + repr(said).encode())
        ids = ids[~(ends[0] | ends[1])]
    return {b"".join(one) for one in told}


@needs_envpool
@pytest.mark.parametrize(
    ("wrappers", "steps"), [(f"[{KEYS}, FlattenObservation]", 40), (f"[{ONE_HOT}, {KEYS}]", 5)]
)
def test_minigrid_in_a_pool_is_minigrid_step_for_step(wrappers, steps):
    """Seeds mean something else to it, but a small level has few starts, and all of them recur."""
    pytest.importorskip("minigrid")
    source = opened(f"env.wrappers={wrappers}".replace(" ", ""))
    roads = np.random.default_rng(0).integers(7, size=40)[:steps]
    real, _ = make_backend("sync", source, 50)
    pool, why = make_backend("auto", source, 400)
    assert (pool.name, "agrees" in why) == ("envpool", True)
    expected = trajectories(real, np.arange(50), roads)
    found = trajectories(pool, np.arange(400), roads)
    assert expected <= found
    assert 20 < len(expected) <= len(found) <= 48  # as many as there are
    pool.close()
    real.close()


@needs_envpool
def test_a_sooner_limit_than_minigrids_own_is_not_the_pools():
    pytest.importorskip("minigrid")
    assert make_backend("auto", opened("env.max_steps=100"), 2)[0].name == "sync"
    later, _ = make_backend("auto", opened("env.max_steps=9000"), 2)
    assert later.name == "envpool"
    later.reset(np.array([1, 2]))
    for step in range(1, 251):
        *_, truncated, _ = later.step(np.arange(2), np.array([0, 0]))
        assert truncated.tolist() == [step == 250] * 2
    later.close()

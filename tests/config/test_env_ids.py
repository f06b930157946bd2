"""The committed list of environments, and what is looked up in it."""

import subprocess
import sys

import gymnasium
import pytest
from gymnasium import spaces

from grpo_cli.config import env_ids
from grpo_cli.config.files import find
from grpo_cli.envs import open_env
from grpo_cli.errors import MissingPackage


def test_the_list_holds_what_is_registered():
    """Making all 569 takes a minute; that their spaces are those of the list is the slow test."""
    for env_id in ("ALE/any", "MiniGrid-any", "grpo/any"):
        env_ids.import_package(env_id)
    words = {f"text/{task}" for task in env_ids.TEXT_TASKS}
    missing = set(env_ids.listed_ids()) - set(gymnasium.registry) - words
    if missing:
        pytest.skip(f"other packages than the list was made with: {sorted(missing)[:9]}")
    for entry in env_ids.listed().values():
        if entry.id in words:
            continue
        assert env_ids._extra_by(gymnasium.spec(entry.id).entry_point) == entry.extra


@pytest.mark.slow
def test_the_list_is_what_the_generator_would_write():
    assert list(env_ids.listed().values()) == list(env_ids.generated())


def test_what_is_left_out():
    listed = env_ids.listed_ids()
    assert "CartPole-v1" in listed
    assert "HalfCheetah-v5" in listed
    assert not {"HalfCheetah-v3", "GymV26Environment-v0", "phys2d/CartPole-v1"} & set(listed)


def test_known():
    assert env_ids.is_known("Acrobot-v1")
    assert not env_ids.is_known("Acrobot")
    assert not env_ids.is_known("os:Acrobot-v1")


@pytest.mark.parametrize(
    ("env_id", "extra", "family"),
    [
        ("CartPole-v1", "", None),
        ("Hopper-v5", "mujoco", None),
        ("LunarLander-v3", "box2d", None),
        ("ALE/Pong-v5", "atari", "_atari"),
        ("ALE/NewGame-v9", "atari", "_atari"),  # newer than the list
        ("PongNoFrameskip-v4", "atari", "_atari"),
        ("MiniGrid-Empty-8x8-v0", "minigrid", "_minigrid"),
        ("BabyAI-New-v0", "minigrid", "_minigrid"),
        ("ale_py:ALE/Pong-v5", "atari", "_atari"),
        ("./ALE/my.py:Env", "", None),
    ],
)
def test_what_an_id_needs(env_id, extra, family):
    assert (env_ids.extra_of(env_id), env_ids.family(env_id)) == (extra, family)
    assert family is None or find("env", family) is not None


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(env_ids, "find_spec", lambda _: None)
    env_ids.require_package("CartPole-v1")
    for env_id, extra in (("Hopper-v5", "mujoco"), ("BabyAI-New-v0", "minigrid")):
        with pytest.raises(MissingPackage) as caught:
            env_ids.require_package(env_id)
        assert caught.value.fix == f"pip install 'grpo-cli[{extra}]'"


def test_spaces_in_short():
    box = spaces.Box(0, 255, (4, 4, 3), "uint8")
    assert env_ids.in_short(box) == "Box(4x4x3) uint8"
    assert env_ids.in_short(spaces.Dict(a=box, b=spaces.Discrete(2))) == "Dict(a, b)"
    both = spaces.Tuple([spaces.Discrete(2), spaces.MultiBinary(3)])
    assert env_ids.in_short(both) == "Tuple(Discrete(2), MultiBinary(3))"
    assert env_ids.in_short(spaces.MultiDiscrete([2, 3])) == "MultiDiscrete([2 3])"


@pytest.mark.parametrize("env_id", ["BabyAI-PutNextS7N4-v0", "ALE/Pong-v5", "HalfCheetah-v5"])
def test_packages_write_nothing_of_their_own(env_id, tmp_path):
    """BabyAI prints, ALE greets, MuJoCo keeps a file of warnings about its own models."""
    if not env_ids.extra_of(env_id) or not env_ids.find_spec(
        env_ids.MODULES[env_ids.extra_of(env_id)]
    ):
        pytest.skip("its package is not installed")
    code = (
        "import sys, gymnasium; from grpo_cli.config.env_ids import import_package\n"
        "import_package(sys.argv[1]); env = gymnasium.make(sys.argv[1])\n"
        "for seed in range(5): env.reset(seed=seed)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, env_id],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr, list(tmp_path.iterdir())) == ("", "", [])


def test_mujoco_says_nothing_of_gymnasiums_own_models(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    env_ids.import_package("HalfCheetah-v5")
    open_env("HalfCheetah-v5")
    assert "WARNING" not in capfd.readouterr().err
    assert not list(tmp_path.iterdir())

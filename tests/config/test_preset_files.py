"""Every preset: what it sets, that it runs, and which ones are the same thing."""

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from small_runs import train

from grpo_cli.cli.presets import words
from grpo_cli.config.compose import compose, compose_all
from grpo_cli.config.files import choices, conf_dir, leaves
from grpo_cli.config.jobs import train_job
from grpo_cli.config.origins import origins
from grpo_cli.config.schema import GROUPS
from grpo_cli.sinks.view import View

ALL = [name for name in choices("preset") if name != "none"]
# Those with a group mode of their own are whole programs, with numbers of their own.
NAMES = [name for name in ALL if not any(word.startswith("group=") for word in words(name))]
# These pay nothing, or every member the same, within the few steps of these runs.
ALIKE = ("/", "MiniGrid", "MountainCar-v0")
ENVS = [name for name in choices("env") if not any(part in name for part in ALIKE)]
TINY = ["num_groups=2", "group_size=2", "stop_at=none", "eval.episodes=1", "eval.final_episodes=1"]
SHORT = [*TINY, "env.max_steps=30", "total_steps=181"]  # two updates, also with greedy members


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


# The environments take turns; test_every_preset_goes_with_every_environment has them all. In so few
# steps of a taxi every one pays the same, and deepseek_process says that nothing is left.
@pytest.mark.filterwarnings("ignore:advantage.value=process is zero:UserWarning")
@pytest.mark.parametrize(("preset", "env"), list(zip(NAMES, itertools.cycle(ENVS[4:] + ENVS[:4]))))
def test_a_preset_wins_over_the_env_file_and_trains(preset: str, env: str):
    given = [f"env={env}", f"preset={preset}", *SHORT]
    composed = compose_all(given)
    composed.check()
    where = origins(composed)
    for word in words(preset):
        key, _, value = word.partition("=")
        if key in GROUPS:
            assert composed.choices[key] == value
        else:
            assert OmegaConf.select(composed.cfg, key) == OmegaConf.create(f"v: {value}").v
            assert where[key] == f"conf/preset/{preset}.yaml"
    summary = train_job(composed.cfg, overrides=given, view=View(quiet=True))
    assert summary["updates"] >= 2


@pytest.mark.parametrize("preset", [name for name in choices("preset") if name not in NAMES])
def test_one_with_a_group_mode_of_its_own_composes(preset: str):
    needs = ["policy.model=any"] if preset == "agilerl" else []
    assert compose(["env=CartPole-v1", f"preset={preset}", *needs])


@pytest.mark.slow
@pytest.mark.parametrize("env", ENVS)
def test_every_preset_goes_with_every_environment(env: str):
    for preset in NAMES:
        chosen = compose_all([f"env={env}", f"preset={preset}"])
        chosen.check()
        assert {f"{g}={chosen.choices[g]}" for g in ("advantage", "loss")} <= set(words(preset))


@pytest.mark.parametrize("preset", NAMES)
def test_a_preset_is_a_short_diff(preset: str):
    text = (conf_dir() / "preset" / f"{preset}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ")
    assert 5 <= len(text.splitlines()) <= 20
    chosen = {word.partition("=")[0] for word in words(preset)}
    assert {"advantage", "loss"} <= chosen
    assert not chosen & {"lr", "group_size", "num_groups", "total_steps", "env", "seed"}


@cache
def settings(*given: str) -> dict[str, Any]:
    """The dotted keys of a configuration for Acrobot, whose gamma is no preset's."""
    tree: Any = OmegaConf.to_container(compose(["env=Acrobot-v1", *given]))
    return dict(leaves(tree))


def differing(one: list[str], two: list[str]) -> set[str]:
    first, second = settings(*one), settings(*two)
    return {key for key in first | second if first.get(key) != second.get(key)}


@pytest.mark.parametrize(
    ("one", "two", "keys"),
    [
        ("bnpo", "lite_ppo", {"advantage.scale"}),
        ("gpg_time", "gr2po", {"advantage.scale"}),
        ("gspo", "luspo", {"loss.aggregate"}),
        ("bnpo", "dapo", {"loss.eps_high", "group.drop_dead", "group.max_resample"}),
        ("gpg_time", "optimal_baseline", {"advantage.baseline"}),
        ("deepseek_outcome", "tgrpo", {"advantage.plus", "kl.coef"}),
        ("deepseek_outcome", "gigpo", {"advantage.plus", "kl.coef", "gamma"}),
    ],
)
def test_presets_that_differ_in_little(one: str, two: str, keys: set[str]):
    assert differing([f"preset={one}"], [f"preset={two}"]) == keys


def test_the_words_of_a_preset_stand_for_it():
    assert differing(["preset=gigpo"], words("gigpo")) == set()


def updated(*given: str) -> dict[str, torch.Tensor]:
    """Weights after one rollout and its update."""
    run = train(*given, *TINY, "total_steps=1", "epochs=3", "num_minibatches=2")["run"]
    return load_file(Path(run) / "checkpoints" / "last" / "policy.safetensors")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        # DAPO is BNPO with an upper bound of its own, while no group is dead.
        ("preset=dapo loss.eps_high=0.2", "preset=bnpo"),
        # Clip-Cov without a candidate is BNPO with its clip.
        ("preset=clip_cov loss.cov_low=1e6 loss.cov_high=1e7", "preset=bnpo loss.eps_low=1"),
        # KL-Cov without a penalty is BNPO without a clip.
        ("preset=kl_cov loss.cov_coef=0", "preset=bnpo loss.eps_low=1 loss.eps_high=1e9"),
        # LUSPO is RLOO's sum over steps, with GSPO's ratio and clip.
        (
            "preset=rloo kl.coef=0 loss.ratio=sequence loss.eps_low=3e-4 loss.eps_high=4e-4",
            "preset=luspo advantage=rloo",
        ),
    ],
)
def test_presets_that_are_the_same(one: str, two: str):
    same = ["env=Pendulum-v1", "env.max_steps=25"]
    first, second = (updated(*same, *given.split()) for given in (one, two))
    # To rounding: the gradient of one may be written out where that of the other goes by the graph.
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


def test_presets_that_are_not_the_same():
    same = ["env=Pendulum-v1", "env.max_steps=25"]
    first, second = (updated(*same, f"preset={name}") for name in ("bnpo", "clip_cov"))
    assert not all(torch.equal(first[name], second[name]) for name in first)

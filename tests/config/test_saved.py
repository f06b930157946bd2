"""The job behind `grpo eval`: a run is found again from its folder alone, and trusted with care."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from small_runs import evaluate, forget, own_place, train

from grpo_cli.errors import CheckpointError


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def test_eval_finds_the_closing_scores_again_from_the_folder_alone(tmp_path, monkeypatch):
    summary = train("env=CartPole-v1", "seed=5", "stop_at=none", "policy.hidden=[8]")
    copy = shutil.copytree(summary["run"], tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path)
    for link in ("", "/last", "/best"):
        result = evaluate(f"{copy}{link}")
        assert result["eval"] == summary["eval"]
        assert (result["seed"], result["threshold"], result["env"]) == (5, 475.0, "CartPole-v1")


def test_eval_asks_for_one_mode_and_another_seed(run_once):
    result = evaluate(run_once, mode="sampled", seed=99, episodes=2)
    assert list(result["eval"]) == ["sampled"]
    assert (result["seed"], result["eval"]["sampled"]["episodes"]) == (99, 2)


def test_last_is_that_of_the_newest_run():
    train("env=CartPole-v1", "seed=1")
    run = train("env=CartPole-v1", "seed=2")["run"]
    assert evaluate("last")["ckpt"].startswith(run)


def test_a_config_that_lacks_later_keys_still_opens(run_once, place):
    run = shutil.copytree(run_once, place / "copy", symlinks=True)
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    for key in ("bounds", "log_std", "normalise"):
        del config["policy"][key]
    file.write_text(yaml.safe_dump(config))
    assert evaluate(run)["eval"] == json.loads((run / "summary.json").read_text())["eval"]


OWN = ["env=./my_env.py:Guess", "env.max_steps=5", "reward_scaling=my_code.double"]


def test_own_code_is_found_again_from_another_folder(tmp_path, monkeypatch):
    summary = train(*OWN)
    assert summary["eval"]["greedy"]["success_rate"] is not None
    run = Path(summary["run"]).absolute()
    monkeypatch.chdir(tmp_path)
    forget()
    assert evaluate(run)["eval"] == summary["eval"]


@pytest.mark.parametrize("file", ["my_env.py", "my_code.py"])
def test_a_run_whose_sources_have_changed_is_a_strangers(file, place):
    run = train(*OWN)["run"]
    (place / file).write_text((place / file).read_text() + "\n# changed\n")
    with pytest.raises(CheckpointError, match=r"would import .*my_env.py:Guess"):
        evaluate(run)
    evaluate(run, trusted=True)
    evaluate(run, env="./my_env.py:Guess")


@pytest.mark.parametrize("key", ["folder", "sources", "seal"])
def test_a_run_whose_marks_were_touched_is_a_strangers(key):
    run = train(*OWN)["run"]
    file = Path(run) / "meta.json"
    meta = json.loads(file.read_text())
    meta[key] = {"folder": "/elsewhere", "sources": [], "seal": ""}[key]
    file.write_text(json.dumps(meta))
    with pytest.raises(CheckpointError, match="was not made here by you"):
        evaluate(run)


def test_an_interpolation_cannot_hide_what_a_config_imports(place):
    run = train("env=CartPole-v1")["run"]
    (place / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    file = Path(run) / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["name"], config["env"]["id"] = f"{place}/evil.py:Env", "${name}"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(CheckpointError, match=r"would import .*evil.py:Env"):
        evaluate(run)
    assert not Path("ran").exists()


def test_code_that_an_evaluation_does_not_need_is_neither_asked_for_nor_imported(place):
    summary = train("env=CartPole-v1", "reward_scaling=./my_code.py:double")
    (place / "my_code.py").unlink()
    assert evaluate(summary["run"])["eval"] == summary["eval"]


def test_a_module_that_registers_an_id_may_lie_in_the_working_folder(tmp_path, monkeypatch, place):
    (place / "my_pkg.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('Guess-v0', entry_point='my_env:Guess', max_episode_steps=5)\n"
    )
    summary = train("env=my_pkg:Guess-v0")
    assert summary["run"].startswith("runs/Guess-v0/")
    run = Path(summary["run"]).absolute()
    monkeypatch.chdir(tmp_path)
    forget()
    assert evaluate(run)["eval"] == summary["eval"]


def test_a_checkpoint_of_another_env_is_refused():
    run = train("env=CartPole-v1")["run"]
    with pytest.raises(CheckpointError, match=r"was made for CartPole-v1, not for Acrobot-v1"):
        evaluate(run, env="Acrobot-v1")
    file = Path(run) / "config.yaml"
    file.write_text(file.read_text().replace("id: CartPole-v1", "id: Acrobot-v1"))
    with pytest.raises(CheckpointError, match=r"made for CartPole-v1, its run's .* Acrobot-v1"):
        evaluate(run)


def flip(file):
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("file", "harm", "says"),
    [
        ("checkpoints/last/policy.safetensors", flip, "SHA-256 differs"),
        ("checkpoints/last/policy.safetensors", lambda f: os.truncate(f, 99), "has 99 bytes"),
        ("checkpoints/last/state.json", Path.unlink, "it is missing"),
        ("checkpoints/last/manifest.json", Path.unlink, "is no checkpoint"),
        ("checkpoints/last/manifest.json", lambda f: f.write_text("{}"), "cannot be read"),
        ("config.yaml", Path.unlink, "is no complete run"),
        ("config.yaml", lambda f: f.write_text("{{{: x"), "config.yaml is damaged"),
        ("config.yaml", lambda f: f.write_text("- 1"), "config.yaml is damaged"),
        ("config.yaml", lambda f: f.write_text("hello: 1"), "config.yaml is damaged"),
        ("config.yaml", lambda f: f.write_text(""), "names no environment"),
        ("config.yaml", lambda f: f.write_text("env: {id: CartPole-v1}"), "names no policy"),
    ],
)
def test_damage_is_named(file, harm, says, run_once, place):
    run = shutil.copytree(run_once, place / "copy", symlinks=True)
    harm(run / file)
    with pytest.raises(CheckpointError, match=says) as caught:
        evaluate(run)
    assert caught.value.fix


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """One run for tests that only damage copies of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("once"))
        return Path(train("env=CartPole-v1", "total_steps=1")["run"]).absolute()


def test_a_policy_that_does_not_fit_is_named(run_once, place):
    run = shutil.copytree(run_once, place / "copy", symlinks=True)
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["policy"]["hidden"] = [8]
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(CheckpointError, match="does not fit the policy"):
        evaluate(run)


@pytest.mark.parametrize("ckpt", ["last", "best", "nonsense", "runs", "my_env.py"])
def test_a_missing_checkpoint_is_named(ckpt):
    with pytest.raises(CheckpointError) as caught:
        evaluate(ckpt)
    assert caught.value.fix

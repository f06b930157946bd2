"""inspect, doctor, repro and resume as a person types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_cli.cli import app

CARTPOLE = [
    "env=CartPole-v1", "num_groups=1", "epochs=1", "eval.episodes=2", "eval.final_episodes=3",
    "total_steps=300", "policy.hidden=[8]",
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def grpo(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def trained(*words):
    return grpo("train", "--quiet", *CARTPOLE, *words).stdout.strip()


def test_inspect_shows_a_run_and_a_checkpoint():
    run = trained()
    shown = grpo("inspect", "last").stdout
    assert run in shown
    assert "last best" in shown
    assert "head.weight  F32 [2, 8]" in grpo("inspect", f"{run}/best").stdout
    assert json.loads(grpo("inspect", "--json", run).stdout)["made"]["seed"] == 0


@pytest.mark.parametrize("verb", ["inspect", "repro"])
def test_verbs_of_paths_say_what_they_take(verb):
    for words in ([], ["a", "b"], ["lr=1"], ["--wrong"]):
        result = grpo(verb, *words)
        assert result.exit_code == 2
        assert "fix: write grpo" in result.stderr


def test_repro_tells_the_same_from_another():
    run = Path(trained())
    same = grpo("repro", "--quiet", run)
    assert (same.exit_code, "came out the same, and the weights" in same.stdout) == (0, True)
    file = run / "metrics.jsonl"
    first, *rest = file.read_text().splitlines()
    changed = {**json.loads(first), "train/loss": 42.0}
    file.write_text("\n".join([json.dumps(changed), *rest]) + "\n")
    other = grpo("repro", "--quiet", run)
    assert other.exit_code == 1
    assert "update 0: train/loss was 42.0, is" in other.stdout
    assert [path.name for path in Path("runs/CartPole-v1").iterdir()] == [run.name]


def test_doctor_says_by_its_exit_code(tmp_path):
    (tmp_path / "own.py").write_text(
        "import random\nfrom gymnasium.envs.classic_control import CartPoleEnv\n\n"
        "class Odd(CartPoleEnv):\n    def reset(self, **given):\n"
        "        obs, info = super().reset(**given)\n        return obs * random.random(), info\n"
    )
    odd = grpo("doctor", "--json", "env=./own.py:Odd", "env.max_steps=9")
    assert odd.exit_code == 1
    named = {check["name"]: check["ok"] for check in json.loads(odd.stdout)}
    assert named["same seed, same start"] is False
    assert grpo("doctor").exit_code == 0
    typo = grpo("doctor", "env=CartPole-v9")
    assert (typo.exit_code, "CartPole-v1" in typo.stderr) == (2, True)


def test_doctor_replays_a_crash(tmp_path):
    (tmp_path / "loss.py").write_text(
        "from grpo_cli.losses import clip\n\ndef broken(new, batch):\n"
        "    loss, measured = clip(new, batch)\n    return loss * float('nan'), measured\n"
    )
    crashed = grpo("train", "--quiet", *CARTPOLE, "loss=./loss.py:broken")
    assert crashed.exit_code == 4
    [bundle] = Path("runs").glob("*/*/crash-*")
    assert f"grpo doctor replay={bundle}" in crashed.stderr
    again = grpo("doctor", f"replay={bundle}")
    assert again.exit_code == 4
    assert "update 0: train/loss is not finite" in again.stderr
    assert "scored.advantage" in again.stdout
    (tmp_path / "loss.py").write_text("from grpo_cli.losses import clip as broken\n")
    assert grpo("doctor", f"replay={bundle}").exit_code == 2  # changed code is not imported unasked


def test_resume_by_name_and_its_refusals():
    run = trained("optim.schedule=constant")
    finished = grpo("train", "--quiet", f"resume={run}")
    assert (finished.exit_code, "is finished" in finished.stderr) == (2, True)
    longer = grpo("train", "--quiet", f"resume={run}", "total_steps=500")
    assert (longer.exit_code, longer.stdout.strip()) == (0, run)
    assert grpo("train", "--quiet", f"resume={run}", "-m", "lr=1,2").exit_code == 2
    assert grpo("train", "--quiet", "resume=nowhere").exit_code == 2
    wrong = grpo("train", "--quiet", f"resume={run}", "resume_changes=yes", "total_steps=600")
    assert (wrong.exit_code, "resume_changes must be" in wrong.stderr) == (2, True)
    assert grpo("train", "--quiet", *CARTPOLE, "max_time=soon").exit_code == 2

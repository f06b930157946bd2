"""`grpo presets`, by exit code and text."""

import json

import pytest
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.cli.presets import about, words
from grpo_cli.config.files import choices

NAMES = [name for name in choices("preset") if name != "none"]


def presets(*given: str):
    return CliRunner().invoke(app, ["presets", *given])


def listed(*given: str) -> list[str]:
    """Names of the presets that `--json` prints."""
    return [preset["name"] for preset in json.loads(presets(*given, "--json").stdout)]


def test_all_are_listed_with_a_line_and_a_source():
    lines = presets().stdout.splitlines()
    assert lines[0].split() == ["preset", "what", "it", "is", "source"]
    assert [line.split()[0] for line in lines[1:]] == NAMES
    assert all(len(line) <= 200 for line in lines)
    for name in NAMES:
        preset = about(name)
        assert preset.summary, name
        assert preset.source, name


def test_one_is_shown_with_the_words_it_stands_for():
    lines = presets("dapo").stdout.splitlines()
    assert lines[1].split()[:3] == ["dapo", "DAPO:", "clip"]
    words = "advantage=outcome loss=dapo group.drop_dead=true group.max_resample=3"
    assert lines[-1] == f"the same as  {words}"
    assert "'advantage.plus=[{coef: 1.0,gamma: 0.95," in presets("gigpo").stdout


def test_json():
    (preset,) = json.loads(presets("gspo", "--json").stdout)
    assert preset == {
        "name": "gspo",
        "summary": "GSPO: one ratio for each episode, narrow clip",
        "source": "Zheng et al. 2025, arXiv:2507.18071",
        "words": ["advantage=outcome", "loss=gspo"],
    }


def test_patterns():
    assert listed() == NAMES
    assert listed("GSPO") == ["gspo"]  # luspo's line has it too: a whole name is that preset
    assert listed("gpg") == ["gpg_grid", "gpg_time"]
    assert listed("*_cov") == ["clip_cov", "kl_cov"]
    assert listed("2510.03679") == ["gpg_grid", "gpg_time"]
    assert listed("Lite", "PPO") == ["lite_ppo"]


@pytest.mark.parametrize(
    ("pattern", "fix"), [("gigp0", "did you mean gigpo?"), ("zzz", "grpo presets lists them all")]
)
def test_no_preset(pattern: str, fix: str):
    result = presets(pattern)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: no preset fits {pattern}\n  fix: {fix}\n"


def test_words_are_typed_as_yaml_and_hydra_read_them():
    assert words("remax")[2:] == [
        "kl=k1", "epochs=1", "num_minibatches=1", "minibatch_size=null", "kl.coef=0.001",
        "kl.where=reward",
    ]  # fmt: skip
    assert "advantage.fallback=[]" in words("gpg_time")

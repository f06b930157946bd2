"""`grpo envs`: what is listed, what a pattern finds, and that nothing heavy is imported."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.cli import envs as page
from grpo_cli.config.env_ids import listed
from grpo_cli.config.files import choices
from grpo_cli.errors import ConfigError


def grpo(*words):
    return CliRunner().invoke(app, ["envs", *words])


def ids(pattern):
    return [entry.id for entry in page.matching(pattern)]


def test_everything_is_in_the_json_and_families_share_lines_in_the_table():
    rows = json.loads(grpo("--json").stdout)
    assert [row["id"] for row in rows] == list(listed())
    shown = grpo().stdout.splitlines()
    assert len(shown) < 60
    atari = next(line for line in shown if line.startswith("ALE/*-v5"))
    count = sum(row["id"].startswith("ALE/") and not row["tuned"] for row in rows)
    assert f"({count} ids)" in atari
    assert "conf/env/_atari.yaml" in atari


def test_tuned_are_those_whose_own_file_says_how_long():
    rows = json.loads(grpo("--json").stdout)
    own = [row["id"] for row in rows if row["file"] == f"conf/env/{row['id']}.yaml"]
    assert sorted(own) == choices("env")
    tuned = {row["id"] for row in rows if row["tuned"]}
    assert set(own) - tuned == {"ALE/Backgammon-v5", "ALE/VideoCheckers-v5"}


@pytest.mark.parametrize(
    ("pattern", "has", "lacks"),
    [
        ("box2d", "CarRacing-v3", "CartPole-v1"),
        ("pong", "ALE/Pong-v5", "CartPole-v1"),
        ("ALE/*", "ALE/Pong-v5", "Pong-v4"),
        ("tuple", "Blackjack-v1", "CartPole-v1"),
        ("", "CartPole-v1", "none"),
    ],
)
def test_a_pattern_looks_at_ids_extras_and_kinds_of_spaces(pattern, has, lacks):
    assert has in ids(pattern)
    assert lacks not in ids(pattern)


def test_a_whole_id_says_what_to_type_next():
    assert ids("Pong-v4") == ["Pong-v4"]
    assert grpo("CartPole-v1").stdout.splitlines()[-1] == "grpo train env=CartPole-v1"
    assert " native " in grpo("CartPole-v1").stdout


def test_what_needs_a_package(monkeypatch):
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    said = grpo("Hopper-v5").stdout
    assert "mujoco (not installed)" in said
    assert said.splitlines()[-1] == "pip install 'grpo-cli[mujoco]'"


def test_a_pattern_that_fits_nothing():
    with pytest.raises(ConfigError) as caught:
        page.matching("Pendulm-v1")
    assert "Pendulum-v1" in caught.value.fix
    assert grpo("Pendulm-v1").exit_code == 2


def test_neither_torch_nor_gymnasium_is_imported():
    code = (
        "import sys; from grpo_cli.cli import app\n"
        "app(['envs', 'cart'], standalone_mode=False)\n"
        "heavy = {'torch', 'gymnasium', 'hydra', 'numpy', 'mujoco', 'ale_py'}\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

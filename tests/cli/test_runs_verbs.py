"""`grpo runs`, `plot` and `compare`, by exit code and text."""

import json
from pathlib import Path

import pytest
from run_files import run_folder
from typer.testing import CliRunner

from grpo_cli.cli import app


def grpo(*words: str, **given):
    return CliRunner().invoke(app, list(words), **given)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(5):
        run_folder(tmp_path / "runs", seed, lr=0.01, score=40.0 + seed)
        run_folder(tmp_path / "runs", seed, lr=0.5, name="fast", score=70.0 + seed)
    return tmp_path / "runs"


def test_runs_are_listed_sorted_and_tagged():
    lines = grpo("runs", "lr=0.01", "--sort", "greedy").stdout.splitlines()
    assert [line.split()[5] for line in lines[1:]] == ["40.0", "41.0", "42.0", "43.0", "44.0"]
    assert grpo("runs", "seed=3", "--tag", "odd").stdout.count("odd") == 2
    assert grpo("runs", "tag=odd", "-q").stdout.count("\n") == 2
    found = json.loads(grpo("runs", "tag=odd", "--json").stdout)
    assert [run["state"] for run in found] == ["finished", "finished"]


def test_runs_are_removed_after_asking(root, monkeypatch):
    assert grpo("runs", "seed=3", "--remove").exit_code == 2  # nobody is there to be asked
    assert grpo("runs", "--remove", "--yes").exit_code == 2  # which?
    assert len(list(root.glob("*/*"))) == 10
    assert grpo("runs", "seed=3", "--remove", "--yes").exit_code == 0
    assert len(list(root.glob("*/*"))) == 8


def test_a_run_that_goes_on_is_not_removed(root):
    run = run_folder(root, 9, score=None)
    with run.alone():
        result = grpo("runs", "seed=9", "--remove", "--yes")
    assert result.exit_code == 2
    assert run.path.is_dir()


def test_curves_in_the_terminal_and_as_pictures():
    shown = grpo("plot", "runs").stdout
    assert "lr=0.01  5 seeds, at the end 30.0" in shown
    assert "⠉" in shown or "⣀" in shown
    for name in ("out.png", "out.svg"):
        result = grpo("plot", "runs", "--stat", "iqm", "--out", name)
        assert result.stdout == f"{name}\n", result.output
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")
    assert "lr=0.5 (5 seeds)" in Path("out.svg").read_text()


def test_a_side_is_better():
    result = grpo("compare", "lr=0.01", "name=fast")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("B is better by 30 [30, 30]")
    assert json.loads(grpo("compare", "lr=0.01", "name=fast", "--json").stdout)["paired"]


@pytest.mark.parametrize(
    "words",
    ["runs --sort x", "runs --zork", "plot", "plot nothing", "plot runs --out a.txt",
     "plot runs --metric x", "plot runs --stat x", "compare runs", "compare runs nothing"],
)  # fmt: skip
def test_wrong_words_exit_2(words):
    result = grpo(*words.split())
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2 or "--stat" in words


def test_tensorboard_takes_what_names_runs():
    from grpo_cli.cli.tensorboard import _folders
    from grpo_cli.errors import ConfigError

    [newest] = _folders(["last"])
    assert newest.is_dir()
    assert newest in _folders(["env=CartPole-v1"])
    assert _folders(["last", str(newest)]) == [newest]
    assert [str(folder) for folder in _folders(["runs"])] == ["runs"]
    with pytest.raises(ConfigError, match="no run is meant by nothing"):
        _folders(["nothing"])

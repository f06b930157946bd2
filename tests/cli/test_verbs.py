"""The command line, by exit code and text."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_cli import __version__
from grpo_cli.cli import app
from grpo_cli.cli.evaluate import require
from grpo_cli.errors import BelowMinReward, ConfigError, NonFinite

CARTPOLE = "env=CartPole-v1"
SCORES = {
    mode: {
        "episodes": 3,
        "mean": mean,
        "ci_low": 1.0,
        "ci_high": 2.0,
        "std": 0.0,
        "median": mean,
        "iqm": mean,
        "length_mean": 9.0,
        "success_rate": None,
    }
    for mode, mean in (("greedy", 480.0), ("sampled", 470.0))
}


def grpo(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stand in for the training itself; returns the configs it was called with."""
    from grpo_cli.config import jobs

    monkeypatch.chdir(tmp_path)
    seen = []

    def train_job(cfg, *, overrides, view):
        seen.append(cfg)
        if cfg.seed == 13:
            raise NonFinite("the loss is nan", "lower lr")
        if cfg.seed == 14:
            raise RuntimeError("first line\nsecond")
        if cfg.seed == 15:
            raise KeyboardInterrupt
        return {
            "run": f"runs/{cfg.env.id}/grpo-s{cfg.seed}",
            "env": cfg.env.id,
            "solved": True,
            "stop_at": 475.0,
            "env_steps": 1000,
            "updates": 2,
            "wall_s": 1.0,
            "fps": 1000.0,
            "seed": cfg.seed,
            "eval": SCORES,
        }

    monkeypatch.setattr(jobs, "train_job", train_job)
    return seen


def test_help_pages():
    page = grpo("--help")
    assert page.exit_code == 0
    for word in ("train", "eval", "config", "presets", "Exit codes", "143", "grpo eval ckpt="):
        assert word in page.stdout
    assert grpo().stdout == page.stdout
    train = grpo("train", "--help").stdout
    for word in ("group_size", "int >= 2", "env steps", "time_aligned  anchor  bin", "--trust"):
        assert word in train
    assert "min_reward" in grpo("eval", "-h").stdout
    assert "Precedence" in grpo("config", "--help").stdout
    assert "grpo presets dapo" in grpo("presets", "--help").stdout
    assert "--port" in grpo("tensorboard", "--help").stdout


def test_version():
    assert grpo("--version").stdout == grpo("train", "--version").stdout == f"grpo {__version__}\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("trian", "there is no verb trian"),
        ("--zork", "No such option: --zork"),
        ("train", "no environment named"),
        ("train env=CartPole-v1 lrr=3", "unknown key lrr"),
        ("train --group-size 8", "--group-size is not a flag"),
        ("train env=CartPole-v1 loss.eps_lo=1", "unknown key loss.eps_lo"),
        ("train -m env=CartPole-v1 group_size=4,abc", "group_size must be"),
        ("config env=Acrobot", "no environment called Acrobot"),
        ("config env=CartPole-v1 lr=-1", "lr must be a number, above 0"),
        ("config -m env=CartPole-v1", "this verb does not take -m"),
        ("eval", "no checkpoint named"),
        ("eval ckpt=last mode=gredy", "mode must be"),
        ("config env=CartPole-v1 preset=grpo", "no preset called grpo"),
        ("presets --zork", "No such option: --zork"),
        ("tensorboard nowhere", "there are no runs in runs"),
        ("tensorboard --port x", "Invalid value for '--port'"),
    ],
)
def test_wrong_words_exit_2_with_two_lines(
    words: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = grpo(*words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"error: {error}")
    assert lines[1].startswith("  fix: ")
    assert len(lines) == 2
    assert not list(tmp_path.iterdir())


def test_train_prints_the_block_or_json_or_the_folder(trained: list):
    assert grpo("train", CARTPOLE).stdout.startswith("CartPole-v1 solved")
    assert json.loads(grpo("train", CARTPOLE, "--json").stdout)["env_steps"] == 1000
    assert grpo("train", "-q", CARTPOLE).stdout == "runs/CartPole-v1/grpo-s0\n"
    assert len(trained) == 3


def test_flags_anywhere_among_the_words(trained: list):
    result = grpo("train", "seed=1", "--cfg", "job", CARTPOLE, "-p", "loss", "--quiet", "lr=1")
    assert result.exit_code == 0
    assert "eps_low: 0.2" in result.stdout
    assert not trained


def test_what_training_raises(trained: list):
    failed = grpo("train", CARTPOLE, "seed=13")
    assert (failed.exit_code, failed.stdout) == (4, "")
    assert failed.stderr == "error: the loss is nan\n  fix: lower lr\n"
    internal = grpo("train", CARTPOLE, "seed=14")
    assert internal.exit_code == 1
    assert internal.stderr.startswith("error: internal: RuntimeError: first line\n  fix: run again")
    assert "Traceback" not in internal.stderr
    assert "Traceback" in grpo("train", CARTPOLE, "seed=14", "--debug").stderr
    assert grpo("train", CARTPOLE, "seed=15").exit_code == 130


def test_a_sweep_goes_on_after_a_failure(trained: list, tmp_path: Path):
    result = grpo("train", "-m", CARTPOLE, "seed=1,13,14,2")
    assert result.exit_code == 4  # of the first that failed
    assert [cfg.seed for cfg in trained] == [1, 13, 14, 2]
    lines = result.stdout.splitlines()
    assert len(lines) == 5
    assert "failed" in lines[2]
    assert result.stderr.startswith("\njob env=CartPole-v1 seed=1\n\njob env=CartPole-v1 seed=13\n")
    assert "error: job 1: the loss is nan" in result.stderr
    assert "error: job 2: internal: RuntimeError: first line" in result.stderr
    records = json.loads(grpo("train", "-m", CARTPOLE, "seed=1,13", "--json").stdout)
    assert records[0]["summary"]["seed"] == 1
    assert records[1]["error"] == {"what": "the loss is nan", "fix": "lower lr", "exit_code": 4}
    assert not list(tmp_path.iterdir())


def test_code_named_only_in_a_file_needs_trust(trained: list, tmp_path: Path):
    (tmp_path / "mine" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "loss" / "own.yaml").write_text("name: my_loss.fn\n")
    words = ["train", "--config-dir", "mine", CARTPOLE, "loss=own"]
    refused = grpo(*words)
    assert refused.exit_code == 2
    assert "a config file would import my_loss.fn" in refused.stderr
    assert grpo(*words, "--trust").exit_code == 0
    assert grpo("train", CARTPOLE, "loss=my_loss.fn").exit_code == 0
    assert grpo("train", "env=/abs/my_env.py:Valve").exit_code == 0
    (tmp_path / "mine" / "reward").mkdir()
    (tmp_path / "mine" / "reward" / "own.yaml").write_text("name: weighted\nfunctions: [my.fn]\n")
    refused = grpo(*words[:-1], "reward=own")
    assert "a config file would import my.fn" in refused.stderr
    assert grpo("train", CARTPOLE, "reward.functions=[env,./my.py:fn]").exit_code == 0


def test_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    result = grpo("config", CARTPOLE, "lr=0.5")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("lr:"))
    assert line.split("#")[0].strip() == "lr: 0.5"
    assert line.endswith("# command line")
    table = json.loads(grpo("config", CARTPOLE, "--json").stdout)
    assert table["env.id"] == {"value": "CartPole-v1", "origin": "conf/env/CartPole-v1.yaml"}


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch):
    """Stand in for the evaluation itself; returns what it was called with."""
    from grpo_cli.config import jobs

    seen = []

    def eval_job(conf, *, view, trusted):
        seen.append((conf, trusted))
        if conf.ckpt == "broken":
            raise ConfigError("what", "fix")
        facts = {"ckpt": conf.ckpt, "env": "CartPole-v1", "threshold": 475.0, "seed": 0}
        return {**facts, "eval": SCORES}

    monkeypatch.setattr(jobs, "eval_job", eval_job)
    return seen


def test_eval(evaluated: list):
    result = grpo("eval", "ckpt=last", "episodes=3", "--trust")
    assert result.exit_code == 0
    assert result.stdout.startswith("CartPole-v1  ·  threshold 475")
    assert evaluated[0][0].episodes == 3
    assert evaluated[0][1] is True
    assert json.loads(grpo("eval", "ckpt=last", "--json").stdout)["eval"] == SCORES
    assert grpo("eval", "ckpt=broken").exit_code == 2


def test_min_reward_must_hold_in_every_mode(evaluated: list):
    assert grpo("eval", "ckpt=last", "min_reward=470").exit_code == 0
    below = grpo("eval", "ckpt=last", "min_reward=475", "--json")
    assert below.exit_code == 5
    assert json.loads(below.stdout)["env"] == "CartPole-v1"  # printed all the same
    assert "below min_reward=475: sampled 470.0" in below.stderr
    with pytest.raises(BelowMinReward):
        require({"greedy": {"mean": float("nan")}}, -1e9)


def test_tensorboard_needs_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = grpo("tensorboard")
    assert result.exit_code == 2
    assert "grpo train env=CartPole-v1" in result.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--help"], ["train", "lrr=3"], ["presets", "dapo"]]
)
def test_nothing_heavy_is_loaded_to_answer(words: list[str]):
    code = (
        "import sys; from grpo_cli.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = 'torch gymnasium hydra omegaconf numpy tensorboard pydantic'.split()\n"
        "sys.stderr.write(str([m for m in heavy if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.stderr.endswith("[]")


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_signals_end_a_training_run(tmp_path: Path, number: int, code: int):
    words = [CARTPOLE, "total_steps=100000000", "stop_at=none", "eval_every=100000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "grpo_cli", "train", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    # Python ends itself by the signal when it hit while some library ran exec("..."); a shell
    # shows the same number for both.
    ended = process.returncode
    assert (128 - ended if ended < 0 else ended) == code, err
    assert out == ""
    assert "Traceback" not in err

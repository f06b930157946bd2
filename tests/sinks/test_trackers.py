"""Experiment trackers, with what their own libraries read back."""

import logging
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from grpo_cli.errors import MissingPackage
from grpo_cli.sinks.trackers import Tracker

METRICS = {"train/loss": np.float64(0.5), "hist/return": np.ones(3)}


class Told(Tracker):
    """A tracker that keeps what it is told, and breaks when asked to."""

    package = "json"

    def _start(self, folder, hparams, project):
        self.seen = [(folder, hparams, project)]

    def _log(self, step, numbers):
        print("not on stdout")
        if step == 3:
            raise ConnectionError("no network")
        self.seen.append((step, numbers))

    def _end(self):
        self.seen.append("end")


def test_numbers_are_handed_on_and_a_failure_costs_no_run(tmp_path, caplog, capsys):
    caplog.set_level(logging.WARNING)
    sink = Told(tmp_path, {"lr": 0.1}, "p")
    for step in (1, 2, 3, 4):
        sink.write(step, METRICS)
    sink.close()
    assert sink.seen == [(tmp_path, {"lr": 0.1}, "p"), *((s, {"train/loss": 0.5}) for s in (1, 2))]
    assert caplog.text.count("no network; training goes on without it") == 1
    assert capsys.readouterr().out == ""


def test_a_missing_library_is_named(tmp_path):
    class Missing(Told):
        package = "no_such_tracker"

    with pytest.raises(MissingPackage, match="no_such_tracker"):
        Missing(tmp_path, {}, "p")


def train(sink, place, **environment):
    words = ["env=CartPole-v1", "total_steps=600", "eval.final_episodes=2", f"sinks=[{sink}]", "-q"]
    import os

    done = subprocess.run(
        [sys.executable, "-m", "grpo_cli", "train", *words], cwd=place, capture_output=True,
        text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "goes on without it" not in done.stderr
    assert done.stdout.startswith("runs/CartPole-v1/")
    assert done.stdout.count("\n") == 1
    return place / done.stdout.strip()


@pytest.mark.slow
def test_wandb_offline(tmp_path):
    pytest.importorskip("wandb")
    run = train("wandb", tmp_path, WANDB_MODE="offline")
    [kept] = (run / "wandb").glob("offline-run-*/*.wandb")
    data = kept.read_bytes()
    assert b"rollout/ep_rew_mean" in data
    assert b"eval.final_episodes" in data


@pytest.mark.slow
def test_mlflow_in_a_folder(tmp_path):
    pytest.importorskip("mlflow")
    address = (tmp_path / "kept").as_uri()
    train("mlflow", tmp_path, MLFLOW_TRACKING_URI=address, MLFLOW_ALLOW_FILE_STORE="true")
    [file] = (tmp_path / "kept").glob("*/*/metrics/rollout/ep_rew_mean")
    assert len(file.read_text().splitlines()) >= 2
    assert [path.read_text() for path in (tmp_path / "kept").glob("*/*/params/lr")] == ["0.002"]


@pytest.mark.slow
def test_trackio_on_this_computer(tmp_path):
    pytest.importorskip("trackio")
    train("trackio", tmp_path, TRACKIO_DIR=str(tmp_path / "kept"))
    with sqlite3.connect(tmp_path / "kept/grpo.db") as kept:
        rows = kept.execute("select step, metrics from metrics order by step").fetchall()
    assert len(rows) >= 2
    assert "rollout/ep_rew_mean" in str(rows[0][1])

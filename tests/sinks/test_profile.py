"""`profile=true`: a table whose parts sum to the whole, and a trace that can be opened."""

import gzip
import json
from pathlib import Path

import pytest
from small_runs import own_place, train

from grpo_cli.clock import OTHER
from grpo_cli.sinks import profile
from grpo_cli.sinks.profile import TRACE, TRACED, WARM_UP

FILES = {"profile.json", "profile.txt", TRACE}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def files(run):
    return {path.name for path in Path(run).iterdir()} & FILES


def test_a_profiled_run_says_where_its_time_went():
    words = ["env=CartPole-v1", "total_steps=1500", "eval_every=500", "sinks=[tensorboard]"]
    summary = train(*words, "profile=true")
    run = Path(summary["run"])
    found = json.loads((run / "profile.json").read_text())
    assert found == summary["profile"]
    assert found["updates"] == summary["updates"] - WARM_UP - TRACED
    assert sum(found["parts"].values()) == pytest.approx(found["seconds"])
    assert min(found["parts"].values()) >= 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    recorded = [line["time/total_timesteps"] for line in lines]
    assert 0 < found["env_steps"] < recorded[-1] - recorded[WARM_UP - 1]
    assert set(found["parts"]) >= {
        "sample/env step", "sample/env reset", "sample/forward", "sample/choose", "sample/decode",
        "sample/pack", "score/returns", "score/rewards", "score/advantage", "update/old log-probs",
        "update/shuffle and slice", "update/forward and loss", "update/backward",
        "update/optimizer step", "log", "evaluate/env step", OTHER,
    }  # fmt: skip
    assert "profile: false" in (run / "config.yaml").read_text()  # nothing that the run is
    with gzip.open(run / TRACE) as file:
        events = json.load(file)["traceEvents"]
    names = {event["name"] for event in events if event.get("ph") == "X"}
    assert {"aten::addmm", "env step", "backward"} <= names


def test_without_it_nothing_is_written():
    plain = train("env=CartPole-v1")
    assert files(plain["run"]) == set()
    assert "profile" not in plain


def test_profiling_changes_nothing_that_is_learned():
    words = ["env=CartPole-v1", "total_steps=900"]
    plain, watched = train(*words), train(*words, "profile=true")
    assert plain["eval"] == watched["eval"]
    assert plain["env_steps"] == watched["env_steps"]


def test_a_run_that_is_over_before_anything_was_recorded_says_so(caplog):
    summary = train("env=CartPole-v1", "total_steps=1", "profile=true")
    assert summary["profile"] is None
    assert files(summary["run"]) == set()
    assert "recorded nothing" in caplog.text


def test_the_table_by_hand():
    found = {
        "updates": 2,
        "env_steps": 1000,
        "seconds": 0.010,
        "parts": {"sample/env step": 0.004, "sample": 0.001, "log": 0.003, OTHER: 0.002},
        "trace": None,
    }
    # 10 ms for 1,000 steps are 10 us a step; the parts under a heading sum to it
    rows = [line.split("  ") for line in profile.as_text(found).splitlines()[2:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["sample", "5.00", "50.0 %", "2.50"],
        ["env step", "4.00", "40.0 %", "2.00"],
        ["the rest", "1.00", "10.0 %", "0.50"],
        ["log", "3.00", "30.0 %", "1.50"],
        ["other", "2.00", "20.0 %", "1.00"],
        ["all", "10.00", "100.0 %", "5.00"],
    ]
    assert profile.headline(found).endswith("100,000 env steps/s while recorded")

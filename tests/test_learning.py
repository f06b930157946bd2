"""What the shipped environments are there for: memory, and pixels."""

import json
from pathlib import Path

import pytest
from small_runs import own_place

from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.sinks.view import View

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def scores(*words):
    given = [*words, "seed=0", "sinks=[]"]
    run = train_job(compose(given), overrides=given, view=View(quiet=True))["run"]
    found = json.loads((Path(run) / "summary.json").read_text())["eval"]
    return [found[mode]["mean"] for mode in ("greedy", "sampled")]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_policy_that_remembers_finds_the_way(cell):
    # Who guesses gets half. Of 100 sampled episodes .05 are two standard deviations.
    greedy, sampled = scores("env=grpo/TMaze-v0", "policy=recurrent", f"policy.cell={cell}")
    assert greedy >= 0.95
    assert sampled >= 0.9


def test_one_that_does_not_remember_guesses():
    # 100 episodes: .2 are four standard deviations.
    _, sampled = scores("env=grpo/TMaze-v0", "policy=mlp", "total_steps=40000", "eval_every=40000")
    assert sampled <= 0.7


def test_pixels_say_where_the_ball_is():
    greedy, _ = scores("env=grpo/Catch-v0")
    assert greedy >= 0.95

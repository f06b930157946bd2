"""The block on stdout when a job is done."""

import json

import pytest

from grpo_cli.cli.closing import show_evaluation, show_jobs, show_training
from grpo_cli.cli.screen import show_json

SCORE = {
    "episodes": 100,
    "mean": 499.2,
    "ci_low": 497.5,
    "ci_high": 500.0,
    "std": 3.1,
    "median": 500.0,
    "iqm": 500.0,
    "length_mean": 499.2,
    "success_rate": None,
}
RUN = "runs/CartPole-v1/grpo-s0-20260101-000000"


def summary(**changes):
    return {
        "run": RUN,
        "env": "CartPole-v1",
        "solved": True,
        "stop_at": 475.0,
        "env_steps": 98_304,
        "updates": 12,
        "wall_s": 64.0,
        "fps": 23_456.7,
        "seed": 0,
        "checkpoint": f"{RUN}/checkpoints/step-000098304",
        "eval": {"greedy": SCORE, "sampled": {**SCORE, "mean": 470.0}},
        **changes,
    }


def test_a_solved_run(capsys: pytest.CaptureFixture[str]):
    show_training(summary())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "CartPole-v1 solved  ·  mean of at least 475 in both modes"
    text = " ".join(" ".join(lines).split())
    assert "greedy 100 499.2 497.5 to 500.0" in text
    assert "98,304 env steps, 12 updates, 1 min 04 s, 23,457 steps/s, seed 0" in text
    assert f"grpo eval ckpt={RUN}" in text
    assert f"grpo tensorboard {RUN}" in text
    assert "success" not in text
    assert all(line == line.rstrip() for line in lines)


def test_returns_below_one_keep_their_digits(capsys: pytest.CaptureFixture[str]):
    small = {**SCORE, "mean": 0.9643, "ci_low": 0.9632, "ci_high": 0.9654}
    show_training(summary(stop_at=0.9, eval={"greedy": small, "sampled": small}))
    assert "0.964 0.963 to 0.965" in " ".join(capsys.readouterr().out.split())


def test_not_solved_and_no_threshold(capsys: pytest.CaptureFixture[str]):
    show_training(summary(solved=False))
    assert "not solved  ·  a mean of 475 is needed" in capsys.readouterr().out
    show_training(summary(solved=None, stop_at=None))
    out = capsys.readouterr().out
    assert "no threshold" in out
    assert "solved" not in out


def test_a_terminal_gets_a_frame(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("grpo_cli.cli.closing.is_terminal", lambda: True)
    show_training(summary(env="[bold]x"))  # brackets in names are no markup
    out = capsys.readouterr().out
    assert out.startswith("╭─ [bold]x solved")
    assert out.rstrip().endswith("╯")


def test_success_rates_where_reported(capsys: pytest.CaptureFixture[str]):
    scores = {"greedy": {**SCORE, "success_rate": 0.97}}
    show_evaluation({"ckpt": RUN, "env": "X-v1", "threshold": None, "seed": 3, "eval": scores})
    out = capsys.readouterr().out
    assert "success" in out
    assert "97 %" in out
    assert out.startswith("X-v1  ·  no threshold")


def test_jobs_show_the_words_in_which_they_differ(capsys: pytest.CaptureFixture[str]):
    failed = {"overrides": ["env=CartPole-v1", "lr=-1"], "error": {"what": "lr must be"}}
    done = {"overrides": ["env=CartPole-v1", "lr=1"], "summary": summary()}
    show_jobs([failed, done])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["0", "lr=-1", "failed"]
    assert lines[2].split() == ["1", "lr=1", "499.2", "470.0", "98,304", "solved", RUN]


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]):
    show_json({"a": [float("nan"), 1.0], "b": {"c": float("inf")}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.0], "b": {"c": None}}


def test_a_sweep_says_how_its_sides_are_compared(capsys):
    words = [f"env=X preset={preset} seed={seed}" for preset in "ab" for seed in "01"]
    show_jobs([{"overrides": line.split()} for line in words])
    assert capsys.readouterr().out.splitlines()[-1] == "next  grpo compare preset=a preset=b"
    show_jobs([{"overrides": ["env=X", f"seed={seed}"]} for seed in "01"])
    assert "next" not in capsys.readouterr().out

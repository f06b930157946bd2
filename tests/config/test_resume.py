"""A run that is interrupted and gone on with is the run left alone, bit for bit."""

import json
import os
import shutil
from pathlib import Path

import pytest
from resumed import (
    BOX,
    ENV,
    assert_equal,
    begin,
    cut_off,
    go_on,
    interrupted,
    metrics,
    only_run,
    weights,
)  # fmt: skip
from small_runs import own_place

from grpo_cli.config.resume import named_run
from grpo_cli.errors import CheckpointError, ConfigError, GrpoError, Stopped
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks.view import View


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


VARIANTS = [
    [],
    [BOX, "policy.normalise=true", "reward_scaling=running_std"],
    ["kl.coef=0.1", "kl.target=0.01", "kl.sync_every=3", "kl.sync_alpha=0.5", "entropy=adaptive"],
    ["group.slots=2", "optim.schedule=constant", "log_every=2"],
    ["group.candidates=5", "group.drop_dead=true", "group.max_resample=2", "backend=async"],
    ["advantage=fitted", "loss=gspo", "kl.coef=0.1", "kl.reference=old"],
]


@pytest.mark.parametrize("words", VARIANTS, ids=lambda words: " ".join(words)[-30:] or "default")
def test_an_interrupted_run_is_the_run_left_alone(monkeypatch, words):
    straight = begin("name=straight", *words)
    if "backend=async" in words:  # there the environment is in another process
        run = cut_off(*words)
    else:
        run, _ = interrupted(monkeypatch, 137, *words)
        assert 0 < len(metrics(run)) < len(metrics(straight))
    go_on(run)
    assert_equal(straight, run)


def test_twice_interrupted_and_by_every_signal(monkeypatch):
    straight = begin("name=straight")
    run, stopped = interrupted(monkeypatch, 60, signal="SIGINT")
    assert (stopped.exit_code, str(run) in stopped.fix) == (130, True)
    for signal, code in (("SIGUSR1", 143), ("SIGTERM", 143)):
        monkeypatch.setenv("FAULT", f"{signal}:90")
        with pytest.raises(Stopped) as caught:
            go_on(run)
        assert caught.value.exit_code == code
    monkeypatch.delenv("FAULT")
    go_on(run)
    assert_equal(straight, run)
    assert len(json.loads((run / "meta.json").read_text())["resumed"]) == 3


def test_before_the_first_update_nothing_is_left(monkeypatch):
    monkeypatch.setenv("FAULT", "SIGTERM:3")
    with pytest.raises(Stopped, match="before the first update"):
        begin()
    assert not Path("runs").exists()


def test_an_older_checkpoint_can_be_gone_on_from():
    straight = begin("name=straight", "checkpoint.keep=9")
    run = Path(shutil.copytree(straight, straight.parent / "copy-s0-1", symlinks=True))
    (run / "summary.json").unlink()
    first, *later = sorted((run / "checkpoints").glob("step-*"))
    go_on(first)
    assert_equal(straight, run)
    aside = {path.name for path in (run / "checkpoints").glob("aside-*")}
    assert aside == {f"aside-{path.name}" for path in later}


def test_a_longer_run_with_a_falling_rate_is_told_both_words():
    run = begin()
    with pytest.raises(ConfigError, match="is finished") as refused:
        go_on(run)
    assert "total_steps=... resume_changes=allow" in refused.value.fix


def test_a_longer_run_goes_on_and_a_finished_one_says_so():
    run = begin("optim.schedule=constant")
    with pytest.raises(ConfigError, match="is finished, after 4") as refused:
        go_on(run)
    assert "total_steps=" in refused.value.fix
    go_on(run, "total_steps=600")
    straight = begin("name=straight", "optim.schedule=constant", "total_steps=600")
    assert weights(run) == weights(straight)
    assert "total_steps: 600" in (run / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["total_steps=600"], "another total_steps"),  # the learning rate goes down with it
        (["lr=0.1", "gamma=0.5"], "another lr and gamma"),
        (["loss=dapo"], "loss.eps_high"),
    ],
)
def test_a_change_that_moves_the_policy_is_asked_for(words, says):
    run = begin()
    with pytest.raises(ConfigError, match="would learn otherwise") as refused:
        go_on(run, *words)
    assert says in refused.value.what
    assert "resume_changes=allow" in refused.value.fix
    resumed = go_on(run, *words, "total_steps=600", allow=True)
    assert says.split()[-1] in resumed.changed


def test_sinks_are_taken_away_and_given_back():
    run = begin("sinks=[]")
    go_on(run, "sinks=[]", "total_steps=600", allow=True)
    go_on(run, "sinks=[tensorboard]", "total_steps=800", allow=True)
    assert list(run.rglob("events.out.*"))
    go_on(run, "sinks=[]", "total_steps=1000", allow=True)
    assert "sinks: {}" in (run / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("lr=fast", "lr must be a number"),
        ("lr=0.1,0.2", "cannot take the word"),
        ("+typo=1", "cannot take the word"),
        ("los.eps_low=1", "unknown key los.eps_low"),
        ("loss.eps_low=7", "loss.eps_low must be"),
        ("loss=clp", "no loss called clp"),
        ("env=CartPole-v1", "was made for"),
        ("preset=dapo", "cannot change its preset"),
        ("checkpoint.keep=1", "checkpoint.keep must be"),
    ],
)
def test_words_that_a_resumed_run_cannot_take(word, says, run_once):
    with pytest.raises(ConfigError, match=says):
        named_run(str(run_once), [word], allow=True, trusted=True)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("once"))
        return begin().absolute()


def heard():
    lines = []
    view = View(quiet=True)
    view.warn = lines.append  # type: ignore[method-assign]
    return lines, view


def test_auto_starts_then_goes_on_then_has_nothing_to_do(monkeypatch):
    straight = begin("name=straight")
    run, _ = interrupted(monkeypatch, 137, "resume=auto")
    assert begin("name=halted", "resume=auto") == run
    assert_equal(straight, run)
    scores = json.loads((run / "summary.json").read_text())["eval"]
    assert begin("name=halted", "resume=auto") == run
    assert json.loads((run / "summary.json").read_text())["eval"] == scores
    lines, view = heard()
    assert begin("name=halted", "resume=auto", "lr=0.1", view=view) != run
    assert [line for line in lines if "is another run: it has another lr" in line]


def test_auto_falls_back_loudly_and_never_to_nothing(monkeypatch):
    straight = begin("name=straight")
    run, _ = interrupted(monkeypatch, 237)
    steps = sorted((run / "checkpoints").glob("step-*"))
    assert len(steps) > 1
    os.truncate(steps[-1] / "state.json", 5)
    with pytest.raises(CheckpointError, match="damaged") as refused:
        go_on(run)
    assert "resume=auto" in refused.value.fix
    lines, view = heard()
    assert begin("name=halted", "resume=auto", view=view) == run
    assert any(steps[-1].name in line and "trying the one before" in line for line in lines)
    assert_equal(straight, run)
    for path in (run / "checkpoints").glob("step-*"):
        (path / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoints of .* are damaged"):
        begin("name=halted", "resume=auto")


def test_two_processes_do_not_train_in_one_folder(monkeypatch):
    run, _ = interrupted(monkeypatch, 137)
    with RunFolder(run).alone(), pytest.raises(CheckpointError, match="another process"):
        go_on(run)


def test_a_strangers_run_imports_nothing(monkeypatch):
    run, _ = interrupted(monkeypatch, 137)
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps({**meta, "seal": ""}))
    with pytest.raises(GrpoError, match=r"would import .*faults\.py:Faulty"):
        go_on(run)
    go_on(run, ENV)


def test_max_time_saves_and_stops():
    with pytest.raises(Stopped, match="max_time is over") as stopped:
        begin("max_time=1s", "total_steps=10_000_000", "name=halted")
    assert stopped.value.exit_code == 143
    assert (only_run("halted") / "checkpoints/last/manifest.json").exists()


def test_the_time_of_a_run_is_that_of_all_its_parts():
    straight = begin("name=straight", "optim.schedule=constant")
    whole = json.loads((straight / "summary.json").read_text())
    go_on(straight, "total_steps=600")
    longer = json.loads((straight / "summary.json").read_text())
    told = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    spent = sum(line[f"time/{part}_s"] for line in told for part in ("sample", "update"))
    assert longer["train_s"] > spent > 0
    assert longer["wall_s"] > longer["train_s"]
    assert longer["env_steps"] > whole["env_steps"]
    assert longer["fps"] == pytest.approx(longer["env_steps"] / longer["train_s"])

"""An update that is not finite: undone, written down, and what follows."""

import json
from pathlib import Path

import faults
import numpy as np
import pytest
import torch
from builders import make_rollout
from resumed import assert_equal, begin, go_on, interrupted, metrics
from small_runs import own_place

from grpo_cli import checkpoint
from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.config.mending import packed, unpacked
from grpo_cli.config.replay import replay
from grpo_cli.errors import NonFinite, Stopped
from grpo_cli.frames import Frames
from grpo_cli.sinks.view import View
from grpo_cli.tokens import Tokens

# The third update is broken in its second minibatch, after the policy has moved in the first.
BROKEN = """
from grpo_cli.losses import clip
calls = 0

def third(new, batch, *, at=(10,)):
    global calls
    calls += 1
    loss, measured = clip(new, batch)
    return loss * (float("nan") if calls in at else 1.0), measured
"""
QUICK = [
    "env=CartPole-v1", "num_groups=2", "group_size=3", "epochs=1", "num_minibatches=4",
    "policy.hidden=[8]", "total_steps=600", "save_every=1", "eval_every=10_000", "eval.episodes=1",
    "eval.final_episodes=1", "sinks=[]", "stop_at=none", "loss=./my_loss.py:third",
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for home in own_place(tmp_path, monkeypatch):
        (home / "my_loss.py").write_text(BROKEN)
        yield home


def train(*words):
    lines, view = [], View(quiet=True)
    view.warn = lines.append  # type: ignore[method-assign]
    given = [*QUICK, *words]
    return Path(train_job(compose(given), overrides=given, view=view)["run"]), lines


def state(path):
    loaded = checkpoint.load(path)
    return loaded.policy | loaded.state


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_halt_leaves_the_last_good_policy_and_a_bundle():
    with pytest.raises(NonFinite, match="not finite") as caught:
        train()
    [run] = Path("runs").glob("*/*")
    bundle = run / "crash-000002"
    assert f"grpo doctor replay={bundle}" in caught.value.fix
    assert caught.value.exit_code == 4
    # what the bundle holds is the state before the update, not what its first step made of it
    assert equal(state(bundle), state(run / "checkpoints/last"))
    loaded = checkpoint.load(bundle)
    assert loaded.facts["update"] == 2
    scored = unpacked(loaded.batch, loaded.facts["batch"])
    assert len(scored.rollout.reward) == len(scored.advantage)
    again = packed(scored)
    assert equal(again[0], loaded.batch)
    assert again[1] == loaded.facts["batch"]


def test_skip_goes_on_as_if_the_update_had_not_been():
    run, lines = train("nan=skip")
    assert [line for line in lines if "update 2 is undone" in line]
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/epochs"] for line in metrics[:4]] == [1, 1, 0, 1]
    # its steps were simulated, and count
    assert metrics[2]["step"] > metrics[1]["step"]
    assert not list(run.glob("crash-*"))


def test_rollback_takes_the_last_checkpoint():
    run, lines = train("nan=rollback", "save_every=1000", "+loss.at=[10]")
    # no checkpoint yet: what is left is the state before the update
    assert [line for line in lines if line.endswith("update 2 is undone")]
    run, lines = train("nan=rollback", "name=other", "+loss.at=[10,30]")
    assert [line for line in lines if "update 2 is undone, and all since step-" in line]
    assert (run / "summary.json").exists()


def test_what_breaks_again_and_again_ends_the_run():
    with pytest.raises(NonFinite, match="not finite"):
        train("nan=skip", "total_steps=100_000", f"+loss.at={list(range(10, 60))}".replace(" ", ""))
    [run] = Path("runs").glob("*/*")
    assert [path.name for path in run.glob("crash-*")] == ["crash-000006"]


LEAKY = f"env={faults.__file__}:Leaky"
LONG = ["total_steps=1500", "save_every=400", "eval_every=10_000", "eval.final_episodes=1"]
MODES = (
    [],
    ["group=windows"],
    ["group.candidates=5", "group.drop_dead=true", "group.max_resample=2"],
    ["group=candidates", "group.horizon=3", "advantage=outcome"],
    ["group=branches", "group.horizon=3"],
)


def undone(run):
    """Which updates were not finite."""
    return [number for number, line in enumerate(metrics(run)) if line["train/epochs"] == 0]


@pytest.mark.parametrize("words", MODES, ids=lambda words: words[0] if words else "episodes")
def test_rewards_that_are_nan_are_written_down_and_can_be_seen_again(words):
    with pytest.raises(NonFinite, match="non-finite reward at step") as caught:
        begin(*words, "total_steps=100_000", env=LEAKY)
    [bundle] = Path("runs").glob("*/*/crash-*")
    assert f"grpo doctor replay={bundle}" in caught.value.fix
    again = replay(str(bundle), view=View(quiet=True), trusted=False)
    # in what was written down, and in an environment that is asked again
    assert again["error"] == again["sampled"] == caught.value.what
    assert again["columns"]["reward"]["not_finite"] > 0


def test_skip_learns_nothing_from_a_rollout_that_is_not_finite():
    run = begin("nan=skip", *LONG, env=LEAKY)
    lines = metrics(run)
    broken = undone(run)
    assert 0 < len(broken) < len(lines)
    for number in broken:
        assert set(lines[number]) <= {"step", "train/epochs", "train/n_updates"} | {
            name for name in lines[number] if name.startswith("eval/")
        }
        # its steps were simulated, and count
        assert lines[number]["step"] > lines[number - 1]["step"]


@pytest.mark.parametrize(
    ("every", "times"), [pytest.param(95, 9, marks=pytest.mark.slow), (430, 2)]
)
def test_a_run_that_goes_back_can_be_interrupted_anywhere(monkeypatch, every, times):
    """The checkpoints of interruptions are newer than the one to go back to, and not meant."""
    words = ["nan=rollback", "checkpoint.keep=2", *LONG]
    straight = begin("name=straight", *words, env=LEAKY)
    assert len(undone(straight)) > 3
    run, _ = interrupted(monkeypatch, every, *words, env=LEAKY)
    for _ in range(times - 1):
        monkeypatch.setenv("FAULT", f"SIGTERM:{every}")
        with pytest.raises(Stopped):
            go_on(run)
    monkeypatch.delenv("FAULT", raising=False)
    go_on(run)
    assert_equal(straight, run)


def test_a_reward_function_that_is_not_finite_is_seen_again(place):
    (place / "my_reward.py").write_text(
        "def bad(rollout):\n    return rollout.reward / (rollout.step < 7)\n"
    )
    with np.errstate(divide="ignore"), pytest.raises(NonFinite, match="bad returned inf") as caught:
        begin("reward.functions=[./my_reward.py:bad]", env=LEAKY)
    [bundle] = Path("runs").glob("*/*/crash-*")
    with np.errstate(divide="ignore"):
        again = replay(str(bundle), view=View(quiet=True), trusted=False)
    assert (again["error"], again["sampled"]) == (caught.value.what, None)


def test_stacked_frames_and_words_are_written_down_too():
    columns = {
        "frames": Frames(torch.rand(5, 20, 20), torch.tensor([[0, 1], [1, 2], [2, 3]])),
        "ids": Tokens(
            torch.arange(6), torch.tensor([0, 3, 6]), torch.tensor([0, 1]),
            torch.tensor([[0, 1], [0, 2], [1, 4]]),
        ),
    }  # fmt: skip
    for name, obs in columns.items():
        context = np.array([{"asked": "1 + 1"}], dtype=object)
        rollout = make_rollout([[1, 2, 3]], obs=obs, context=context)
        tensors, facts = packed(rollout)
        json.dumps(facts)
        again = unpacked(tensors, facts)
        assert isinstance(again.obs, type(obs))
        assert torch.equal(getattr(again.obs, name), getattr(obs, name))
        assert torch.equal(again.obs.index, obs.index)
        assert again.reward.tolist() == [1, 2, 3]
